"""Every SQL statement. One short async session per call; rows come out detached, never to be written through."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, event, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.errors import NotFound, TurnRunning
from chat_app.models import Chat, Message, Role, Status, now

ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
SQLITE_BUSY_TIMEOUT_MS = 5_000
TITLE_CHARS = 60


class Store:
    """The database behind `url` (`sqlite:///…` or `postgresql://…`)."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(make_url(url))
        self._session = async_sessionmaker(self._engine, class_=AsyncSession, expire_on_commit=False)

    async def open(self) -> None:
        """Bring the schema up to date."""
        async with self._engine.begin() as connection:
            await connection.run_sync(_migrate)

    async def close(self) -> None:
        await self._engine.dispose()

    # Chats

    async def chats(self, limit: int = 100, before: datetime | None = None) -> Sequence[Chat]:
        """The most recently used first; `before` is the `updated_at` of the last one of the page before."""
        query = select(Chat).order_by(col(Chat.updated_at).desc(), col(Chat.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(Chat.updated_at) < before)
        async with self._session() as session:
            return (await session.exec(query)).all()

    async def chat(self, chat_id: str) -> Chat:
        """Raises NotFound."""
        async with self._session() as session:
            return await _chat(session, chat_id)

    async def create_chat(self, title: str = "New chat") -> Chat:
        async with self._session.begin() as session:
            chat = Chat(title=title)
            session.add(chat)
        return chat

    async def rename_chat(self, chat_id: str, title: str) -> Chat:
        """Raises NotFound."""
        async with self._session.begin() as session:
            await _change_chat(session, chat_id, title=title)
            return await _chat(session, chat_id)

    async def delete_chat(self, chat_id: str) -> None:
        """The chat and its messages. Raises NotFound."""
        async with self._session.begin() as session:
            # Untied first: a cascade from message to message is as deep as the chat is long, and SQLite stops at 1,000.
            await session.exec(update(Message).where(col(Message.chat_id) == chat_id).values(parent_id=None))
            result = await session.exec(delete(Chat).where(col(Chat.id) == chat_id))
            if not result.rowcount:
                raise _no_chat()

    # Messages

    async def message(self, message_id: str) -> Message | None:
        if "\0" in message_id:
            return None
        async with self._session() as session:
            return await session.get(Message, message_id)

    async def message_by_key(self, key: str) -> Message | None:
        """The assistant's message that an idempotency key started."""
        async with self._session() as session:
            return (await session.exec(select(Message).where(Message.idempotency_key == key))).first()

    async def messages(self, chat_id: str) -> list[Message]:
        """The newest path through the chat's tree, oldest message first. Raises NotFound."""
        async with self._session() as session:
            await _chat(session, chat_id)
            return await _newest_path(session, chat_id)

    async def running(self, chat_id: str) -> str | None:
        """The id of the turn that runs in the chat."""
        async with self._session() as session:
            return await _running(session, chat_id)

    # Turns

    async def begin_turn(
        self, content: str, chat_id: str | None = None, key: str | None = None
    ) -> tuple[Message, Message, bool]:
        """Save the user's message and the empty reply in one transaction; no chat id makes a new chat.

        Returns:
            The user's message, the assistant's, whose id is the turn's, and whether they are new: an idempotency key
            that another request used at the same moment gives that request's messages.

        Raises:
            NotFound: there is no such chat.
            TurnRunning: the chat has a running turn.
        """
        try:
            async with self._session.begin() as session:
                chat_id, path = await _chat_and_path(session, content, chat_id)
                user = Message(
                    chat_id=chat_id, parent_id=path[-1].id if path else None, role=Role.user, content=content
                )
                reply = Message(
                    chat_id=chat_id,
                    parent_id=user.id,
                    role=Role.assistant,
                    status=Status.streaming,
                    idempotency_key=key,
                )
                session.add(user)
                # Flushed in order, since a message names its parent.
                await session.flush()
                session.add(reply)
        except (IntegrityError, TurnRunning):
            if key is not None and (known := await self.message_by_key(key)):
                return await self._parent(known), known, False
            raise
        return user, reply, True

    async def begin_reply(self, reply_id: str, content: str = "") -> tuple[Message, Message]:
        """Begin another version of a reply, a sibling that starts with `content`.

        Returns:
            The user's message and the new reply.

        Raises:
            NotFound: there is no such reply.
            TurnRunning: the chat has a running turn.
        """
        async with self._session.begin() as session:
            old = await session.get(Message, reply_id)
            user = await session.get(Message, old.parent_id) if old and old.parent_id else None
            if old is None or user is None or old.role != Role.assistant:
                raise NotFound("There is no such answer. Its chat may have been deleted.")
            await _change_chat(session, old.chat_id, updated_at=now())
            if running := await _running(session, old.chat_id):
                raise TurnRunning(running)
            reply = Message(
                chat_id=old.chat_id,
                parent_id=user.id,
                role=Role.assistant,
                status=Status.streaming,
                content=content,
            )
            session.add(reply)
        return user, reply

    async def context(self, turn_id: str) -> list[Message]:
        """The messages that the turn answers, oldest first; those without text (a failed answer) are left out."""
        async with self._session() as session:
            path: list[Message] = []
            message = await session.get(Message, turn_id)
            while message is not None and message.parent_id is not None:
                message = await session.get(Message, message.parent_id)
                if message is not None and message.content:
                    path.append(message)
            return path[::-1]

    async def checkpoint(self, turn_id: str, content: str, reasoning: str) -> None:
        """Save the text of a running turn so far; one that comes after the final write changes nothing."""
        query = update(Message).where(col(Message.id) == turn_id, col(Message.status) == Status.streaming)
        async with self._session.begin() as session:
            await session.exec(query.values(content=content, reasoning=reasoning))

    async def end_turn(self, turn_id: str, values: dict[str, Any]) -> None:
        """The one final write of a turn."""
        async with self._session.begin() as session:
            await session.exec(update(Message).where(col(Message.id) == turn_id).values(**values))

    async def interrupt_orphans(self) -> int:
        """Mark every turn that a dead server left running; returns how many. Their text stays."""
        query = update(Message).where(col(Message.status) == Status.streaming)
        async with self._session.begin() as session:
            result = await session.exec(query.values(status=Status.interrupted, finish_reason=Status.interrupted.value))
            return result.rowcount

    async def _parent(self, message: Message) -> Message:
        parent = await self.message(message.parent_id or "")
        if parent is None:
            raise NotFound("The message that this turn answers was deleted.")
        return parent


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url.set(drivername=ASYNC_DRIVERS[url.drivername]))
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # A write transaction takes its lock when it begins: a later upgrade from a read fails at once instead of waiting.
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _no_chat() -> NotFound:
    return NotFound("There is no such chat. It may have been deleted; leave out chat_id to begin a new one.")


async def _chat(session: AsyncSession, chat_id: str) -> Chat:
    # PostgreSQL takes no NUL, not even in a question.
    if "\0" in chat_id:
        raise _no_chat()
    if (chat := await session.get(Chat, chat_id)) is None:
        raise _no_chat()
    return chat


async def _change_chat(session: AsyncSession, chat_id: str, **values: Any) -> None:
    """A statement, not a change of an object: of a chat that is deleted meanwhile that would be a foreign error."""
    result = await session.exec(update(Chat).where(col(Chat.id) == chat_id).values(**values))
    if not result.rowcount:
        raise _no_chat()


async def _chat_and_path(session: AsyncSession, content: str, chat_id: str | None) -> tuple[str, list[Message]]:
    if chat_id is None:
        chat = Chat(title=_title(content))
        session.add(chat)
        await session.flush()
        return chat.id, []
    # Written before anything is read: that locks the chat, so that nobody deletes it or begins a turn in it meanwhile.
    await _change_chat(session, chat_id, updated_at=now())
    if turn_id := await _running(session, chat_id):
        raise TurnRunning(turn_id)
    return chat_id, await _newest_path(session, chat_id)


async def _newest_path(session: AsyncSession, chat_id: str) -> list[Message]:
    rows = (await session.exec(select(Message).where(Message.chat_id == chat_id).order_by(col(Message.id)))).all()
    newest_child = {row.parent_id: row for row in rows}
    path: list[Message] = []
    parent: str | None = None
    while child := newest_child.get(parent):
        path.append(child)
        parent = child.id
    return path


async def _running(session: AsyncSession, chat_id: str) -> str | None:
    query = select(Message.id).where(Message.chat_id == chat_id, Message.status == Status.streaming)
    return (await session.exec(query)).first()


def _title(content: str) -> str:
    """The first line of the first message, cut at a word."""
    line = next((line.strip() for line in content.splitlines() if line.strip()), "New chat")
    if len(line) <= TITLE_CHARS:
        return line
    return line[:TITLE_CHARS].rsplit(" ", 1)[0].rstrip(",.;:") + "…"
