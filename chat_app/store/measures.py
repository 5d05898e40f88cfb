"""The rows of what people wait for and say: reports of browsers, answers to the survey, and what goes with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, case, desc, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from chat_app.models import Role
from chat_app.store.hours import first_id

_message, _chat, _measure, _survey = (
    SQLModel.metadata.tables[name] for name in ("message", "chat", "measure", "survey")
)
# As the index says it: with a parameter in its place the database would not know it again.
REMARKED = text("message.remark <> ''")
REMARKS = 50


class Remark(NamedTuple):
    rating: int
    remark: str
    model: str
    chat_id: str
    turn_id: str
    when: datetime


def turn(connection: Connection, turn_id: str, owner: str) -> Any:
    """`created_at` and `duration_ms` of an answer of this owner's, None where there is none."""
    if "\0" in turn_id:
        return None
    query = select(_message.c.created_at, _message.c.duration_ms).join(_chat)
    is_it = _message.c.id == turn_id, _message.c.role == Role.assistant, *_here(owner)
    return connection.execute(query.where(*is_it)).first()


def add_once(connection: Connection, table: str, values: dict[str, Any]) -> bool:
    """Add a row unless there is one with its key; whether it was added."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    query = dialect.insert(SQLModel.metadata.tables[table]).values(**values).on_conflict_do_nothing()
    return bool(connection.execute(query).rowcount)


def remarks(connection: Connection, since: datetime, owner: str) -> list[Remark]:
    """The owner's newest with a remark."""
    chat = select(_chat.c.id).where(_chat.c.id == _message.c.chat_id, *_here(owner))
    query = (
        select(
            _message.c.rating,
            _message.c.remark,
            _message.c.model,
            _message.c.chat_id,
            _message.c.id,
            _message.c.created_at,
        )
        # Joined, the chats would come first, and all of their messages.
        .where(REMARKED, _message.c.rating != 0, _message.c.id >= first_id(since), chat.exists())
        .order_by(desc(_message.c.id))
        .limit(REMARKS)
    )
    return [Remark(*row) for row in connection.execute(query)]


def of_turns(connection: Connection, turn_ids: Sequence[str], owner: str) -> dict[str, Any]:
    """Chat and model of those that are still there, by turn; the chat only where it is the owner's."""
    own_chat = case((_chat.c.owner == owner, _chat.c.id)).label("chat_id")
    query = (
        select(_message.c.id, own_chat, _message.c.model)
        .join(_chat)
        .where(_message.c.id.in_(turn_ids), _chat.c.deleted_at.is_(None))
    )
    return {row.id: row for row in connection.execute(query)}


def surveyed(connection: Connection, since: datetime) -> list[Any]:
    """The survey's answers, each with how long that person waited for a first token in the median of what was measured
    (`waits`: all of them)."""
    rows = connection.execute(select(_survey).where(_survey.c.at >= since).order_by(desc(_survey.c.at))).all()
    return [(row, list(connection.execute(_waits(row.person)).scalars())) for row in rows]


def _waits(person: str) -> Select[Any]:
    known = _measure.c.first_ms.is_not(None) & _measure.c.hidden.is_(False)
    return select(_measure.c.first_ms).where(_measure.c.person == person, known)


def used_by(connection: Connection, message_id: str, owner: str) -> tuple[str | None, dict[str, Any]] | None:
    """Model and usage of an answer of this owner's, None where there is none."""
    return next(iter(_used(connection, _message.c.id == message_id, owner)), None)


def used_in(connection: Connection, chat_id: str, owner: str) -> list[tuple[str | None, dict[str, Any]]]:
    """The same of all answers of a chat."""
    return _used(connection, _message.c.chat_id == chat_id, owner)


def last_used(connection: Connection, chat_id: str, owner: str) -> tuple[str | None, dict[str, Any]] | None:
    """The same of the answer that the shown path ends with."""
    leaf = select(_chat.c.leaf_id).where(_chat.c.id == chat_id).scalar_subquery()
    return next(iter(_used(connection, (_message.c.chat_id == chat_id) & (_message.c.id == leaf), owner)), None)


def _here(owner: str) -> tuple[ColumnElement[bool], ...]:
    """A chat that the owner may find."""
    return _chat.c.owner == owner, _chat.c.deleted_at.is_(None)


def _used(connection: Connection, where: Any, owner: str) -> list[tuple[str | None, dict[str, Any]]]:
    query = select(_message.c.model, _message.c.usage).join(_chat)
    query = query.where(where, _message.c.role == Role.assistant, *_here(owner))
    return [(row.model, row.usage) for row in connection.execute(query) if row.usage]


def model_of(connection: Connection, message_id: str) -> str | None:
    model: str | None = connection.execute(select(_message.c.model).where(_message.c.id == message_id)).scalar()
    return model
