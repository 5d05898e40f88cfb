"""The questions that wait in a chat, as plain statements: each function takes a connection within a transaction, see
`statements`. When one may be asked is decided in `chat_app.queue`."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlmodel import SQLModel

from chat_app.errors import QueueFull, no_chat, not_queued
from chat_app.models import Queued, Role, Status, owned_key

MOST = 10
"""How many questions may wait in one chat."""

_queue, _chat, _message = (SQLModel.metadata.tables[name] for name in ("queue", "chat", "message"))
HERE = (_chat.c.id == bindparam("chat"), _chat.c.owner == bindparam("whose"), _chat.c.deleted_at.is_(None))
# Locked, so that nothing begins in it meanwhile, and nobody deletes it; SQLite has one writer at a time anyway.
LOCK = select(_chat.c.id).where(*HERE).with_for_update()
WAITING = select(_queue).join(_chat).where(*HERE).order_by(_queue.c.id)
BEGAN = select(_message.c.id).where(_message.c.idempotency_key == bindparam("key"))
NEWEST = (
    select(_message.c.status)
    .where(_message.c.chat_id == bindparam("chat"), _message.c.role == Role.assistant)
    .order_by(_message.c.id.desc())
    .limit(1)
)
ONE = (_queue.c.id == bindparam("question"), _queue.c.chat_id.in_(select(_chat.c.id).where(*HERE)))


@dataclass(frozen=True, slots=True)
class Line:
    """What waits in a chat, the first to be asked first. `held`: it does not go on by itself, for the newest answer of
    the chat did not end well, or the first question could not be asked."""

    questions: tuple[Queued, ...] = ()
    held: bool = False


def line(connection: Connection, owner: str, chat_id: str) -> Line:
    """Of a chat in the trash nothing waits."""
    if "\0" in chat_id:
        return Line()
    questions = tuple(
        Queued(**row) for row in connection.execute(WAITING, {"chat": chat_id, "whose": owner}).mappings()
    )
    if not questions:
        return Line()
    newest = connection.execute(NEWEST, {"chat": chat_id}).scalar()
    ended_badly = newest not in (None, Status.complete, Status.streaming)
    return Line(questions, ended_badly or questions[0].error is not None)


def chats(connection: Connection) -> dict[str, str]:
    """Those in which something waits, with their owners."""
    query = select(_chat.c.id, _chat.c.owner).where(_chat.c.id.in_(select(_queue.c.chat_id)))
    return {row.id: row.owner for row in connection.execute(query)}


def add(connection: Connection, owner: str, question: Queued) -> bool:
    """Whether it waits now, or did already; False where its key has begun a turn.

    Raises:
        NotFound: there is no such chat.
        QueueFull: too many wait in it.
    """
    if "\0" in question.chat_id or not connection.execute(LOCK, {"chat": question.chat_id, "whose": owner}).scalar():
        raise no_chat()
    if connection.execute(BEGAN, {"key": owned_key(owner, question.key)}).scalar():
        return False
    of_chat = select(_queue.c.key).where(_queue.c.chat_id == question.chat_id)
    known = connection.execute(of_chat).scalars().all()
    if question.key in known:
        return True
    if len(known) >= MOST:
        raise QueueFull(MOST)
    connection.execute(insert(_queue), question.model_dump())
    return True


def change(connection: Connection, owner: str, chat_id: str, question_id: str, content: str) -> None:
    """What was wrong with it is forgotten. Raises NotFound: it does not wait any more."""
    _must_be_one(
        connection, update(_queue).where(*ONE).values(content=content, error=None), owner, chat_id, question_id
    )


def remove(connection: Connection, owner: str, chat_id: str, question_id: str) -> None:
    """Raises NotFound: it does not wait any more."""
    _must_be_one(connection, delete(_queue).where(*ONE), owner, chat_id, question_id)


def refuse(connection: Connection, question: Queued, error: dict[str, Any]) -> None:
    """Say why it could not be asked, unless it has changed meanwhile."""
    query = update(_queue).where(_queue.c.id == question.id, _queue.c.content == question.content)
    connection.execute(query.values(error=error))


def take(connection: Connection, question: Queued) -> None:
    """Out of the line, in the transaction that begins its turn: it is asked once, as it was when it was read.

    Raises:
        NotFound: it was changed or removed meanwhile.
    """
    query = delete(_queue).where(_queue.c.id == question.id, _queue.c.content == question.content)
    if not connection.execute(query).rowcount:
        raise not_queued()


def count(connection: Connection) -> int:
    """How many wait, in all chats."""
    return connection.execute(select(func.count()).select_from(_queue)).scalar_one()


def _must_be_one(connection: Connection, query: Any, owner: str, chat_id: str, question_id: str) -> None:
    given = {"chat": chat_id, "whose": owner, "question": question_id}
    if any("\0" in value for value in given.values()) or not connection.execute(query, given).rowcount:
        raise not_queued()
