"""The tables. A chat is a tree of messages: a new version of a message is a sibling, nothing is overwritten."""

import zlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Index, TypeDecorator, UniqueConstraint, false, text
from sqlmodel import AutoString, Field, SQLModel
from uuid_utils import uuid7

from chat_app.names import clean_name
from chat_app.usage import clean_usage

MAX_REMARK_CHARS = 2_000
MAX_SYSTEM_PROMPT_CHARS = 32_000


PACKED_CHARS = 1_000


class Role(StrEnum):
    user = "user"
    assistant = "assistant"


class Status(StrEnum):
    """`streaming` while the turn runs, then exactly one of the end states."""

    streaming = "streaming"
    complete = "complete"
    stopped = "stopped"
    failed = "failed"
    interrupted = "interrupted"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in and out: SQLite has none, and a naive one is a bug waiting in a comparison."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class UsageCounts(TypeDecorator[dict[str, Any]]):
    """JSON. Older versions stored what a provider sent, also what no reader of it can take."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:
        return clean_usage(value)


class PackedText(TypeDecorator[str]):
    """Text that is kept for a short time; SQLite gets it compressed where it is long, PostgreSQL does so by itself."""

    impl = AutoString
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        if value is None or len(value) < PACKED_CHARS or dialect.name != "sqlite":
            return value
        return zlib.compress(value.encode(), level=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return zlib.decompress(value).decode() if isinstance(value, bytes) else value


class OneLine(TypeDecorator[str]):
    """A name. Older versions stored some as they came."""

    impl = AutoString
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_name(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else clean_name(value)


def new_id() -> str:
    """A UUIDv7: sorts by time of creation, cannot be guessed."""
    return str(uuid7())


def now() -> datetime:
    return datetime.now(UTC)


OF_OWNER = "\x1f"
"""Stands between an owner and an idempotency key of theirs, and is in neither."""


def owned_key(owner: str, key: str) -> str:
    """As it is stored: keys are a person's, and the column is unique."""
    return f"{owner}{OF_OWNER}{key}" if owner else key


class Chat(SQLModel, table=True):
    """One chat. `model`, `system_prompt` and `temperature` are this chat's own; None is the app's default.

    `owner` is that of a `Caller`: nobody else sees the chat. It is "" on a server without accounts.

    `named` says that a person or the model gave the title, `leaf_id` is the message that the shown path ends with
    (None: the newest), `deleted_at` is set while the chat is in the trash.
    """

    # As the list is sorted: it is read in this order, however many chats others have.
    __table_args__ = (Index("chat_by_owner", "owner", "pinned", "updated_at", "id"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    owner: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    title: str = Field(sa_type=OneLine)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    pinned: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    named: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    # No foreign key: with the message's own to its chat it would be a circle. A leaf that is gone means the newest.
    leaf_id: str | None = None
    model: str | None = Field(default=None, sa_type=OneLine)
    system_prompt: str | None = None
    temperature: float | None = None
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Message(SQLModel, table=True):
    """One message; an assistant's is also its turn: `id` is the turn's id.

    `first_token_ms` and `duration_ms` are milliseconds from the start of the turn to the first token and to the end.
    `usage` is the provider's (`prompt_tokens`, `completion_tokens`, …), `error` a `ChatError.as_dict()`. `rating` is -1
    (thumbs down), 0 or 1, with a remark. `parts` is the order of an answer's parts, see the module `parts`. `depth`
    is how many messages come before it in its chat.
    """

    __table_args__ = (
        # One running turn a chat, also with several workers: the database refuses the second.
        Index(
            "one_running_turn",
            "chat_id",
            unique=True,
            sqlite_where=text("status = 'streaming'"),
            postgresql_where=text("status = 'streaming'"),
        ),
        Index("message_by_chat", "chat_id", "id"),
        Index("remarked", "id", sqlite_where=text("remark <> ''"), postgresql_where=text("remark <> ''")),
    )

    id: str = Field(default_factory=new_id, primary_key=True)
    chat_id: str = Field(foreign_key="chat.id", ondelete="CASCADE")
    parent_id: str | None = Field(default=None, foreign_key="message.id", ondelete="CASCADE", index=True)
    depth: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    role: str
    content: str = ""
    reasoning: str = ""
    parts: list[dict[str, Any]] | None = Field(default=None, sa_type=JSON)
    status: str = Status.complete
    finish_reason: str | None = None
    model: str | None = Field(default=None, sa_type=OneLine)
    usage: dict[str, Any] | None = Field(default=None, sa_type=UsageCounts)
    error: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    first_token_ms: int | None = None
    duration_ms: int | None = None
    idempotency_key: str | None = Field(default=None, unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    rating: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    remark: str = Field(default="", sa_column_kwargs={"server_default": text("''")})

    @property
    def key(self) -> str:
        """The idempotency key as its sender knows it, "" without one."""
        return (self.idempotency_key or "").rpartition(OF_OWNER)[2]


class JournalRow(SQLModel, table=True):
    """What a running turn has newly got: rows are only ever added, and dropped when the turn's end is saved.

    `seq` is the number of the text's end, `part` which part of the reply it belongs to, counted from 0; a whole part's
    `text` is its JSON. No index, and no foreign key: every beat writes for all running turns, next to each other.
    """

    __tablename__ = "journal"

    id: int | None = Field(default=None, primary_key=True)
    turn_id: str
    seq: int
    part: int
    kind: str
    text: str = Field(sa_type=PackedText)


class Queued(SQLModel, table=True):
    """A question that waits in its chat until the answer there has ended; the oldest `id` is asked first.

    `key` is its idempotency key, `caller` who asks (see `chat_app.queue`), and `error` a `ChatError.as_dict()` where it
    could not be asked when it was its turn.
    """

    __tablename__ = "queue"
    __table_args__ = (UniqueConstraint("chat_id", "key", name="queued_once"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    chat_id: str = Field(foreign_key="chat.id", ondelete="CASCADE")
    content: str
    key: str
    caller: dict[str, Any] = Field(sa_type=JSON)
    error: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ChatValues(SQLModel, table=True):
    """What an agent keeps for a chat. A table of its own: lists of chats need none of it."""

    __tablename__ = "chat_values"

    chat_id: str = Field(foreign_key="chat.id", ondelete="CASCADE", primary_key=True)
    data: dict[str, Any] = Field(sa_type=JSON)


class Request(SQLModel, table=True):
    """What came with a question and is not in its text, where there is something: most have none.

    `given` is its metadata, `digest` the SHA-256 of the text as it was sent where a hook has changed it.
    """

    message_id: str = Field(foreign_key="message.id", ondelete="CASCADE", primary_key=True)
    given: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    digest: str | None = None


class MeasureRow(SQLModel, table=True):
    """How an answer came to one person, as their browser measured it; see the module `measures`.

    `person` is a hash of the browser's random key, `streams` whether FEATURE_STREAMING gives it streaming. Times are
    milliseconds, None where they are not known.
    """

    __tablename__ = "measure"

    turn_id: str = Field(primary_key=True)
    person: str = Field(primary_key=True, index=False)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    door: str
    streams: bool
    whole: bool = False
    reason: str = ""
    resumed: int = 0
    hidden: bool = False
    closed: bool = False
    own_ms: int | None = None
    first_ms: int | None = None
    lag_ms: int | None = None
    gap_ms: int | None = None

    __table_args__ = (Index("measure_by_person", "person"),)


class HourRow(SQLModel, table=True):
    """What came of the turns that began in one hour, added up; `recipe` says how, see `store/hours.py`."""

    __tablename__ = "hour"

    start: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    recipe: str
    sums: dict[str, Any] = Field(sa_type=JSON)


ADDRESS = "address:"
"""What the `owner` of the account begins with that all visitors from an address share."""


class SpentRow(SQLModel, table=True):
    """What an owner took in a day (`2026-11-27`) or a month (`2026-11`), in UTC. Not tied to chats: to delete one gives
    nothing back."""

    __tablename__ = "spent"

    owner: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    tokens: int = Field(default=0, sa_type=BigInteger)
    dollars: float = 0.0


class SurveyRow(SQLModel, table=True):
    """How fast answers feel to a person: 1 (slow) to 5 (fast), and a remark."""

    __tablename__ = "survey"

    person: str = Field(primary_key=True)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    streams: bool
    feel: int
    remark: str = ""


class Person(SQLModel, table=True):
    """Somebody with an account; `id` is the owner of their chats.

    `key` is the name as it is compared. `password` is an Argon2 hash, None where others say who this is; `subject` is
    what an OpenID Connect provider calls this person, the provider's address and a space before it.
    """

    __tablename__ = "person"

    id: str = Field(default_factory=new_id, primary_key=True)
    name: str = Field(sa_type=OneLine)
    key: str = Field(unique=True)
    password: str | None = None
    subject: str | None = Field(default=None, unique=True)
    admin: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Login(SQLModel, table=True):
    """A browser in which somebody is signed in, by the hash of what its cookie holds."""

    __tablename__ = "login"

    digest: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id", ondelete="CASCADE", index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class Invitation(SQLModel, table=True):
    """A link with which somebody may make an account, once, by the hash of what is in it."""

    __tablename__ = "invitation"

    digest: str = Field(primary_key=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class ApiKey(SQLModel, table=True):
    """A person's key for programs, by the hash of it; `scope` is `read` or `chat`."""

    __tablename__ = "api_key"

    id: str = Field(default_factory=new_id, primary_key=True)
    person_id: str = Field(foreign_key="person.id", ondelete="CASCADE", index=True)
    name: str = Field(sa_type=OneLine)
    digest: str = Field(unique=True)
    scope: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
