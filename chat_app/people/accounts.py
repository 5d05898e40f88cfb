"""Accounts: who there is."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat_app.errors import InvalidRequest, NotFound, shown
from chat_app.models import Chat, Message, Person, new_id, now
from chat_app.names import clean_name
from chat_app.store.database import Database

MAX_NAME_CHARS = 64
_table = Person.__table__  # type: ignore[attr-defined]
_chat, _message = Chat.__table__, Message.__table__  # type: ignore[attr-defined]
PersonRow = Row[Any]
"""A row of the table `person`."""


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, name: str, password: str | None = None, *, subject: str | None = None, admin: bool = False
    ) -> PersonRow:
        """A new account; `password` is its hash. Raises InvalidRequest."""
        return await self._database.write(lambda connection: insert_person(connection, name, password, subject, admin))

    async def have_administrator(self) -> bool:
        query = select(_table.c.id).where(_table.c.admin)
        return await self._database.read(lambda connection: connection.execute(query).first()) is not None

    async def every(self) -> Sequence[PersonRow]:
        """By name."""
        return await self._database.read(lambda connection: connection.execute(select(_table).order_by("key")).all())

    async def named(self, name: str) -> PersonRow | None:
        """By any spelling of the name."""
        query = select(_table).where(_table.c.key == key_of(name))
        return await self._database.read(lambda connection: connection.execute(query).first())

    async def by_id(self, person_id: str) -> PersonRow | None:
        query = select(_table).where(_table.c.id == person_id)
        return await self._database.read(lambda connection: connection.execute(query).first())

    async def by_subject(self, subject: str) -> PersonRow | None:
        query = select(_table).where(_table.c.subject == subject)
        return await self._database.read(lambda connection: connection.execute(query).first())

    async def known(self, name: str) -> PersonRow:
        """Raises NotFound."""
        if person := await self.named(name):
            return person
        raise NotFound(f"There is nobody called {shown(name)!r}. `python -m chat_app user list` shows who there is.")

    async def set_password(self, person_id: str, password: str) -> None:
        """`password` is the hash."""
        query = update(_table).where(_table.c.id == person_id).values(password=password)
        await self._database.write(lambda connection: connection.execute(query).rowcount)

    async def set_admin(self, person_id: str, admin: bool) -> None:
        query = update(_table).where(_table.c.id == person_id).values(admin=admin)
        await self._database.write(lambda connection: connection.execute(query).rowcount)

    async def remove(self, person_id: str) -> None:
        """With their chats, sessions and keys. Raises InvalidRequest: it is the last administrator."""
        await self._database.write(lambda connection: delete_person(connection, person_id))


def key_of(name: str) -> str:
    """The name as it is compared: `ADA` and `ada` are one, as are letters that are written in two ways."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean_name(name)).casefold())


def checked_name(name: str) -> str:
    """Raises InvalidRequest."""
    cleaned = clean_name(name)
    if not cleaned or not key_of(cleaned) or len(cleaned) > MAX_NAME_CHARS:
        raise InvalidRequest(f"A name has 1 to {MAX_NAME_CHARS} characters that can be seen. Choose another.")
    return cleaned


def insert_person(
    connection: Connection, name: str, password: str | None = None, subject: str | None = None, admin: bool = False
) -> PersonRow:
    """Raises InvalidRequest: there is one of this name."""
    name = checked_name(name)
    values = {
        "id": new_id(),
        "name": name,
        "key": key_of(name),
        "password": password,
        "subject": subject,
        "admin": admin,
        "created_at": now(),
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(_table).values(**values))
    except IntegrityError:
        raise InvalidRequest(f"There is somebody called {shown(name)!r} already. Choose another name.") from None
    return connection.execute(select(_table).where(_table.c.id == values["id"])).one()


def delete_person(connection: Connection, person_id: str) -> None:
    administrators = select(_table.c.id).where(_table.c.admin)
    if {row.id for row in connection.execute(administrators)} == {person_id}:
        others = select(func.count()).select_from(_table).where(_table.c.id != person_id)
        if connection.execute(others).scalar_one():
            raise InvalidRequest("This is the only administrator. Make another one first: `user admin NAME`.")
    chats = select(_chat.c.id).where(_chat.c.owner == person_id)
    # Untied first, as the store does it: a cascade from message to message is as deep as a chat is long.
    connection.execute(update(_message).where(_message.c.chat_id.in_(chats)).values(parent_id=None))
    connection.execute(delete(_chat).where(_chat.c.owner == person_id))
    connection.execute(delete(_table).where(_table.c.id == person_id))


def live_people(connection: Connection, ids: set[str]) -> set[str]:
    """Those of these ids that there still are."""
    return set(connection.execute(select(_table.c.id).where(_table.c.id.in_(ids))).scalars())
