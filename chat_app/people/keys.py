"""API keys: what programs send in place of a password, `Authorization: Bearer …`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from chat_app.caller import Scope
from chat_app.errors import InvalidRequest
from chat_app.models import ApiKey, Person, new_id, now
from chat_app.names import clean_name
from chat_app.people.tokens import digest, new_token
from chat_app.store.database import Database

PREFIX = "rill_"
"""So that programs that look for lost secrets find it."""
MAX_NAME_CHARS = 64
MOST = 100
"""Keys of one person."""
SCOPES = {Scope.read: frozenset({Scope.read}), Scope.chat: frozenset(Scope)}
_table = ApiKey.__table__  # type: ignore[attr-defined]
_person = Person.__table__  # type: ignore[attr-defined]
KeyRow = Row[Any]
"""A row of the table `api_key`."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is the key itself, which is nowhere else."""

    id: str
    secret: str


class Keys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, person_id: str, name: str, scope: Scope) -> NewKey:
        """Raises InvalidRequest."""
        name = clean_name(name)[:MAX_NAME_CHARS] or "Key"
        key = NewKey(new_id(), new_token(PREFIX))
        values = {"id": key.id, "person_id": person_id, "name": name, "digest": digest(key.secret), "scope": scope}

        def work(connection: Connection) -> None:
            query = select(_table.c.id).where(_table.c.person_id == person_id)
            if len(connection.execute(query).all()) >= MOST:
                raise InvalidRequest(f"One person has at most {MOST} keys. Revoke one that is not used any more.")
            connection.execute(insert(_table).values(created_at=now(), **values))

        await self._database.write(work)
        return key

    async def of(self, person_id: str) -> Sequence[KeyRow]:
        """The newest first."""
        query = select(_table).where(_table.c.person_id == person_id).order_by(_table.c.id.desc())
        return await self._database.read(lambda connection: connection.execute(query).all())

    async def every(self) -> Sequence[KeyRow]:
        """All, with `person`, whose name it is."""
        query = select(_table, _person.c.name.label("person")).join(_person, _person.c.id == _table.c.person_id)
        return await self._database.read(
            lambda connection: connection.execute(query.order_by(_person.c.key, _table.c.id)).all()
        )

    async def numbers(self) -> dict[str, int]:
        """How many each person has."""
        query = select(_table.c.person_id, func.count().label("number")).group_by(_table.c.person_id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.person_id: row.number for row in rows}

    async def holder(self, digested: str) -> KeyRow | None:
        """Who has the key of this hash, as a row of `person` with `key_id` and `scope`; None: nobody any more."""
        query = (
            select(_person, _table.c.id.label("key_id"), _table.c.scope)
            .join(_table, _table.c.person_id == _person.c.id)
            .where(_table.c.digest == digested)
        )
        return await self._database.read(lambda connection: connection.execute(query).first())

    async def used(self, key_id: str) -> None:
        query = update(_table).where(_table.c.id == key_id).values(used_at=now())
        await self._database.write(lambda connection: connection.execute(query).rowcount)

    async def revoke(self, key_id: str, person_id: str | None = None) -> bool:
        """Whether there was such a key, of this person if one is given."""
        query = delete(_table).where(_table.c.id == key_id)
        if person_id is not None:
            query = query.where(_table.c.person_id == person_id)
        return bool(await self._database.write(lambda connection: connection.execute(query).rowcount))


def live_keys(connection: Connection, ids: set[str]) -> set[str]:
    """Those of these ids that there still are."""
    return set(connection.execute(select(_table.c.id).where(_table.c.id.in_(ids))).scalars())
