"""Tokens and dollars: what each owner took in a day and a month, and how much is left.

The counts are in a table of their own, so that deleting a chat gives nothing back. While an answer grows, its tokens
are guessed from its characters; what the provider counted takes their place when it has ended.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from itertools import product
from typing import Any, TypeVar

from sqlalchemy import Connection

from chat_app.backoff import Backoff
from chat_app.caller import LOCAL, Caller
from chat_app.errors import SpendingLimit
from chat_app.models import ADDRESS
from chat_app.periods import Period
from chat_app.prices import Prices
from chat_app.store import spending as statements
from chat_app.store.database import Database
from chat_app.store.spending import Spent
from chat_app.turns.allowance import Allowance
from chat_app.turns.log import Ended
from chat_app.turns.turn import Turn
from chat_app.usage import ESTIMATED

T = TypeVar("T")

CHARS_A_TOKEN = 4
CLOSE_S = 2.0
VISITORS = 10
"""All visitors from an address may take together what so many of them may: a school is behind one, and so is whoever
throws a token away for another one's limits."""
LOOK_CHARS = 400
"""After so much text of an answer it is looked whether it may go on."""


class Growing:
    """An answer that is being written, as an `Allowance`: what it has taken so far."""

    def __init__(self, spending: "Spending", accounts: Collection[str]) -> None:
        self.accounts = accounts
        self.dollars = 0.0
        self._spending = spending
        self._chars = 0
        self._next_look = LOOK_CHARS

    @property
    def tokens(self) -> int:
        return self._chars // CHARS_A_TOKEN

    def begin(self, turn_id: str) -> None:
        self._spending.growing[turn_id] = self

    def wrote(self, chars: int, model: str | None) -> None:
        self._chars += chars
        if self._chars < self._next_look:
            return
        self._next_look = self._chars + LOOK_CHARS
        self.dollars = self._spending.dollars_for(model or "", {"completion_tokens": self.tokens})
        self._spending.check(self.accounts)


class Spending:
    """`tokens` and `dollars` are the limits of each owner; with none of them, it only counts."""

    def __init__(
        self,
        database: Database,
        prices: Prices,
        tokens: Mapping[Period, float],
        dollars: Mapping[Period, float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._prices = prices
        self.tokens = tokens
        self.dollars = dollars
        self._now = now
        # What the table has of the owners who asked, by owner and period.
        self._spent: dict[tuple[str, str], Spent] = {}
        self.growing: dict[str, Growing] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._turn_to_write = asyncio.Lock()

    def __bool__(self) -> bool:
        """Whether there are limits."""
        return bool(self.tokens or self.dollars)

    async def close(self) -> None:
        """What is counted is saved."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=CLOSE_S)
        for task in self._writing:
            # The database is away for longer.
            task.cancel()

    async def allow(self, caller: Caller = LOCAL) -> Allowance | None:
        """What an answer may take; None without limits. Raises SpendingLimit."""
        if not self:
            return None
        for account, period in product(caller.accounts, Period):
            await self._load(account, period.name_at(self._now()))
        self.check(caller.accounts)
        return Growing(self, caller.accounts)

    def ended(self, turn: Turn, ended: Ended) -> None:
        """Count it, where there are limits or accounts; a turn's end does not wait for that."""
        self.count(turn.id, ended.usage or {}, turn.caller)

    def count(self, name: str, usage: Mapping[str, Any], caller: Caller, model: str | None = None) -> None:
        """The same of any answer that began under this name; of a turn the `model` is in the database."""
        growing = self.growing.get(name)
        tokens = (usage.get("prompt_tokens") or 0) + (usage.get("completion_tokens") or 0)
        if growing and (ESTIMATED in usage or not tokens):
            tokens = max(tokens, growing.tokens)
            usage = {**usage, "completion_tokens": tokens}
        if not tokens or not (self or caller.owner):
            self.growing.pop(name, None)
            return
        task = asyncio.create_task(self._count(caller.accounts, name, model, usage, tokens), name=f"spent by {name}")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def dollars_for(self, model: str, usage: Mapping[str, Any]) -> float:
        return self._prices.cost_or_nothing(model, usage) if self.dollars else 0.0

    async def of(self, owner: str, period: Period) -> Spent:
        name = period.name_at(self._now())
        return await self._database.read(lambda connection: statements.of(connection, owner, name))

    async def by_owner(self, period: Period, most: int) -> dict[str, Spent]:
        """Of those who took most in it."""
        name = period.name_at(self._now())
        return dict(await self._database.read(lambda connection: statements.totals(connection, name, most)))

    async def total(self, period: Period) -> Spent:
        """Of all owners."""
        name = period.name_at(self._now())
        return await self._database.read(lambda connection: statements.total(connection, name))

    async def _load(self, account: str, period: str) -> None:
        if (account, period) not in self._spent:
            spent = await self._database.read(lambda connection: statements.of(connection, account, period))
            self._spent.setdefault((account, period), spent)

    async def _count(
        self, accounts: Collection[str], name: str, model: str | None, usage: Mapping[str, Any], tokens: int
    ) -> None:
        backoff = Backoff("what an answer took could not be counted")
        if model is None:
            model = await self._until(backoff, lambda connection: statements.model_of(connection, name))
        dollars = await asyncio.to_thread(self._prices.cost_or_nothing, model, usage)
        periods = [period.name_at(self._now()) for period in Period]
        for key in product(accounts, periods):
            if known := self._spent.get(key):
                self._spent[key] = Spent(known.tokens + tokens, known.dollars + dollars)
        # Until here it counted as one that grows.
        self.growing.pop(name, None)
        await self._until(backoff, lambda connection: statements.add(connection, accounts, periods, tokens, dollars))

    async def _until(self, backoff: Backoff, work: Callable[[Connection], T]) -> T:
        """Done, one after the other, as soon as the database takes it."""
        while True:
            try:
                async with self._turn_to_write:
                    return await self._database.write(work)
            except Exception:
                await backoff.failed()

    def check(self, accounts: Iterable[str]) -> None:
        """Raises SpendingLimit: nothing is left on one of them."""
        for account in accounts:
            self._check(account, VISITORS if account.startswith(ADDRESS) else 1)

    def _check(self, account: str, people: int) -> None:
        """It may take what so many people may."""
        time = self._now()
        growing = [one for one in self.growing.values() if account in one.accounts]
        tokens = sum(one.tokens for one in growing)
        dollars = sum(one.dollars for one in growing)
        for period in Period:
            spent = self._spent.get((account, period.name_at(time)), Spent())
            if (limit := people * self.tokens.get(period, 0)) and spent.tokens + tokens >= limit:
                raise SpendingLimit(f"{limit:,.0f} tokens a {period}", period.seconds_left(time))
            if (limit := people * self.dollars.get(period, 0)) and spent.dollars + dollars >= limit:
                raise SpendingLimit(f"${limit:,.2f} a {period}", period.seconds_left(time))
