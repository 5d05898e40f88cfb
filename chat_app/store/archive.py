"""All chats at once, out of the database and into it, a page of rows at a time. Beside `store`, which has the rest."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import ColumnElement, Delete, and_, delete, insert, update
from sqlmodel import col, select

from chat_app.errors import InvalidRequest
from chat_app.models import Chat, Message, now
from chat_app.store import chatfile
from chat_app.store.chatfile import Row
from chat_app.store.database import Database

EXPORTED_AT_ONCE = 100
IMPORTED_AT_ONCE = 500

Table = TypeVar("Table", Chat, Message)
Rows = Sequence[Row]


class Archive:
    """What of `database` goes into files and comes out of them."""

    def __init__(self, database: Database) -> None:
        self._session = database.reading
        self._writing = database.writing

    async def exported(self, owner: str = "") -> AsyncIterator[str]:
        """The JSON of all chats of an owner, with all versions, in pieces: no more than a page of messages is in
        memory."""
        yield chatfile.ALL_BEGIN
        between, last = "\n", ""
        here = and_(col(Chat.owner) == owner, col(Chat.deleted_at).is_(None))
        while chats := await self._page(Chat, here, after=last):
            for chat in chats:
                yield between + await asyncio.to_thread(chatfile.begin_of, chat)
                async for piece in self._exported_messages(chat.id):
                    yield piece
                yield chatfile.END
                between, last = ",\n", chat.id
        yield chatfile.ALL_END

    async def _exported_messages(self, chat_id: str) -> AsyncIterator[str]:
        between, last = "", ""
        while messages := await self._page(Message, col(Message.chat_id) == chat_id, after=last):
            yield between + await asyncio.to_thread(chatfile.listed, messages)
            between, last = ",\n", messages[-1].id

    async def _page(self, table: type[Table], condition: ColumnElement[bool], after: str) -> Sequence[Table]:
        """The next rows in the order of their ids."""
        query = select(table).where(condition, col(table.id) > after).order_by(col(table.id)).limit(EXPORTED_AT_ONCE)
        async with self._session() as session:
            return (await session.exec(query)).all()

    @asynccontextmanager
    async def importing(self, owner: str = "") -> AsyncIterator[Callable[[Rows, Rows], Awaitable[None]]]:
        """Gives a function that adds chats and messages, as the columns of their rows, each message after its parent.
        The chats become the `owner`'s.

        Nothing finds them before the block ends; if it ends with an error, or the server does, none is left. They wait
        in the trash, since one transaction for all would keep every answer from being saved meanwhile.
        """
        ids: list[str] = []

        async def add(chats: Rows, messages: Rows) -> None:
            ids.extend(chat["id"] for chat in chats)
            async with self._writing() as session:
                connection = await session.connection()
                hidden = now()
                if chats:
                    await connection.execute(
                        insert(Chat), [{**chat, "owner": owner, "deleted_at": hidden} for chat in chats]
                    )
                if messages:
                    await connection.execute(insert(Message), list(messages))

        try:
            yield add
            await self._show_imported(ids)
        except BaseException:
            # Shielded: a second cancel must not leave half of it.
            await asyncio.shield(self._drop_imported(ids))
            raise

    async def _show_imported(self, ids: Sequence[str]) -> None:
        shown = 0
        async with self._writing() as session:
            for some in _in_parts(ids):
                query = update(Chat).where(col(Chat.id).in_(some)).values(deleted_at=None)
                shown += (await session.exec(query)).rowcount
            if shown < len(ids):
                raise InvalidRequest("The import took longer than the trash keeps chats. Import fewer at once.")

    async def _drop_imported(self, ids: Sequence[str]) -> None:
        for some in _in_parts(ids):
            newest = select(Message.id).where(col(Message.chat_id).in_(some)).order_by(col(Message.id).desc())
            # Answers before what they answer, some at a time: others want to write meanwhile.
            query = delete(Message).where(col(Message.id).in_(newest.limit(IMPORTED_AT_ONCE)))
            while await self._changed(query):
                pass
            await self._changed(delete(Chat).where(col(Chat.id).in_(some)))

    async def _changed(self, statement: Delete) -> int:
        """The rows that a statement of its own transaction changed."""
        async with self._writing() as session:
            return (await session.exec(statement)).rowcount


def _in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as a statement takes."""
    return (ids[start : start + IMPORTED_AT_ONCE] for start in range(0, len(ids), IMPORTED_AT_ONCE))
