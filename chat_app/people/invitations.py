"""Invitations: links with which somebody makes an account of their own, once."""

from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select

from chat_app.errors import NotFound
from chat_app.models import Invitation, now
from chat_app.people.accounts import PersonRow, insert_person
from chat_app.people.tokens import digest, new_token
from chat_app.store.database import Database

LASTS = timedelta(days=7)
_table = Invitation.__table__  # type: ignore[attr-defined]


class Invitations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self) -> str:
        """What goes into the link."""
        token = new_token()

        def work(connection: Connection) -> None:
            connection.execute(delete(_table).where(_table.c.expires_at <= now()))
            values = {"digest": digest(token), "created_at": now(), "expires_at": now() + LASTS}
            connection.execute(insert(_table).values(**values))

        await self._database.write(work)
        return token

    async def counts(self, token: str) -> bool:
        query = select(_table.c.digest).where(_table.c.digest == digest(token), _table.c.expires_at > now())
        return await self._database.read(lambda connection: connection.execute(query).first()) is not None

    async def take(self, token: str, name: str, password: str) -> PersonRow:
        """Make the account; `password` is its hash. Raises InvalidRequest, and NotFound: it was used, or is too old."""

        def work(connection: Connection) -> PersonRow:
            query = delete(_table).where(_table.c.digest == digest(token), _table.c.expires_at > now())
            if not connection.execute(query).rowcount:
                raise no_invitation()
            return insert_person(connection, name, password)

        return await self._database.write(work)


def no_invitation() -> NotFound:
    return NotFound("This invitation was used already, or is too old. Ask for a new one.")
