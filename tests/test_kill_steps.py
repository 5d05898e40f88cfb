"""SIGKILL before each statement, and each commit, of a turn from its start to its end: nothing is ever half there.

`test_kill` and `test_kill_short` kill at random moments of a whole server; here no moment is left out.
"""

import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from chat_app.errors import ChatError
from chat_app.models import Chat, JournalRow, Message, Role, Status
from chat_app.parts import parts_of
from chat_app.store.store import Store
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from tests import journal, places
from tests.cut_off import PARTS, CutOff, Life
from tests.postgres import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOW = {
    "complete": ["new chat", "empty chat", "ask", "edit", "regenerate", "continue"],
    "failed": ["ask"],
    "stopped": ["ask"],
}
WHOLE = [place for kind, said in PARTS for place in places.of_part(kind, said)]


# A kill at some of the steps; in `make test-thorough` at each.
TURNS = [
    ("sqlite", "complete", 9),
    *(pytest.param("sqlite", ends, 1, marks=pytest.mark.thorough) for ends in HOW),
    *(("postgresql", ends, 4) for ends in HOW),
]
RECOVERIES = [
    ("sqlite", 9),
    pytest.param("sqlite", 1, marks=pytest.mark.thorough),
    ("postgresql", 4),
]


@pytest.fixture(scope="module")
def cut_off() -> Iterator[CutOff]:
    with CutOff() as cut_off:
        yield cut_off


Emptied = Callable[[], AbstractAsyncContextManager[tuple[Store, str]]]
"""An empty database and its URL, for the block."""


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Emptied:
    numbers = count()

    @asynccontextmanager
    async def on_sqlite() -> AsyncIterator[tuple[Store, str]]:
        file = shutil.copy(request.getfixturevalue("migrated"), tmp_path / f"{next(numbers)}.db")
        async with opened(f"sqlite:///{file}") as opening:
            yield opening

    @asynccontextmanager
    async def on_postgres() -> AsyncIterator[tuple[Store, str]]:
        postgres: Postgres = request.getfixturevalue("postgres")
        async with (
            postgres.database(request.getfixturevalue("migrated_on_postgres")) as name,
            opened(postgres.url(name)) as opening,
        ):
            yield opening

    return on_sqlite if request.param == "sqlite" else on_postgres


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Store, str]]:
    store = Store(url)
    await store.open()
    yield store, url
    await store.close()


@pytest.mark.parametrize(("empty", "ends", "stride"), TURNS, indirect=["empty"])
async def test_killed_at_any_statement_no_turn_is_half(
    empty: Emptied, cut_off: CutOff, ends: str, stride: int, figure: Callable[[object], None]
) -> None:
    seen: list[str] = []
    for how in HOW[ends]:
        # After each kill all that is there is read, and more comes: one for all would take half as long again.
        async with empty() as (store, url):
            for step in count(0, stride):
                life = await prepared(store, how, ends, f"{how} {step}")
                before = await everything(store)
                killed = await cut_off.live(url, step, life)
                seen.append(await check(url, life, killed, before))
                if not killed:
                    break
        assert step >= stride
    kills, begun = len(seen) - len(HOW[ends]), len(seen) - seen.count("nothing")
    figure(f"{ends}: killed at {kills} steps of {len(HOW[ends])} turns; {begun} of the turns had begun")
    assert set(seen) >= {"nothing", "interrupted", ends}


@pytest.mark.parametrize(("empty", "stride"), RECOVERIES, indirect=["empty"])
async def test_killed_while_it_recovers_it_recovers_the_next_time(empty: Emptied, cut_off: CutOff, stride: int) -> None:
    async with empty() as (store, url):
        for step in count(0, stride):
            orphans = [(await store.begin_turn(f"{step} {number}"))[1] for number in range(3)]
            for orphan in orphans:
                await journal.write(store, orphan.id, ("reasoning", "so"), ("text", "far"), ("tool", '{"id": 1}'))
            killed = await cut_off.recover(url, step)
            await (await reopened(url)).close()
            for orphan in orphans:
                stored = await store.message(orphan.id)
                assert stored and stored.status == Status.interrupted
                assert said(stored) == [("reasoning", "so"), ("text", "far"), ("tool", {"id": 1})]
            if not killed:
                break
    assert step >= stride


async def prepared(store: Store, how: str, ends: str, name: str) -> Life:
    """A turn that may begin; its chat, where it needs one, has an exchange."""
    life = Life(how, ends, f"question {name}", f"key {name}")
    if how == "new chat":
        return life
    if how == "empty chat":
        chat_id, message_id = (await store.create_chat()).id, ""
    else:
        user, reply, _ = await store.begin_turn(f"before {name}")
        await store.end_turn(reply.id, {"content": "The text. ", "status": Status.stopped, "finish_reason": "stopped"})
        chat_id, message_id = user.chat_id, user.id if how == "edit" else reply.id
    return Life(how, ends, life.content, life.key, chat_id, message_id)


async def check(url: str, life: Life, killed: bool, before: Sequence[Message]) -> str:
    """What is left of it, after a start as any other."""
    store = await reopened(url)
    after = {message.id: message for message in await everything(store)}
    assert all(after[message.id].content == message.content for message in before)
    reply = await store.message_by_key(life.key)
    new = after.keys() - {message.id for message in before}
    new_questions = life.how not in ("regenerate", "continue")
    if reply is None:
        assert not new
    else:
        assert len(new) == 1 + new_questions
        check_reply(life, reply, after[reply.parent_id or ""], killed)
        shown = await store.messages(reply.chat_id)
        assert shown[-1].id == reply.id
    await check_again(store, life, reply)
    await store.close()
    return reply.status if reply else "nothing"


def check_reply(life: Life, reply: Message, question: Message, killed: bool) -> None:
    head = places.of_part("text", "The text. ") if life.how == "continue" else []
    stored = [place for kind, text in said(reply) for place in places.of_part(kind, text)]
    assert places.begins(head + WHOLE, stored)
    assert question.role == Role.user
    if not killed:
        assert reply.status == life.ends
    assert len(stored) >= len(head)
    if reply.status != Status.interrupted:
        assert (reply.status, stored) == (life.ends, head + WHOLE)


async def short_answer(messages: object) -> AsyncGenerator[str, None]:
    yield "Yes."


async def check_again(store: Store, life: Life, reply: Message | None) -> None:
    """Asked again with the same key: the same turn, or one that begins now, and no second one."""
    turns = Turns(store, MemoryBackplane(), short_answer)
    turn = await life.begin(turns)
    await turn.end()
    assert reply is None or turn.id == reply.id
    once_more = await life.begin(turns)
    assert once_more.id == turn.id
    # The chat is free.
    try:
        await (await turns.start("and more", turn.chat_id)).end()
    except ChatError as problem:
        raise AssertionError("its chat is blocked") from problem
    await turns.close()
    async with store.database.reading() as session:
        questions = (await session.exec(select(Message).where(Message.content == life.content))).all()
    assert len(questions) == (life.how not in ("regenerate", "continue"))


def said(message: Message) -> list[tuple[str, Any]]:
    return [(part.kind, part.data or part.text) for part in parts_of(message)]


async def reopened(url: str) -> Store:
    """The database after a start: each question has an answer, each answer its question and its end."""
    store = Store(url)
    await store.open()
    await Turns(store, MemoryBackplane(), short_answer).recover()
    async with store.database.reading() as session:
        messages = (await session.exec(select(Message))).all()
        chats = (await session.exec(select(Chat))).all()
        assert not (await session.exec(select(JournalRow))).all()
    known = {message.id: message for message in messages}
    answered = {message.parent_id for message in messages if message.role == Role.assistant}
    assert answered == {message.id for message in messages if message.role == Role.user}
    assert Status.streaming not in {message.status for message in messages}
    assert {message.chat_id for message in messages} <= {chat.id for chat in chats}
    # A chat that a first message begins has it.
    assert all(chat.leaf_id in known or chat.title == "New chat" for chat in chats)
    return store


async def everything(store: Store) -> Sequence[Message]:
    async with store.database.reading() as session:
        return (await session.exec(select(Message))).all()
