"""What owners took, by day and month, as plain statements: each function takes a connection within a transaction."""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update
from sqlmodel import SQLModel

from chat_app.models import ADDRESS

_spent, _message = (SQLModel.metadata.tables[name] for name in ("spent", "message"))

# What is on the account of an address is on those of its visitors too.
_OWNERS = ~_spent.c.owner.startswith(ADDRESS, autoescape=True)


class Spent(NamedTuple):
    tokens: int = 0
    dollars: float = 0.0


def add(connection: Connection, accounts: Iterable[str], periods: Iterable[str], tokens: int, dollars: float) -> None:
    """Of one process only one transaction at a time."""
    more = {"tokens": _spent.c.tokens + tokens, "dollars": _spent.c.dollars + dollars}
    for account, period in product(accounts, periods):
        query = update(_spent).where(_spent.c.owner == account, _spent.c.period == period)
        if not connection.execute(query.values(more)).rowcount:
            row = {"owner": account, "period": period, "tokens": tokens, "dollars": dollars}
            connection.execute(insert(_spent), row)


def of(connection: Connection, owner: str, period: str) -> Spent:
    query = select(_spent.c.tokens, _spent.c.dollars).where(_spent.c.owner == owner, _spent.c.period == period)
    row = connection.execute(query).first()
    return Spent(*row) if row else Spent()


def model_of(connection: Connection, turn_id: str) -> str:
    """Which one wrote the answer, "" where that is not known."""
    return connection.execute(select(_message.c.model).where(_message.c.id == turn_id)).scalar() or ""


def totals(connection: Connection, period: str, most: int) -> list[tuple[str, Spent]]:
    """Who took most in it, the first first."""
    query = select(_spent.c.owner, _spent.c.tokens, _spent.c.dollars).where(_spent.c.period == period, _OWNERS)
    rows = connection.execute(query.order_by(_spent.c.dollars.desc(), _spent.c.tokens.desc()).limit(most))
    return [(row.owner, Spent(row.tokens, row.dollars)) for row in rows]


def total(connection: Connection, period: str) -> Spent:
    query = select(func.sum(_spent.c.tokens), func.sum(_spent.c.dollars)).where(_spent.c.period == period, _OWNERS)
    tokens, dollars = connection.execute(query).one()
    return Spent(int(tokens or 0), float(dollars or 0.0))
