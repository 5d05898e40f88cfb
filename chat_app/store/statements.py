"""What a turn reads and writes, as plain statements: no session, no objects of the ORM's, nothing read that is in hand.

Each function takes a connection within a transaction, see `Database.write` and `Database.read`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, literal, select, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.errors import NotFound, TurnRunning, no_answer, no_chat
from chat_app.models import Chat, JournalRow, Message, Role, Status, now, owned_key
from chat_app.parts import TEXT, columns, folded, parts_of
from chat_app.store import tree
from chat_app.store.chatfile import title_from

INTERRUPTED = {"status": Status.interrupted, "finish_reason": Status.interrupted.value}

_chat, _message, _journal, _queue, _person = (
    SQLModel.metadata.tables[name] for name in ("chat", "message", "journal", "queue", "person")
)
# Made once: to put a statement together takes longer than to run it.
ADD_CHAT, ADD_MESSAGES, ADD_ROWS = insert(_chat), insert(_message), insert(_journal)
ADD_REQUEST = insert(SQLModel.metadata.tables["request"])
DROP_ROWS = delete(_journal).where(_journal.c.turn_id == bindparam("turn"))
# Whoever is not its owner does not find it, by the same statement that finds no chat at all.
HERE = (_chat.c.owner == bindparam("whose"), _chat.c.deleted_at.is_(None))
HAS_CHAT = (_chat.c.id == bindparam("chat"), *HERE)
OPTIONS = ("model", "temperature", "system_prompt")
USE_CHAT = (
    update(_chat).where(*HAS_CHAT).values(updated_at=bindparam("time")).returning(*(_chat.c[name] for name in OPTIONS))
)
SHOW = update(_chat).where(_chat.c.id == bindparam("chat")).values(leaf_id=bindparam("leaf"))
NAME = update(_chat).where(_chat.c.id == bindparam("chat")).values(title=bindparam("title_"))
SHOWN = (
    select(_chat.c.leaf_id, _chat.c.named, _message.c.id, _message.c.depth)
    .outerjoin(_message, (_message.c.id == _chat.c.leaf_id) & (_message.c.chat_id == _chat.c.id))
    .where(_chat.c.id == bindparam("chat"))
)
PARENT = select(_message.c.parent_id).where(_message.c.id == bindparam("message"))
PARENTS = select(_message.c.id, _message.c.parent_id, _message.c.depth).where(_message.c.chat_id == bindparam("chat"))
RUNNING = select(_message.c.id).where(_message.c.chat_id == bindparam("chat"), _message.c.status == Status.streaming)
IS_RUNNING = _message.c.status == Status.streaming
BY_KEY = select(_message.c.id).where(_message.c.idempotency_key == bindparam("key"))
ONE = select(_message).join(_chat).where(_message.c.id == bindparam("message"), *HERE)
PATH_END = ONE.where(_chat.c.leaf_id == _message.c.id)
UNLIMITED = 1_000_000_000


def _said_above() -> Select[Any]:
    """What was said up to the message `start`, the newest first, until there are `chars` characters."""
    first = select(_message.c.parent_id, _message.c.role, _message.c.content, literal(1).label("depth"))
    first = first.add_columns(func.length(_message.c.content).label("chars"))
    said = first.where(_message.c.id == bindparam("start")).cte("said", recursive=True)
    more = select(_message.c.parent_id, _message.c.role, _message.c.content, said.c.depth + 1)
    more = more.add_columns(said.c.chars + func.length(_message.c.content))
    more = more.join(said, _message.c.id == said.c.parent_id).where(said.c.chars < bindparam("chars"))
    said = said.union_all(more)
    return select(said.c.role, said.c.content).where(said.c.content != "").order_by(said.c.depth)


SAID_ABOVE = _said_above()


class Above(NamedTuple):
    """What a message follows in its chat, and its own depth."""

    id: str | None
    depth: int


TOP = Above(None, 0)


class Said(NamedTuple):
    """A message as a model is told of it."""

    role: str
    content: str


@dataclass(slots=True)
class Prompt:
    """What a model is asked in a turn, oldest message first, with the chat's own `model`, `temperature` and
    `system_prompt`. The transaction that begins the turn fills it in.

    Of the chat, `max_chars` characters are read, from the newest message on; what crosses the limit is the last.
    """

    max_chars: int = UNLIMITED
    options: dict[str, Any] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Question:
    """What a turn begins with, in a chat of the `owner`'s; without a `chat_id` in a new one, with its own `settings`.
    `key` is stored as it is. `metadata` came with it, and `digest` is that of the text that was sent, where a hook has
    changed it."""

    owner: str
    content: str
    chat_id: str | None
    key: str | None
    edit_of: str | None
    settings: dict[str, Any]
    metadata: Mapping[str, Any] | None = None
    digest: str | None = None


def begin_turn(connection: Connection, question: Question, prompt: Prompt | None = None) -> tuple[Message, Message]:
    """The user's message and the empty reply. Raises NotFound, TurnRunning."""
    user, reply, options = _begin(connection, question)
    if prompt:
        _fill(connection, prompt, user, options)
    if question.metadata or question.digest:
        note = {"message_id": user.id, "given": question.metadata or None, "digest": question.digest}
        connection.execute(ADD_REQUEST, note)
    return user, reply


def _begin(connection: Connection, question: Question) -> tuple[Message, Message, dict[str, Any]]:
    """Both messages, and the options of their chat."""
    if question.edit_of is None and question.chat_id is None:
        return _begin_chat(connection, question)
    chat_id, above, options = _place(connection, question)
    user, reply = _exchange(question, chat_id, above)
    _add(connection, user, reply)
    connection.execute(SHOW, {"chat": chat_id, "leaf": reply.id})
    return user, reply, options


def begin_reply(
    connection: Connection,
    owner: str,
    reply_id: str,
    content: str | None,
    key: str | None = None,
    prompt: Prompt | None = None,
) -> tuple[Message, Message]:
    """The user's message and another reply to it, which begins with `content`; None: with the text of the first. The
    chat is the `owner`'s, and `key` is stored as it is.

    Raises NotFound, TurnRunning: also of a turn that the key began.
    """
    old = _one(connection, owner, reply_id)
    user = _one(connection, owner, old.parent_id) if old and old.parent_id else None
    if old is None or user is None or old.role != Role.assistant:
        raise no_answer()
    options = _use(connection, owner, old.chat_id)
    if key is not None and (known := connection.execute(BY_KEY, {"key": key}).scalar()):
        raise TurnRunning(known)
    reply = _reply(old.chat_id, user, content=old.content if content is None else content, idempotency_key=key)
    _add(connection, reply)
    connection.execute(SHOW, {"chat": old.chat_id, "leaf": reply.id})
    if prompt:
        _fill(connection, prompt, user, options)
    return user, reply


def said(connection: Connection, message_id: str | None, max_chars: int = UNLIMITED) -> list[Said]:
    """What was said up to a message, oldest first; messages without text (a failed answer) are left out."""
    if message_id is None or max_chars <= 0:
        return []
    rows = connection.execute(SAID_ABOVE, {"start": message_id, "chars": max_chars}).all()
    return [Said(*row) for row in reversed(rows)]


def context(connection: Connection, turn_id: str, max_chars: int) -> list[Said]:
    """What a turn answers."""
    return said(connection, connection.execute(PARENT, {"message": turn_id}).scalar(), max_chars)


def _fill(connection: Connection, prompt: Prompt, user: Message, options: dict[str, Any]) -> None:
    before = said(connection, user.parent_id, prompt.max_chars - len(user.content))
    prompt.options, prompt.said = options, [*before, Said(user.role, user.content)]


def adopt(connection: Connection, owner: str) -> int:
    """Give this owner the chats that have none, with the questions that wait in them; returns how many chats."""
    ownerless = select(_chat.c.id).where(_chat.c.owner == "")
    began = _message.c.idempotency_key.is_not(None) & _message.c.chat_id.in_(ownerless)
    keys = update(_message).where(began)
    connection.execute(keys.values(idempotency_key=literal(owned_key(owner, "")) + _message.c.idempotency_key))
    name = connection.execute(select(_person.c.name).where(_person.c.id == owner)).scalar() or ""
    asking = {"owner": owner, "name": name, "kind": "person", "key_id": ""}
    connection.execute(update(_queue).where(_queue.c.chat_id.in_(ownerless)).values(caller=asking))
    return connection.execute(update(_chat).where(_chat.c.owner == "").values(owner=owner)).rowcount


def drop_owner(connection: Connection, owner: str) -> None:
    """Delete all chats of an owner's, those in the trash too."""
    chats = select(_chat.c.id).where(_chat.c.owner == owner)
    # Untied first: a cascade from message to message is as deep as a chat is long.
    connection.execute(update(_message).where(_message.c.chat_id.in_(chats)).values(parent_id=None))
    connection.execute(delete(_chat).where(_chat.c.owner == owner))


def add_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(ADD_ROWS, rows)


def end_turn(connection: Connection, turn_id: str, values: Mapping[str, Any]) -> None:
    """The rows go first: the text then takes their place in the file."""
    connection.execute(DROP_ROWS, {"turn": turn_id})
    connection.execute(update(_message).where(_message.c.id == turn_id).values(**values))


def path_end_at(connection: Connection, owner: str, message_id: str) -> Message | None:
    """The message, if the shown path of its chat ends with it."""
    found = connection.execute(PATH_END, {"message": message_id, "whose": owner}).mappings()
    messages = [Message(**row) for row in found]
    join_journal(connection, messages)
    return messages[0] if messages else None


def running(connection: Connection) -> list[str]:
    """The turns that are called running."""
    return list(connection.execute(select(_message.c.id).where(IS_RUNNING)).scalars())


def interrupt(
    connection: Connection, turn_ids: Sequence[str], error: Mapping[str, Any] | None = None, *, anew: bool = False
) -> None:
    """End what nobody runs any more, with what the journal has of it. `error` is why, where it is known.

    `anew`: as a new row in the place of the old one, where the database does not take a change of that.
    """
    found = connection.execute(select(_message).where(_message.c.id.in_(turn_ids), IS_RUNNING))
    messages = [Message(**row) for row in found.mappings()]
    join_journal(connection, messages)
    for message in messages:
        kept = {"content": message.content, "reasoning": message.reasoning, "parts": message.parts}
        values = kept | INTERRUPTED | {"error": error}
        (_end_anew if anew else end_turn)(connection, message.id, values)


def drop_strays(connection: Connection) -> None:
    """Rows of the journal whose turn is gone, or has ended."""
    connection.execute(delete(_journal).where(_journal.c.turn_id.not_in(select(_message.c.id).where(IS_RUNNING))))


def join_journal(connection: Connection, messages: Sequence[Message]) -> None:
    """Give the running ones among them the text that is only in the journal."""
    running = {message.id: message for message in messages if message.status == Status.streaming}
    if not running:
        return
    query = select(_journal).where(_journal.c.turn_id.in_(running)).order_by(_journal.c.turn_id, _journal.c.id)
    rows = [JournalRow(**row) for row in connection.execute(query).mappings()]
    for turn_id, of_turn in groupby(rows, key=lambda row: row.turn_id):
        message = running[turn_id]
        for name, value in columns(folded(list(of_turn), parts_of(message))).items():
            # No change of the row's, where a session has it.
            set_committed_value(message, name, value)


async def joined(session: AsyncSession, messages: Sequence[Message]) -> Sequence[Message]:
    """The same for those of a session."""
    if any(message.status == Status.streaming for message in messages):
        await (await session.connection()).run_sync(join_journal, messages)
    return messages


# As `turns.final_write` gives them: in another order it would be another statement.
ENDED = columns([]) | dict.fromkeys(
    ["status", "finish_reason", "usage", "error", "model", "first_token_ms", "duration_ms"]
)


def rehearse(connection: Connection) -> None:
    """All that a turn writes, taken back again."""
    with connection.begin_nested() as savepoint:
        question = Question("", "rehearsal", None, None, None, {})
        for _ in range(2):
            user, reply = begin_turn(connection, question, Prompt())
            add_rows(connection, [{"turn_id": reply.id, "seq": 1, "part": 0, "kind": TEXT, "text": "x"}])
            end_turn(connection, reply.id, ENDED | {"status": Status.complete})
            question = replace(question, chat_id=user.chat_id)
        savepoint.rollback()


def rehearse_reading(connection: Connection) -> None:
    _one(connection, "", "")
    path_end_at(connection, "", "")


def _end_anew(connection: Connection, turn_id: str, values: Mapping[str, Any]) -> None:
    # Nothing follows an answer that is not there yet: so nothing goes with its row.
    row = connection.execute(select(_message).where(_message.c.id == turn_id)).mappings().one()
    connection.execute(delete(_message).where(_message.c.id == turn_id))
    connection.execute(ADD_MESSAGES, [{**row, **values}])
    connection.execute(DROP_ROWS, {"turn": turn_id})


def _begin_chat(connection: Connection, question: Question) -> tuple[Message, Message, dict[str, Any]]:
    chat = Chat(owner=question.owner, **{"title": title_from(question.content)} | question.settings)
    user, reply = _exchange(question, chat.id, TOP)
    chat.leaf_id = reply.id
    connection.execute(ADD_CHAT, chat.model_dump())
    _add(connection, user, reply)
    return user, reply, {name: getattr(chat, name) for name in OPTIONS}


def _place(connection: Connection, question: Question) -> tuple[str, Above, dict[str, Any]]:
    """The chat of a new message of the user's, what is above it, and the chat's options."""
    if question.edit_of is None:
        chat_id = question.chat_id or ""
        options = _use(connection, question.owner, chat_id)
        return chat_id, _leaf(connection, chat_id, question.content), options
    edited = _one(connection, question.owner, question.edit_of)
    if edited is None or edited.role != Role.user or question.chat_id not in (None, edited.chat_id):
        raise NotFound("There is no such question in this chat. It may have been deleted.")
    return edited.chat_id, Above(edited.parent_id, edited.depth), _use(connection, question.owner, edited.chat_id)


def _use(connection: Connection, owner: str, chat_id: str) -> dict[str, Any]:
    """The chat's options. Written before anything is read: that locks the chat, so that nobody deletes it or begins a
    turn in it meanwhile.

    Raises:
        NotFound: the owner has no such chat.
        TurnRunning: it has a running turn.
    """
    # PostgreSQL takes no NUL, not even in a question.
    used = {"chat": chat_id, "whose": owner, "time": now()}
    options = None if "\0" in chat_id else connection.execute(USE_CHAT, used).mappings().first()
    if options is None:
        raise no_chat()
    if running := connection.execute(RUNNING, {"chat": chat_id}).scalar():
        raise TurnRunning(running)
    return dict(options)


def _leaf(connection: Connection, chat_id: str, content: str) -> Above:
    """The shown path, by its end. A chat that is still empty gets its title from its first message."""
    leaf_id, named, found, depth = connection.execute(SHOWN, {"chat": chat_id}).one()
    if found:
        return Above(leaf_id, depth + 1)
    rows = connection.execute(PARENTS, {"chat": chat_id}).all()
    if not rows and not named:
        connection.execute(NAME, {"chat": chat_id, "title_": title_from(content)})
    leaf = tree.newest_leaf({row.id: row.parent_id for row in rows})
    return next((Above(row.id, row.depth + 1) for row in rows if row.id == leaf), TOP)


def _one(connection: Connection, owner: str, message_id: str) -> Message | None:
    if "\0" in message_id:
        return None
    row = connection.execute(ONE, {"message": message_id, "whose": owner}).mappings().first()
    return Message(**row) if row else None


def _exchange(question: Question, chat_id: str, above: Above) -> tuple[Message, Message]:
    user = Message(chat_id=chat_id, parent_id=above.id, depth=above.depth, role=Role.user, content=question.content)
    return user, _reply(chat_id, user, idempotency_key=question.key)


def _reply(chat_id: str, user: Message, **values: Any) -> Message:
    values |= {"parent_id": user.id, "depth": user.depth + 1}
    return Message(chat_id=chat_id, role=Role.assistant, status=Status.streaming, **values)


def _add(connection: Connection, *messages: Message) -> None:
    # In order, since a message names its parent.
    connection.execute(ADD_MESSAGES, [message.model_dump() for message in messages])
