"""All chats and their messages, to be read: what the doors show of them. Nothing here writes, and nothing here knows of
running turns but that the text of one is in the journal.

One short session or statement per call; rows come out detached, never to be written through. A chat in the trash is not
found, nor is one of another owner: whose it is, is a part of each statement.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from copy import copy
from datetime import datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.errors import NotFound, no_chat, no_message
from chat_app.models import Chat, Message, owned_key
from chat_app.store import chatfile, paging, search, tree
from chat_app.store.archive import Archive
from chat_app.store.database import Database
from chat_app.store.markdown import markdown
from chat_app.store.paging import Page
from chat_app.store.search import Hit
from chat_app.store.statements import UNLIMITED, joined, path_end_at
from chat_app.store.tree import PathItem

# How many messages are read at once of what is read whole: the loop is not held for longer than that takes.
PAGE = 200

Place = tuple[bool, datetime, str]
"""Where a chat stands in the list: pinned or not, when it was last used, its id."""


def place(chat: Chat) -> Place:
    return chat.pinned, chat.updated_at, chat.id


class Library:
    """What `database` holds of one `owner`: "" is the one of a server without accounts."""

    owner = ""

    def __init__(self, database: Database) -> None:
        self._archive = Archive(database)
        self._session, self._read = database.reading, database.read

    def of(self, owner: str) -> Self:
        """What it holds of this owner."""
        bound = copy(self)
        bound.owner = owner
        return bound

    # Chats

    async def chats(self, limit: int = 100, before: datetime | Place | None = None) -> Sequence[Chat]:
        """The pinned first, then the most recently used.

        `before` is the `place` of the last one of the page before, or a time: then those last used before it that are
        not pinned.
        """
        order = col(Chat.pinned), col(Chat.updated_at), col(Chat.id)
        query = select(Chat).where(*here(self.owner)).order_by(*(part.desc() for part in order))
        if before is not None:
            query = query.where(tuple_(*order) < (before if isinstance(before, tuple) else (False, before, "")))
        async with self._session() as session:
            return (await session.exec(query.limit(limit))).all()

    async def chat(self, chat_id: str) -> Chat:
        """Raises NotFound."""
        async with self._session() as session:
            return await find_chat(session, self.owner, chat_id)

    async def existing(self, chat_ids: Collection[str]) -> set[str]:
        """Those of the chats that are there."""
        query = select(Chat.id).where(col(Chat.id).in_([id for id in chat_ids if "\0" not in id]))
        async with self._session() as session:
            return set((await session.exec(query.where(*here(self.owner)))).all())

    # Messages

    async def message(self, message_id: str) -> Message | None:
        async with self._session() as session:
            return await find_message(session, self.owner, message_id)

    async def message_by_key(self, key: str) -> Message | None:
        """The assistant's message that an idempotency key of the owner's started, also in a chat in the trash."""
        if "\0" in key:
            return None
        async with self._session() as session:
            query = select(Message).where(Message.idempotency_key == owned_key(self.owner, key))
            found = (await session.exec(query)).all()
            return next(iter(await joined(session, found)), None)

    async def path_page(self, chat_id: str, before: str | None = None, limit: int = 100) -> Page:
        """The end of the shown path, or what comes before a message: at most `limit` messages, each with its versions.

        Raises:
            NotFound: there is no such chat, or `before` is no message of it.
        """
        async with self._session() as session:
            chat = await find_chat(session, self.owner, chat_id)
            if before is None:
                return await paging.page(session, chat_id, await paging.leaf(session, chat), limit, later=False)
            if (parent := await paging.parent(session, chat_id, before)) is None:
                raise NotFound("`before` is no message of this chat. Use the `next` of the page before.")
            return await paging.page(session, chat_id, parent[0], limit, later=True)

    async def path_around(self, message_id: str, older: int, newer: int) -> Page:
        """A message of the shown path with at most so many before and after it.

        Raises:
            NotFound: there is no such message, or the shown path does not go through it.
        """
        async with self._session() as session:
            if (message := await find_message(session, self.owner, message_id)) is None:
                raise no_message()
            leaf = await paging.leaf(session, await find_chat(session, self.owner, message.chat_id))
            ids = await paging.following(session, leaf, message_id, newer)
            if not ids:
                raise NotFound("Another version of this message is shown. Choose the one that you want to see.")
            return await paging.page(session, message.chat_id, ids[-1], older + len(ids), later=ids[-1] != leaf)

    async def path_before(self, chat_id: str, message_id: str, count: int) -> list[PathItem]:
        """The `count` messages of the path that come before one, or fewer if there are no more. Raises NotFound."""
        items: list[PathItem] = []
        while count > len(items):
            page = await self.path_page(chat_id, message_id, min(count - len(items), PAGE))
            items = [*page.items, *items]
            if not page.earlier:
                break
            message_id = items[0].message.id
        return items

    async def path_end(self, chat_id: str, count: int, hidden: int | None = None) -> tuple[int, list[PathItem]]:
        """The newest `count` messages of the shown path, or all but the oldest `hidden`, if that is more.

        Returns:
            How many come before them, and they.

        Raises:
            NotFound: there is no such chat.
        """
        items = (await self.path_page(chat_id, limit=count)).items
        before = items[0].message.depth if items else 0
        if hidden is not None and hidden < before:
            items = [*await self.path_before(chat_id, items[0].message.id, before - hidden), *items]
            before = hidden
        return before, items

    async def position(self, message_id: str) -> int:
        """How many messages come before this one, whichever version of them it follows. Raises NotFound."""
        if (message := await self.message(message_id)) is None:
            raise no_message()
        return message.depth

    async def path_end_at(self, message_id: str) -> Message | None:
        """The message, if the shown path of its chat ends with it."""
        return await self._read(lambda connection: path_end_at(connection, self.owner, message_id))

    async def is_shown(self, message_id: str) -> bool:
        """Whether the shown path of its chat goes through a message."""
        async with self._session() as session:
            if (message := await find_message(session, self.owner, message_id)) is None:
                return False
            leaf = await paging.leaf(session, await find_chat(session, self.owner, message.chat_id))
            return bool(await paging.following(session, leaf, message_id, 0))

    async def path(self, chat_id: str) -> list[PathItem]:
        """The whole shown path, oldest message first. Raises NotFound."""
        page = await self.path_page(chat_id, limit=PAGE)
        if not page.earlier:
            return page.items
        return [*await self.path_before(chat_id, page.items[0].message.id, UNLIMITED), *page.items]

    async def messages(self, chat_id: str) -> list[Message]:
        """The same without the versions. Raises NotFound."""
        return [item.message for item in await self.path(chat_id)]

    async def search(self, query: str, limit: int = 30) -> list[Hit]:
        """Chats and messages with all the words of `query`, see `search`; for any text at all, never an error."""
        async with self._session() as session:
            return await search.search(session, self.owner, search.parse(query), limit)

    # Files

    async def export_chat(self, chat_id: str) -> dict[str, Any]:
        """The chat with all its versions, as `import_chat` takes it: plain JSON values. Raises NotFound."""
        async with self._session() as session:
            chat, messages = await find_chat(session, self.owner, chat_id), await _messages(session, chat_id)
        # Each message is looked at: whether it could be read again.
        return await asyncio.to_thread(chatfile.exported, chat, messages)

    async def chat_markdown(self, chat_id: str, reasoning: bool = False) -> str:
        """The title and the shown path. Raises NotFound."""
        async with self._session() as session:
            chat = await find_chat(session, self.owner, chat_id)
            return markdown(chat, tree.path(await _messages(session, chat_id), chat.leaf_id), reasoning)

    def exported(self) -> AsyncIterator[str]:
        """The JSON of all chats in pieces, see `Archive`."""
        return self._archive.exported(self.owner)


def here(owner: str) -> tuple[ColumnElement[bool], ...]:
    """A chat that the owner may find."""
    return col(Chat.owner) == owner, col(Chat.deleted_at).is_(None)


async def find_chat(session: AsyncSession, owner: str, chat_id: str) -> Chat:
    # PostgreSQL takes no NUL, not even in a question.
    query = select(Chat).where(col(Chat.id) == chat_id, *here(owner))
    chat = None if "\0" in chat_id else (await session.exec(query)).first()
    if chat is None:
        raise no_chat()
    return chat


async def find_message(session: AsyncSession, owner: str, message_id: str) -> Message | None:
    if "\0" in message_id:
        return None
    query = select(Message).join(Chat).where(col(Message.id) == message_id, *here(owner))
    found = await joined(session, (await session.exec(query)).all())
    return found[0] if found else None


async def _messages(session: AsyncSession, chat_id: str) -> Sequence[Message]:
    """All of the chat's tree, oldest first."""
    query = select(Message).where(Message.chat_id == chat_id).order_by(col(Message.id))
    return await joined(session, (await session.exec(query)).all())
