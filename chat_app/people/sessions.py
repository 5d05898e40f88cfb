"""Sessions: in which browsers somebody is signed in."""

from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select

from chat_app.models import Login, Person, now
from chat_app.people.accounts import PersonRow
from chat_app.people.tokens import digest, new_token
from chat_app.store.database import Database

LASTS = timedelta(days=30)
_login = Login.__table__  # type: ignore[attr-defined]
_person = Person.__table__  # type: ignore[attr-defined]


class Sessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, person_id: str) -> str:
        """A new session; returns what its cookie holds."""
        token = new_token()

        def work(connection: Connection) -> None:
            connection.execute(delete(_login).where(_login.c.expires_at <= now()))
            values = {"digest": digest(token), "person_id": person_id, "created_at": now()}
            connection.execute(insert(_login).values(expires_at=now() + LASTS, **values))

        await self._database.write(work)
        return token

    async def person(self, digested: str) -> PersonRow | None:
        """Whose session it is, by the hash of the cookie; None: nobody's any more."""
        query = (
            select(_person)
            .join(_login, _login.c.person_id == _person.c.id)
            .where(_login.c.digest == digested, _login.c.expires_at > now())
        )
        return await self._database.read(lambda connection: connection.execute(query).first())

    async def end(self, digested: str) -> None:
        query = delete(_login).where(_login.c.digest == digested)
        await self._database.write(lambda connection: connection.execute(query).rowcount)

    async def end_all(self, person_id: str, but: str | None = None) -> None:
        """Of one person, in all browsers but the one with this hash."""
        query = delete(_login).where(_login.c.person_id == person_id)
        if but:
            query = query.where(_login.c.digest != but)
        await self._database.write(lambda connection: connection.execute(query).rowcount)


def live_sessions(connection: Connection, digests: set[str]) -> set[str]:
    """Those of these hashes that still count."""
    query = select(_login.c.digest).where(_login.c.digest.in_(digests), _login.c.expires_at > now())
    return set(connection.execute(query).scalars())
