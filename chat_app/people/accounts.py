"""Accounts: who there is."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat_app.errors import InvalidRequest, NotFound, shown
from chat_app.models import Person, new_id, now
from chat_app.names import clean_name
from chat_app.store.database import Database
from chat_app.store.statements import adopt, drop_owner

MAX_NAME_CHARS = 64
_table = Person.__table__  # type: ignore[attr-defined]
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

    async def join(self, subject: str, names: Sequence[str], admin: bool | None = None) -> "Joined":
        """The account of whom a provider knows by this subject; a new one for who is new. It has the first of these
        names that nobody else has. Where `admin` is given it is what counts from now on."""
        return await self._database.write(lambda connection: join(connection, subject, names, admin))

    async def link(self, person_id: str, subject: str) -> None:
        """From now on this person signs in at a provider. Raises InvalidRequest: somebody does so already."""

        def work(connection: Connection) -> None:
            taken = select(_table.c.name).where(_table.c.subject == subject, _table.c.id != person_id)
            if name := connection.execute(taken).scalar():
                raise InvalidRequest(f"{shown(name)!r} signs in there as this one already. Remove that account first.")
            connection.execute(update(_table).where(_table.c.id == person_id).values(subject=subject))

        await self._database.write(work)

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


def subject_of(issuer: str, sub: str) -> str:
    """As it is stored: what one provider calls somebody is nobody at another."""
    return f"{issuer} {sub}"


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


@dataclass(frozen=True, slots=True)
class Joined:
    """`demoted`: an administrator until now. `adopted` chats were nobody's, and are the first administrator's now."""

    person: PersonRow
    new: bool
    demoted: bool = False
    adopted: int = 0


def join(connection: Connection, subject: str, names: Sequence[str], admin: bool | None) -> Joined:
    """As `Accounts.join`."""
    by_subject = select(_table).where(_table.c.subject == subject)
    before = connection.execute(by_subject).first()
    if before is None:
        person = insert_person(connection, _free_name(connection, names), subject=subject)
    else:
        person = _renamed(connection, before, names)
    adopted = 0
    if admin is not None and admin != person.admin:
        first = admin and not connection.execute(select(_table.c.id).where(_table.c.admin)).first()
        connection.execute(update(_table).where(_table.c.id == person.id).values(admin=admin))
        adopted = adopt(connection, person.id) if first else 0
    found = connection.execute(by_subject).one()
    return Joined(found, before is None, person.admin and not found.admin, adopted)


def _renamed(connection: Connection, person: PersonRow, names: Sequence[str]) -> PersonRow:
    """By the first name, if it is another one now, and nobody else's."""
    name = names[0][:MAX_NAME_CHARS].strip() if names else person.name
    if name == person.name or not key_of(name) or _holder(connection, name) not in (None, person.id):
        return person
    connection.execute(update(_table).where(_table.c.id == person.id).values(name=name, key=key_of(name)))
    return connection.execute(select(_table).where(_table.c.id == person.id)).one()


def _free_name(connection: Connection, names: Sequence[str]) -> str:
    shortened = [name[:MAX_NAME_CHARS].strip() for name in names if key_of(name)] or ["Somebody"]
    numbered = (f"{shortened[0][: MAX_NAME_CHARS - 8]} {number}" for number in count(2))
    return next(name for name in chain(shortened, numbered) if _holder(connection, name) is None)


def _holder(connection: Connection, name: str) -> str | None:
    """The id of who is called so."""
    return connection.execute(select(_table.c.id).where(_table.c.key == key_of(name))).scalar()


def delete_person(connection: Connection, person_id: str) -> None:
    administrators = select(_table.c.id).where(_table.c.admin)
    if {row.id for row in connection.execute(administrators)} == {person_id}:
        others = select(func.count()).select_from(_table).where(_table.c.id != person_id)
        if connection.execute(others).scalar_one():
            raise InvalidRequest("This is the only administrator. Make another one first: `user admin NAME`.")
    drop_owner(connection, person_id)
    connection.execute(delete(_table).where(_table.c.id == person_id))


def live_people(connection: Connection, ids: set[str]) -> set[str]:
    """Those of these ids that there still are."""
    return set(connection.execute(select(_table.c.id).where(_table.c.id.in_(ids))).scalars())
