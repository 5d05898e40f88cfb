"""What is written of chats and turns, and what turns read: all SQL but that of `search` and `archive`, and what
`library` reads. A chat in the trash is not found by anything but `restore_chat` and `empty_trash`."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.errors import DatabaseUnavailable, InvalidRequest, NotFound, TurnRunning, no_answer, no_chat, no_message
from chat_app.models import MAX_REMARK_CHARS, OF_OWNER, Chat, ChatValues, Message, Queued, Request, Role, now, owned_key
from chat_app.names import clean_name
from chat_app.store import chatfile, paging, queue, statements
from chat_app.store.archive import Rows
from chat_app.store.chatfile import NEW_CHAT
from chat_app.store.chatfile import TITLE_CHARS as TITLE_CHARS
from chat_app.store.database import Database
from chat_app.store.library import Library, find_chat, find_message, here
from chat_app.store.library import place as place
from chat_app.store.statements import UNLIMITED, Prompt, Question, Said

logger = logging.getLogger(__name__)

SETTABLE = {"title", "named", "pinned", "model", "system_prompt", "temperature"}


class Store(Library):
    """The database behind `url` (`sqlite:///…` or `postgresql://…`)."""

    def __init__(self, url: str, **options: Any) -> None:
        """`options` are those of `Database`."""
        self.database = Database(url, **options)
        super().__init__(self.database)
        self.archive = self._archive
        self._writing = self.database.writing

    async def open(self) -> None:
        """Bring the schema up to date."""
        await self.database.open()

    async def rehearse(self) -> None:
        """Put the statements of a turn together, which takes longer than to run them; nothing is kept of it."""
        # What the database refuses now is told when somebody asks for it: chats can be read all the same.
        with suppress(StatementError, DatabaseUnavailable):
            await self.database.read(statements.rehearse_reading)
            await self.database.write(statements.rehearse)

    async def close(self) -> None:
        await self.database.close()

    # Chats

    async def create_chat(self, title: str | None = None) -> Chat:
        """Without a title, the chat gets one from its first message."""
        async with self._writing() as session:
            chat = Chat(owner=self.owner, title=clean_name(title or "") or NEW_CHAT, named=title is not None)
            session.add(chat)
        return chat

    async def set_chat(self, chat_id: str, **values: Any) -> Chat:
        """Set `title` (the chat is then `named`), `named`, `pinned`, `model`, `system_prompt` or `temperature`.

        The chat keeps its place in the list. None and blank text give the last three back to the app's default.

        Raises:
            NotFound: there is no such chat.
        """
        values = _settable(values)
        async with self._writing() as session:
            if values:
                await _change_chat(session, self.owner, chat_id, **values)
            return await find_chat(session, self.owner, chat_id)

    async def name_chat(self, chat_id: str, title: str) -> bool:
        """Give a title unless the chat is named (or gone) by now; returns whether it was given."""
        query = update(Chat).where(col(Chat.id) == chat_id, *here(self.owner), col(Chat.named).is_(False))
        async with self._writing() as session:
            return bool((await session.exec(query.values(title=title, named=True))).rowcount)

    async def trash_chat(self, chat_id: str) -> None:
        """Nothing finds the chat from now on, until `restore_chat`. Raises NotFound."""
        async with self._writing() as session:
            await _change_chat(session, self.owner, chat_id, deleted_at=now())

    async def restore_chat(self, chat_id: str) -> Chat:
        """Take a chat back out of the trash; one that is not there stays as it is. Raises NotFound."""
        if "\0" in chat_id:
            raise no_chat()
        async with self._writing() as session:
            whose = col(Chat.id) == chat_id, col(Chat.owner) == self.owner
            await session.exec(update(Chat).where(*whose).values(deleted_at=None))
            return await find_chat(session, self.owner, chat_id)

    async def empty_trash(self, older_than: timedelta = timedelta()) -> int:
        """Delete the chats that have been in the trash for so long; returns how many."""
        query = select(Chat.id).where(col(Chat.deleted_at) <= now() - older_than)
        async with self._writing() as session:
            chat_ids = (await session.exec(query)).all()
            for chat_id in chat_ids:
                await _delete(session, chat_id)
        return len(chat_ids)

    async def delete_chat(self, chat_id: str) -> None:
        """The chat and its messages, for good. Raises NotFound."""
        async with self._writing() as session:
            await _change_chat(session, self.owner, chat_id, deleted_at=now())
            await _delete(session, chat_id)

    # Messages

    async def choose(self, message_id: str) -> Chat:
        """Show the version `message_id`, and what came after it: the path then ends with the newest leaf below it.

        Raises:
            NotFound: there is no such message.
        """
        async with self._writing() as session:
            if (message := await find_message(session, self.owner, message_id)) is None:
                raise no_message()
            leaf = await paging.leaf_below(session, message_id)
            await _change_chat(session, self.owner, message.chat_id, leaf_id=leaf)
            return await find_chat(session, self.owner, message.chat_id)

    async def rate(self, message_id: str, rating: int, remark: str = "") -> Message:
        """Thumbs up (1), down (-1) or neither (0) for an answer, with a remark.

        Raises:
            InvalidRequest: the rating is another number, or the remark too long or no text.
            NotFound: there is no such answer.
        """
        if rating not in (-1, 0, 1):
            raise InvalidRequest("A rating is -1 (bad), 0 (none) or 1 (good).")
        if len(remark) > MAX_REMARK_CHARS or "\0" in remark:
            raise InvalidRequest(f"A remark is text of at most {MAX_REMARK_CHARS:,} characters. Shorten it.")
        async with self._writing() as session:
            message = await find_message(session, self.owner, message_id)
            if message is None or message.role != Role.assistant:
                raise no_answer()
            # A statement, not a change of the object: the chat may be deleted meanwhile.
            query = update(Message).where(col(Message.id) == message_id)
            result = await session.exec(query.values(rating=rating, remark=remark.strip()))
            if not result.rowcount:
                raise no_answer()
        return message

    # Files

    async def import_chat(self, data: str | bytes) -> Chat:
        """A new chat from what `export_chat` gave, as JSON; it counts as used just now.

        Raises:
            InvalidRequest: it is something else, or too large.
        """
        chat, messages = chatfile.imported(data)
        chat.updated_at = now()
        async with self.importing() as add:
            await add([chat.model_dump()], messages)
        return chat

    def importing(self) -> AbstractAsyncContextManager[Callable[[Rows, Rows], Awaitable[None]]]:
        """See `Archive.importing`."""
        return self.archive.importing(self.owner)

    # Owners

    async def adopt(self, owner: str) -> int:
        """Give this owner all chats that have none, also those in the trash, with the idempotency keys that began
        their turns; returns how many."""
        return await self.database.write(lambda connection: statements.adopt(connection, owner))

    async def drop_owner(self, owner: str) -> None:
        """Delete all chats of somebody who was removed."""
        await self.database.write(lambda connection: statements.drop_owner(connection, owner))

    # Turns

    async def begin_turn(
        self,
        content: str,
        chat_id: str | None = None,
        key: str | None = None,
        edit_of: str | None = None,
        settings: Mapping[str, Any] | None = None,
        allowed: Callable[[], None] = lambda: None,
        metadata: Mapping[str, Any] | None = None,
        digest: str | None = None,
        prompt: Prompt | None = None,
        queued: Queued | None = None,
    ) -> tuple[Message, Message, bool]:
        """Save the user's message and the empty reply in one transaction; no chat id makes a new chat.

        The message continues the shown path; with `edit_of` it is another version of that user's message, in its chat.
        `settings` are those of a new chat, as `set_chat` takes them. `allowed` is called when it is its turn to write,
        which may be late, and may raise: then nothing is saved. `metadata` and `digest` are those of a `Request`.
        A `prompt` is filled in, and a `queued` question leaves its line.

        Returns:
            The user's message, the assistant's, whose id is the turn's, and whether they are new: an idempotency key
            that another request used at the same moment gives that request's messages.

        Raises:
            NotFound: there is no such chat, or no such message of the user's in it, or the `queued` question has
                changed.
            TurnRunning: the chat has a running turn.
        """
        stored = self._stored_key(key)
        values = _settable(settings or {})
        question = Question(self.owner, content, chat_id, stored, edit_of, values, metadata, digest)

        def begin(connection: Connection) -> tuple[Message, Message]:
            allowed()
            begun = statements.begin_turn(connection, question, prompt)
            if queued:
                queue.take(connection, queued)
            return begun

        try:
            user, reply = await self.database.write(begin)
        except (IntegrityError, NotFound, TurnRunning):
            # Asked only now: nearly every key is new, and the database refuses one that is not.
            if key is not None and (known := await self.message_by_key(key)):
                return await self._parent(known), known, False
            raise
        return user, reply, True

    async def begin_reply(
        self,
        reply_id: str,
        content: str | None = "",
        key: str | None = None,
        allowed: Callable[[], None] = lambda: None,
        prompt: Prompt | None = None,
    ) -> tuple[Message, Message]:
        """Begin another version of a reply, a sibling that starts with `content`, or, where that is None, with the text
        of the first. `key` is its idempotency key; `allowed` and `prompt` are as in `begin_turn`.

        Returns:
            The user's message and the new reply.

        Raises:
            NotFound: there is no such reply.
            TurnRunning: the chat has a running turn, or the key has begun one.
        """
        stored = self._stored_key(key)

        def begin(connection: Connection) -> tuple[Message, Message]:
            allowed()
            return statements.begin_reply(connection, self.owner, reply_id, content, stored, prompt)

        return await self.database.write(begin)

    async def request(self, message_id: str) -> Request:
        """What came with a question; empty where nothing did."""
        async with self._session() as session:
            return await session.get(Request, message_id) or Request(message_id=message_id)

    async def values(self, chat_id: str) -> dict[str, Any]:
        """What agents keep for a chat."""
        async with self._session() as session:
            kept = await session.get(ChatValues, chat_id)
            return kept.data if kept else {}

    async def save_values(self, chat_id: str, data: dict[str, Any]) -> None:
        """All of them; those of a chat that was deleted meanwhile go with it."""
        async with self._writing() as session:
            if await session.get(Chat, chat_id):
                await session.merge(ChatValues(chat_id=chat_id, data=data))

    async def context(self, turn_id: str, max_chars: int = UNLIMITED) -> list[Said]:
        """What a turn answers, as the `said` of its `Prompt`."""
        return await self.database.read(lambda connection: statements.context(connection, turn_id, max_chars))

    async def add_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What running turns have newly got, as rows of the journal."""
        await self.database.write(lambda connection: statements.add_rows(connection, rows))

    async def end_turn(self, turn_id: str, values: dict[str, Any]) -> None:
        """The one final write of a turn; the journal has nothing of it any more."""
        await self.database.write(lambda connection: statements.end_turn(connection, turn_id, values))

    async def interrupt(self, turn_id: str, error: Mapping[str, Any] | None = None) -> None:
        """End a turn that nobody runs any more, with what the journal has of it. `error` is why, where it is known."""
        await self._interrupt([turn_id], error)

    async def interrupt_orphans(self) -> int:
        """The same for every turn that a dead server left running; returns how many.

        One that the database does not let end, whatever the reason, costs the others nothing, nor the server its start.
        """
        turn_ids = await self.database.read(statements.running)
        try:
            await self._interrupt(turn_ids)
        except StatementError:
            for turn_id in turn_ids:
                try:
                    await self._interrupt([turn_id])
                except StatementError:
                    logger.exception("turn %s is still called running in the database", turn_id)
        await self.database.write(statements.drop_strays)
        return len(turn_ids)

    async def _interrupt(self, turn_ids: Sequence[str], error: Mapping[str, Any] | None = None) -> None:
        """All of them or none. Raises StatementError: the database refuses it."""
        try:
            await self.database.write(lambda connection: statements.interrupt(connection, turn_ids, error))
        except StatementError:
            # The row itself may be what it refuses to change.
            await self.database.write(lambda connection: statements.interrupt(connection, turn_ids, error, anew=True))

    def _stored_key(self, key: str | None) -> str | None:
        """Raises InvalidRequest."""
        if key is not None and OF_OWNER in key:
            raise InvalidRequest("An idempotency key holds no control characters. Take a random one, such as a UUID.")
        return None if key is None else owned_key(self.owner, key)

    async def _parent(self, message: Message) -> Message:
        parent = await self.message(message.parent_id or "")
        if parent is None:
            raise NotFound("The message that this turn answers was deleted.")
        return parent


def _settable(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `set_chat` was given, as columns."""
    if unknown := values.keys() - SETTABLE:
        raise TypeError(f"a chat has no settable {', '.join(sorted(unknown))}")
    columns: dict[str, Any] = {"named": True, **values} if "title" in values else dict(values)
    if "title" in columns:
        columns["title"] = clean_name(columns["title"])
        if not columns["title"]:
            raise InvalidRequest("The title is empty. Write something first.")
    if "model" in columns:
        columns["model"] = clean_name(columns["model"] or "") or None
    if "system_prompt" in columns:
        columns["system_prompt"] = (columns["system_prompt"] or "").strip() or None
    return columns


async def _change_chat(session: AsyncSession, owner: str, chat_id: str, **values: Any) -> None:
    """A statement, not a change of an object: of a chat that is deleted meanwhile that would be a foreign error."""
    if "\0" in chat_id:
        raise no_chat()
    query = update(Chat).where(col(Chat.id) == chat_id, *here(owner))
    result = await session.exec(query.values(**values))
    if not result.rowcount:
        raise no_chat()


async def _delete(session: AsyncSession, chat_id: str) -> None:
    # Untied first: a cascade from message to message is as deep as the chat is long, and SQLite stops at 1,000.
    await session.exec(update(Message).where(col(Message.chat_id) == chat_id).values(parent_id=None))
    await session.exec(delete(Chat).where(col(Chat.id) == chat_id))
