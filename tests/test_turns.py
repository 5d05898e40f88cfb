"""The core on a real SQLite store: a turn lives on whoever leaves, keeps its text, and always ends exactly once."""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chat_app.errors import InternalError, InvalidRequest, KeyReused, NotFound, ProviderBusy, ShuttingDown, TurnRunning
from chat_app.models import Message, Status
from chat_app.parts import Part
from chat_app.reply import ChatMessage, Piece
from chat_app.store.store import Store
from chat_app.turns.journal import AHEAD_CHARS
from chat_app.turns.log import Delta, Ended, Event, MemoryLog
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.turns.turn import END_OF_INTERRUPTED, Turn
from tests import journal
from tests.clock import Clock
from tests.slow_backplane import SlowBackplane

pytestmark = pytest.mark.anyio

HANG = object()
"""A step of a script: the source is silent from here on."""


class ScriptedReply:
    """A reply source: each turn takes the next script and does its steps. Text and pieces are yielded, errors raised,
    events waited for. `histories` is what it was asked, `closed` how many of its generators have ended."""

    def __init__(self) -> None:
        self.histories: list[list[ChatMessage]] = []
        self.closed = 0
        self._scripts: deque[tuple[object, ...]] = deque()

    def enqueue(self, *steps: object) -> None:
        self._scripts.append(steps)

    async def __call__(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Piece | str, None]:
        self.histories.append(list(messages))
        try:
            for step in self._scripts.popleft():
                if isinstance(step, str | Piece | Part | list):
                    yield step
                elif isinstance(step, Exception):
                    raise step
                else:
                    await (step if isinstance(step, asyncio.Event) else asyncio.Event()).wait()
        finally:
            self.closed += 1


MakeBackplane = Callable[[], MemoryBackplane]


@pytest.fixture(params=["memory", pytest.param("slow", marks=pytest.mark.slow)])
def make_backplane(request: pytest.FixtureRequest) -> MakeBackplane:
    """All tests run on the plain one, and on one on which nothing is instant; `BACKPLANE_SEED` gives another order."""
    if request.param == "memory":
        return MemoryBackplane
    return partial(SlowBackplane, int(os.environ.get("BACKPLANE_SEED", "1")))


@pytest.fixture
def reply() -> ScriptedReply:
    return ScriptedReply()


@pytest.fixture
async def turns(store: Store, reply: ScriptedReply, make_backplane: MakeBackplane) -> AsyncIterator[Turns]:
    turns = Turns(store, make_backplane(), reply, max_message_chars=100)
    yield turns
    await turns.close()


@pytest.fixture
def hasty_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final write is tried again, but soon."""
    monkeypatch.setattr("chat_app.turns.final_write.FINAL_WRITE_RETRIES_S", (0.01, 0.01))


@pytest.fixture
def often_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat_app.turns.journal.BEAT_S", 0.02)
    monkeypatch.setattr("chat_app.turns.journal.RETRY_S", 0.02)


@pytest.fixture
def soon_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat_app.turns.memory.LINGER_S", 0)


class SlowBegin:
    """`begin_turn` saves, sets `saved`, and returns when `go_on` is set; where it saves nothing it sets `refused`."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.saved, self.refused, self.go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._begin_turn = store.begin_turn
        monkeypatch.setattr(store, "begin_turn", self)

    async def __call__(self, *args: Any, **options: Any) -> tuple[Message, Message, bool]:
        try:
            begun = await self._begin_turn(*args, **options)
        except TurnRunning:
            self.refused.set()
            raise
        self.saved.set()
        await self.go_on.wait()
        return begun


@pytest.fixture
def slow_begin(store: Store, monkeypatch: pytest.MonkeyPatch) -> SlowBegin:
    return SlowBegin(store, monkeypatch)


def text(events: list[Event], kind: str = "text") -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.kind == kind)


async def read(turn: Turn, after: int = 0) -> list[Event]:
    """All events to the end; a reader that hangs is an error."""
    async with asyncio.timeout(30):
        return [event async for event in turn.events(after)]


async def end(turn: Turn) -> Ended:
    async with asyncio.timeout(30):
        return await turn.end()


async def first(turn: Turn) -> list[Event]:
    """Wait for the first batch."""
    async with asyncio.timeout(5):
        return await anext(turn.batches())


async def saved(store: Store, turn: Turn) -> Message:
    message = await store.message(turn.id)
    assert message is not None
    return message


async def until(condition: Callable[[], Awaitable[object]], timeout: float = 5) -> None:
    async with asyncio.timeout(timeout):
        while not await condition():
            await asyncio.sleep(0.005)


async def forgotten(turns: Turns, turn: Turn) -> None:
    """Wait until the turn is no longer in memory."""

    async def gone() -> bool:
        return await turns.next(turn.chat_id, "") is None

    await until(gone)
    await asyncio.sleep(0)


def task_of(turn: Turn) -> "asyncio.Task[Any]":
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == f"turn {turn.id}"]
    return task


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program writes to the database for as long as the block lasts."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


# A turn that goes well


async def test_a_turn_streams_and_is_saved(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue("Hel", "lo", Piece(finish_reason="stop", usage={"completion_tokens": 2}, model="m"))
    turn = await turns.start("Say hello")
    assert await read(turn) == [
        Delta(3, "Hel"),
        Delta(5, "lo"),
        Ended(6, Status.complete, "stop", {"completion_tokens": 2}),
    ]
    user, answer = await store.messages(turn.chat_id)
    assert (user.id, user.content) == (turn.user.id, "Say hello")
    assert (answer.id, answer.content, answer.status) == (turn.id, "Hello", Status.complete)
    assert (answer.finish_reason, answer.model, answer.usage) == ("stop", "m", {"completion_tokens": 2})
    assert answer.error is None


async def test_both_messages_are_saved_before_the_first_token(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue(HANG)
    turn = await turns.start("Say hello")
    user, answer = await store.messages(turn.chat_id)
    assert (user.content, answer.content, answer.status) == ("Say hello", "", Status.streaming)


async def test_the_source_gets_the_conversation_oldest_first(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("1")
    reply.enqueue("2")
    first_turn = await turns.start("one")
    await end(first_turn)
    await end(await turns.start("two", first_turn.chat_id))
    assert reply.histories == [
        [{"role": "user", "content": "one"}],
        [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": "two"},
        ],
    ]


async def test_numbers_count_characters_also_of_emoji_and_of_reasoning(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue(Piece(reasoning="hm 🤔"), "👋🏽", "é", Piece(text="x", reasoning="!"))
    events = await read(await turns.start("hello"))
    assert [event.seq for event in events] == [4, 6, 7, 8, 9, 10]
    assert (text(events), text(events, "reasoning")) == ("👋🏽éx", "hm 🤔!")


async def test_reasoning_is_saved_apart(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue(Piece(reasoning="let me think"), "42")
    turn = await turns.start("hello")
    await end(turn)
    answer = await saved(store, turn)
    assert (answer.content, answer.reasoning) == ("42", "let me think")


async def test_pieces_without_text_are_no_events(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("", Piece(), "a", Piece(), Piece(finish_reason="length"))
    ended = Ended(2, Status.complete, "length", {"completion_tokens": 1, "estimated": True})
    assert await read(await turns.start("hello")) == [Delta(1, "a"), ended]


@pytest.mark.parametrize(
    "pieces",
    [[], [""], ["  \n"], [Piece(finish_reason="stop")]],
    ids=["nothing", "no text", "blank", "an end alone"],
)
async def test_a_blank_answer_is_not_complete(turns: Turns, reply: ScriptedReply, pieces: list[str | Piece]) -> None:
    reply.enqueue(*pieces)
    *_, ended = await read(await turns.start("hello"))
    assert isinstance(ended, Ended)
    assert ended.status is Status.failed
    assert ended.error == {"code": "no_answer", "message": "The answer came out empty. Try again.", "retryable": True}


async def test_times_are_measured_from_the_start(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    go_on = asyncio.Event()
    reply.enqueue("a", go_on, "b")
    turn = await turns.start("hello")
    await first(turn)
    await asyncio.sleep(0.05)
    go_on.set()
    await end(turn)
    answer = await saved(store, turn)
    assert answer.first_token_ms is not None
    assert answer.duration_ms is not None
    assert 0 <= answer.first_token_ms <= answer.duration_ms - 45


async def test_without_a_token_there_is_no_first_token_time(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue(Piece(finish_reason="stop"))
    turn = await turns.start("hello")
    await end(turn)
    answer = await saved(store, turn)
    assert answer.first_token_ms is None
    assert answer.duration_ms is not None


# A chat's own settings, and other versions


async def test_a_source_without_options_is_asked_as_before(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    """`ScriptedReply` takes no keyword arguments."""
    reply.enqueue("1")
    chat = await store.create_chat()
    await store.set_chat(chat.id, system_prompt="Be brief.")
    assert (await end(await turns.start("hello", chat.id))).status is Status.complete
    assert reply.histories == [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]]


async def test_the_source_gets_the_options_that_are_set(store: Store, make_backplane: MakeBackplane) -> None:
    asked: list[dict[str, Any]] = []

    async def source(messages: Sequence[ChatMessage], **options: Any) -> AsyncGenerator[str, None]:
        asked.append(options)
        yield "text"

    turns = Turns(store, make_backplane(), source)
    chat = await store.create_chat()
    for values in ({}, {"temperature": 0.0}, {"model": "m"}, {"temperature": None}):
        await store.set_chat(chat.id, **values)
        await end(await turns.start("hello", chat.id))
    assert asked == [{}, {"temperature": 0.0}, {"temperature": 0.0, "model": "m"}, {"model": "m"}]
    last = (await store.messages(chat.id))[-1]
    await end(await turns.regenerate(last.id))
    assert asked[-1] == {"model": "m"}
    await end(await turns.start("hello", settings={"model": "n", "temperature": 0.5}))
    assert asked[-1] == {"model": "n", "temperature": 0.5}
    await turns.close()


async def test_an_edited_question_is_answered_in_its_place(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    for n in range(4):
        reply.enqueue(str(n))
    one = await turns.start("one")
    await end(one)
    two = await turns.start("two", one.chat_id)
    await end(two)
    edited = await turns.start("deux", one.chat_id, edit_of=two.user.id)
    await end(edited)
    assert [message["content"] for message in reply.histories[-1]] == ["one", "0", "deux"]
    assert [message.content for message in await store.messages(one.chat_id)] == ["one", "0", "deux", "2"]
    # What comes next follows what is shown.
    await store.choose(two.user.id)
    await end(await turns.start("three", one.chat_id))
    assert [message["content"] for message in reply.histories[-1]] == ["one", "0", "two", "1", "three"]


async def test_an_edit_is_checked_like_any_message(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("1")
    turn = await turns.start("one")
    await end(turn)
    with pytest.raises(InvalidRequest):
        await turns.start(" ", turn.chat_id, edit_of=turn.user.id)
    with pytest.raises(NotFound):
        await turns.start("uno", turn.chat_id, edit_of=turn.id)


# Readers


async def test_a_reader_that_leaves_changes_nothing(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    go_on = asyncio.Event()
    reply.enqueue("be", go_on, "fore and after")
    turn = await turns.start("hello")
    reader = asyncio.ensure_future(read(turn))
    await first(turn)
    reader.cancel()
    await asyncio.wait({reader})
    go_on.set()
    assert text(await read(turn)) == "before and after"
    assert (await saved(store, turn)).content == "before and after"


async def test_without_any_reader_a_turn_ends_all_the_same(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue("nobody ", "listens")
    turn = await turns.start("hello")

    async def complete() -> bool:
        return (await saved(store, turn)).status == Status.complete

    await until(complete)
    assert (await saved(store, turn)).content == "nobody listens"


async def test_readers_at_any_time_get_the_same_text(turns: Turns, reply: ScriptedReply) -> None:
    middle = asyncio.Event()
    reply.enqueue(*"first half, ", middle, *"second half")
    turn = await turns.start("hello")
    early = asyncio.ensure_future(read(turn))
    await first(turn)
    late = asyncio.ensure_future(read(await turns.find(turn.id)))
    resuming = asyncio.ensure_future(read(await turns.find(turn.id), after=6))
    await asyncio.sleep(0)
    middle.set()
    assert await early == await late
    assert text(await early) == text(await read(await turns.find(turn.id)))
    assert text(await early) == "first half, second half"
    assert text(await resuming) == "half, second half"


async def test_a_late_reader_catches_up_in_one_batch(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue(*"abcdef", HANG)
    turn = await turns.start("hello")

    async def all_there() -> bool:
        return text(await first(turn)) == "abcdef"

    await until(all_there)


async def test_silence_gives_readers_an_empty_batch(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue(HANG)
    turn = await turns.start("hello")
    async with asyncio.timeout(5):
        assert await anext(turn.batches(idle=0.01)) == []


async def test_a_turn_knows_its_end_once_it_has_one(turns: Turns, reply: ScriptedReply) -> None:
    go_on = asyncio.Event()
    reply.enqueue("abc", go_on)
    turn = await turns.start("hello")
    assert turn.ended_at is None
    assert (await turns.find(turn.id)).ended_at is None
    go_on.set()
    await end(turn)
    assert (await turns.find(turn.id)).ended_at == 4


async def test_ten_thousand_deltas_flat_out_arrive_whole(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or most of the time it would wait for the database.
    monkeypatch.setattr("chat_app.turns.journal.AHEAD_CHARS", 10_000)
    words = [f"tok{n} " for n in range(10_000)]
    reply.enqueue(*words)
    turn = await turns.start("hello")
    readers = await asyncio.gather(read(turn), read(turn))
    assert text(readers[0]) == text(readers[1]) == "".join(words)
    assert readers[0][-1].seq == len("".join(words)) + 1
    assert (await saved(store, turn)).content == "".join(words)


# Stopping


async def test_stop_right_after_start_ends_the_turn(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue(HANG)
    turn = await turns.start("hello")
    async with asyncio.timeout(5):
        stopped = await turns.stop(turn.id)
    assert await read(turn) == [Ended(1, Status.stopped, "stopped")]
    assert stopped.ended_at == 1
    answer = await saved(store, turn)
    assert (answer.content, answer.status, answer.finish_reason) == ("", Status.stopped, "stopped")


async def test_stop_before_the_first_token_closes_the_source(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue(HANG)
    turn = await turns.start("hello")

    async def asked() -> bool:
        return bool(reply.histories)

    await until(asked)
    await turns.stop(turn.id)
    assert reply.closed == 1
    assert (await end(turn)).status is Status.stopped


async def test_stop_in_the_middle_keeps_the_text_and_closes_the_source(
    turns: Turns, store: Store, reply: ScriptedReply
) -> None:
    reply.enqueue("some ", "text", HANG)
    turn = await turns.start("hello")

    async def spoken() -> bool:
        return text(await first(turn)) == "some text"

    await until(spoken)
    await turns.stop(turn.id)
    assert reply.closed == 1
    answer = await saved(store, turn)
    assert (answer.content, answer.status) == ("some text", Status.stopped)
    events = await read(turn)
    assert text(events) == "some text"
    # No bill came from the provider: a delta is about a token.
    assert events[-1] == Ended(10, Status.stopped, "stopped", {"completion_tokens": 2, "estimated": True})
    assert answer.usage == {"completion_tokens": 2, "estimated": True}


async def test_stopping_twice_also_at_once_is_the_same_as_once(
    turns: Turns, store: Store, reply: ScriptedReply
) -> None:
    reply.enqueue("text", HANG)
    turn = await turns.start("hello")
    await first(turn)
    await asyncio.gather(*(turns.stop(turn.id) for _ in range(5)))
    await turns.stop(turn.id)
    assert [type(event) for event in await read(turn)] == [Delta, Ended]
    assert (await saved(store, turn)).status == Status.stopped


async def test_stopping_what_is_complete_changes_nothing(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue("text")
    turn = await turns.start("hello")
    await end(turn)
    await turns.stop(turn.id)
    assert (await end(turn)).status is Status.complete
    assert (await saved(store, turn)).status == Status.complete


async def test_stopping_during_the_final_write_waits_for_it(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on, write = asyncio.Event(), asyncio.Event(), store.end_turn

    async def slow(*args: Any) -> None:
        writing.set()
        await go_on.wait()
        await write(*args)

    monkeypatch.setattr(store, "end_turn", slow)
    reply.enqueue("text")
    turn = await turns.start("hello")
    await writing.wait()
    stopping = asyncio.ensure_future(turns.stop(turn.id))
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert (await saved(store, turn)).status == Status.complete


async def test_a_chat_can_go_on_after_a_stop(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("half an ans", HANG)
    reply.enqueue("2")
    turn = await turns.start("one")
    await first(turn)
    await turns.stop(turn.id)
    await end(await turns.start("two", turn.chat_id))
    assert [message["content"] for message in reply.histories[1]] == ["one", "half an ans", "two"]


async def test_stopping_what_is_saved_but_does_not_run_yet(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history, and a key, name the turn a moment before its task is there."""
    saved_already, go_on, create = asyncio.Event(), asyncio.Event(), turns._backplane.log.create

    async def slow(turn_id: str) -> None:
        saved_already.set()
        await go_on.wait()
        await create(turn_id)

    monkeypatch.setattr(turns._backplane.log, "create", slow)
    reply.enqueue(HANG)
    starting = asyncio.ensure_future(turns.start("hello", key="its key"))
    await saved_already.wait()
    message = await store.message_by_key("its key")
    assert message
    stopping = asyncio.ensure_future(turns.stop(message.id))
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert (await saved(store, await starting)).status == Status.stopped


async def test_stopping_an_unknown_turn_is_not_found(turns: Turns) -> None:
    with pytest.raises(NotFound):
        await turns.stop("no-such-turn")


# Failing


async def test_a_bug_in_the_source_is_failed_never_complete_and_keeps_the_text(
    turns: Turns, store: Store, reply: ScriptedReply, caplog: pytest.LogCaptureFixture
) -> None:
    reply.enqueue("so far", ZeroDivisionError("secret detail"))
    turn = await turns.start("hello")
    ended = await end(turn)
    assert (ended.status, ended.error) == (Status.failed, InternalError().as_dict())
    answer = await saved(store, turn)
    assert (answer.content, answer.status, answer.error) == ("so far", Status.failed, InternalError().as_dict())
    assert "secret detail" in caplog.text


async def test_an_error_of_ours_from_the_source_reaches_the_reader(
    turns: Turns, store: Store, reply: ScriptedReply
) -> None:
    busy = ProviderBusy("Busy. Wait 7 seconds.", retry_after=7)
    reply.enqueue("so far", busy)
    turn = await turns.start("hello")
    events = await read(turn)
    assert text(events) == "so far"
    usage = {"completion_tokens": 1, "estimated": True}
    assert events[-1] == Ended(7, Status.failed, "failed", usage, busy.as_dict())
    answer = await saved(store, turn)
    assert (answer.content, answer.status, answer.error) == ("so far", Status.failed, busy.as_dict())


async def test_a_source_that_is_called_wrongly_is_a_bug_too(
    store: Store, caplog: pytest.LogCaptureFixture, make_backplane: MakeBackplane
) -> None:
    def broken(messages: Sequence[ChatMessage]) -> AsyncGenerator[Piece | str, None]:
        raise TypeError("no such source")

    turns = Turns(store, make_backplane(), broken)
    assert (await end(await turns.start("hello"))).status is Status.failed
    await turns.close()


async def test_the_source_is_closed_also_when_the_fault_is_not_its_own(
    store: Store, reply: ScriptedReply, make_backplane: MakeBackplane
) -> None:
    class FullLog(MemoryLog):
        async def append(self, turn_id: str, *events: Event) -> None:
            if isinstance(events[0], Delta):
                raise OSError("the log is full")
            await super().append(turn_id, *events)

    backplane = make_backplane()
    backplane.log = FullLog()
    turns = Turns(store, backplane, reply)
    reply.enqueue("text", HANG)
    turn = await turns.start("hello")
    assert (await end(turn)).status is Status.failed
    assert reply.closed == 1
    assert (await saved(store, turn)).content == "text"
    await turns.close()


async def test_silence_before_the_first_token_is_provider_silent(
    store: Store, reply: ScriptedReply, make_backplane: MakeBackplane
) -> None:
    turns = Turns(store, make_backplane(), reply, first_token_timeout=0.05, next_token_timeout=60)
    reply.enqueue(HANG)
    ended = await end(await turns.start("hello"))
    assert ended.status is Status.failed
    assert ended.error
    assert ended.error["code"] == "provider_silent"
    assert reply.closed == 1
    await turns.close()


async def test_silence_after_a_token_is_provider_silent_and_keeps_the_text(
    store: Store, reply: ScriptedReply, make_backplane: MakeBackplane
) -> None:
    turns = Turns(store, make_backplane(), reply, first_token_timeout=60, next_token_timeout=0.05)
    reply.enqueue("so far", HANG)
    turn = await turns.start("hello")
    ended = await end(turn)
    assert ended.error
    assert ended.error["code"] == "provider_silent"
    assert (await saved(store, turn)).content == "so far"
    await turns.close()


async def test_the_limit_of_the_first_token_holds_until_there_is_one(
    store: Store, reply: ScriptedReply, make_backplane: MakeBackplane
) -> None:
    """Many providers send a chunk with only the role at once, and think after it."""
    turns = Turns(store, make_backplane(), reply, first_token_timeout=60, next_token_timeout=0.05)
    thinking = asyncio.Event()
    reply.enqueue(Piece(model="m"), thinking, "text")
    turn = await turns.start("hello")
    asyncio.get_running_loop().call_later(0.2, thinking.set)
    assert (await end(turn)).status is Status.complete
    await turns.close()


async def test_tokens_that_keep_coming_are_no_silence(
    store: Store, monkeypatch: pytest.MonkeyPatch, make_backplane: MakeBackplane
) -> None:
    clock = Clock(monkeypatch)

    async def slow(messages: Sequence[ChatMessage]) -> AsyncGenerator[Piece | str, None]:
        for word in ["much", "longer", "than", "either", "limit"]:
            await clock.forward(6_000)
            yield word

    turns = Turns(store, make_backplane(), slow, first_token_timeout=10_000, next_token_timeout=10_000)
    turn = await turns.start("hello")
    assert (await turn.end()).status is Status.complete
    await turns.close()


@pytest.mark.parametrize("broken", ["half \ud83d", "\ude00 half", "a\0b"])
@pytest.mark.parametrize("kind", ["text", "reasoning"])
async def test_characters_that_cannot_be_stored_do_not_lose_the_rest(
    turns: Turns, store: Store, reply: ScriptedReply, hasty_database: None, kind: str, broken: str
) -> None:
    reply.enqueue(Piece(**{kind: "before "}), Piece(**{kind: broken}), Piece(**{kind: " after 👋"}))
    turn = await turns.start("hello")
    events = await read(turn)
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.status is Status.complete
    answer = await saved(store, turn)
    kept = answer.content if kind == "text" else answer.reasoning
    assert (
        kept
        == text(events, kind)
        == f"before {broken} after 👋".translate(dict.fromkeys([0, 0xD83D, 0xDE00], "\ufffd"))
    )


# Sources that misbehave


async def status_and_code(turn: Turn) -> tuple[Status, str | None]:
    ended = await end(turn)
    return ended.status, ended.error["code"] if ended.error else None


@pytest.mark.parametrize(
    "problem", [TimeoutError("its own"), asyncio.CancelledError(), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]
)
async def test_what_a_source_raises_is_its_own_fault_and_ends_only_its_turn(
    store: Store, problem: BaseException, caplog: pytest.LogCaptureFixture, make_backplane: MakeBackplane
) -> None:
    async def broken(messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        yield "so far"
        raise problem

    turns = Turns(store, make_backplane(), broken)
    turn = await turns.start("hello")
    assert await status_and_code(turn) == (Status.failed, InternalError.code)
    assert (await saved(store, turn)).content == "so far"
    assert turn.id in caplog.text
    await turns.close()


@pytest.mark.parametrize("problem", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_a_callback_raises_harms_nothing(turns: Turns, reply: ScriptedReply, problem: BaseException) -> None:
    def fails(*_: object) -> None:
        raise problem

    for register in (turns.on_start, turns.on_delta, turns.on_end):
        register(fails)
    reply.enqueue("text")
    assert (await end(await turns.start("hello"))).status is Status.complete


async def test_a_source_that_takes_no_cancel_is_left_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, make_backplane: MakeBackplane
) -> None:
    monkeypatch.setattr("chat_app.turns.registry.STOP_S", 0.05)
    go_on, gone = asyncio.Event(), asyncio.Event()

    async def deaf(messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        yield "so far"
        try:
            while not go_on.is_set():
                with suppress(asyncio.CancelledError):
                    await go_on.wait()
            yield "too late"
        finally:
            gone.set()

    turns = Turns(store, make_backplane(), deaf)
    turn = await turns.start("hello")
    await first(turn)
    async with asyncio.timeout(5):
        await turns.stop(turn.id)
        await turns.close()
    assert (await end(turn)).status is Status.stopped
    assert "deaf" in caplog.text
    go_on.set()
    async with asyncio.timeout(5):
        await gone.wait()
    assert (await saved(store, turn)).content == "so far"


async def test_a_source_that_takes_the_cancel_for_something_else_ends_with_its_next_piece(
    turns: Turns, store: Store
) -> None:
    ended = asyncio.Event()

    async def stubborn(messages: Sequence[ChatMessage]) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "x"
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(3_600)
        finally:
            ended.set()

    turns._reply = stubborn
    turn = await turns.start("hello")
    await first(turn)
    await turns.stop(turn.id)
    assert ended.is_set()
    assert (await saved(store, turn)).content == "x"


@pytest.mark.parametrize("pieces", [["x" * 25], ["x"] * 25, [["x" * 5] * 5], [Piece(reasoning="x" * 9), "x" * 16]])
async def test_an_answer_that_is_too_long_ends_as_one_that_the_model_cut_off(
    store: Store, reply: ScriptedReply, pieces: list[Any], make_backplane: MakeBackplane
) -> None:
    turns = Turns(store, make_backplane(), reply, max_answer_chars=20)
    reply.enqueue(*pieces, HANG)
    turn = await turns.start("hello")
    ended = await end(turn)
    assert (ended.status, ended.finish_reason, ended.seq) == (Status.complete, "length", 21)
    answer = await saved(store, turn)
    assert len(answer.reasoning) + len(answer.content) == 20
    # It can be continued by as much again.
    reply.enqueue("y" * 30, HANG)
    longer = await turns.continue_reply(turn.id)
    assert (await end(longer)).finish_reason == "length"
    assert (await saved(store, longer)).content == answer.content + "y" * 20
    await turns.close()


# The database while a turn runs


async def test_the_text_is_saved_while_it_grows(
    turns: Turns, store: Store, reply: ScriptedReply, often_saved: None
) -> None:
    go_on = asyncio.Event()
    reply.enqueue(Piece(reasoning="hm"), "so ", "far", go_on, " and on", HANG)
    turn = await turns.start("hello")

    async def has(content: str) -> bool:
        answer = await saved(store, turn)
        assert answer.status == Status.streaming
        return (answer.content, answer.reasoning) == (content, "hm")

    await until(lambda: has("so far"))
    go_on.set()
    await until(lambda: has("so far and on"))


async def test_text_that_must_not_be_shown_yet_is_saved_before_its_time(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat_app.turns.journal.BEAT_S", 3_600)
    much = "x" * (AHEAD_CHARS + 1)
    reply.enqueue(much, HANG)
    turn = await turns.start("hello")

    async def has() -> bool:
        return (await saved(store, turn)).content == much

    await until(has)


async def test_rows_that_could_not_be_written_are_written_again(
    turns: Turns, store: Store, reply: ScriptedReply, often_saved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, write = [OSError("disk"), OSError("disk")], turns._journal._write

    async def flaky(rows: Any) -> None:
        if failures:
            raise failures.pop()
        await write(rows)

    monkeypatch.setattr(turns._journal, "_write", flaky)
    reply.enqueue("so far", HANG)
    turn = await turns.start("hello")

    async def has() -> bool:
        return (await saved(store, turn)).content == "so far"

    await until(has)


@pytest.mark.parametrize(
    ("limit", "much"), [("AHEAD_S", 0.0), ("AHEAD_CHARS", 6)], ids=["for as long as allowed", "by as much as allowed"]
)
@pytest.mark.parametrize("kind", ["text", "reasoning"])
async def test_nothing_more_is_shown_while_readers_are_ahead_of_what_is_saved(
    turns: Turns,
    store: Store,
    reply: ScriptedReply,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    much: float,
    kind: str,
) -> None:
    monkeypatch.setattr(f"chat_app.turns.journal.{limit}", much)
    order, write = [], turns._journal._write

    async def slow(rows: Any) -> None:
        await asyncio.sleep(0.05)
        await write(rows)
        order.append(f"saved {''.join(row['text'] for row in rows)}")

    monkeypatch.setattr(turns._journal, "_write", slow)
    turns.on_delta(lambda _, delta: order.append(delta.text))
    reply.enqueue(Piece(**{kind: "shown."}), Piece(**{kind: "held"}))
    assert (await end(await turns.start("hello"))).status is Status.complete
    # What may not be shown yet goes to the journal with what it waits for.
    assert order[0] == "shown."
    assert order[1] in ("saved shown.", "saved shown.held")
    assert order[2] == "held"


async def test_the_model_is_read_on_while_its_text_waits_to_be_stored(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat_app.turns.journal.AHEAD_CHARS", 6)
    go_on, write = asyncio.Event(), turns._journal._write
    shown: list[tuple[str, int]] = []
    written: list[str] = []

    async def slow(rows: Any) -> None:
        await go_on.wait()
        await write(rows)
        written.extend(row["text"] for row in rows)

    monkeypatch.setattr(turns._journal, "_write", slow)
    turns.on_delta(lambda _, delta: shown.append((delta.text, len("".join(written)))))
    words = ["shown.", *(f"word{number} " for number in range(20))]
    reply.enqueue(*words, HANG)
    turn = await turns.start("hello")
    (generation,) = turns._running

    async def is_read() -> bool:
        return generation.seq == len("".join(words))

    await until(is_read)
    assert [text for text, _ in shown] == ["shown."]
    go_on.set()

    async def is_shown() -> bool:
        return [text for text, _ in shown] == words

    await until(is_shown)
    ends = [len("".join(words[: count + 1])) for count in range(len(words))]
    assert all(end <= stored + 6 for end, (_, stored) in zip(ends, shown, strict=True))
    await turns.stop(turn.id)
    assert text(await read(await turns.find(turn.id))) == "".join(words)


async def test_text_that_waits_is_shown_though_nothing_more_comes_and_the_database_hangs(
    turns: Turns, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat_app.turns.journal.AHEAD_CHARS", 6)
    monkeypatch.setattr("chat_app.turns.journal.HOLD_S", 0.05)
    back = asyncio.Event()

    async def hangs(_rows: Any) -> None:
        await back.wait()

    monkeypatch.setattr(turns._journal, "_write", hangs)
    reply.enqueue("shown.", "held ", "back", HANG)
    turn = await turns.start("hello")
    got, batches = "", turn.batches()
    async with asyncio.timeout(30):
        while got != "shown.held back":
            got += text(await anext(batches))
    back.set()


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "fails"])
async def test_a_database_that_is_away_does_not_hold_an_answer_back(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr("chat_app.turns.journal.AHEAD_CHARS", 6)
    monkeypatch.setattr("chat_app.turns.journal.HOLD_S", 0.05 if hangs else 3_600)
    back, order = asyncio.Event(), []

    async def away(_rows: Any) -> None:
        if hangs:
            await back.wait()
        raise OSError("disk")

    def seen(_turn: Turn, delta: Delta) -> None:
        order.append(delta.text)
        if len(order) == 3:
            back.set()

    monkeypatch.setattr(turns._journal, "_write", away)
    turns.on_delta(seen)
    reply.enqueue("shown.", "and ", "this", back)
    turn = await turns.start("hello")
    assert (await end(turn)).status is Status.complete
    assert (await saved(store, turn)).content == "shown.and this"


async def test_the_final_write_waits_for_what_the_journal_is_writing_and_never_cuts_it_off(
    turns: Turns, store: Store, reply: ScriptedReply, often_saved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, go_on, order = asyncio.Event(), asyncio.Event(), []
    write, end_turn = turns._journal._write, store.end_turn

    async def slow(rows: Any) -> None:
        saving.set()
        await go_on.wait()
        await write(rows)
        order.append("rows")

    async def noted_end(*args: Any) -> None:
        await end_turn(*args)
        order.append("end")

    monkeypatch.setattr(turns._journal, "_write", slow)
    monkeypatch.setattr(store, "end_turn", noted_end)
    reply.enqueue("text", saving)
    turn = await turns.start("hello")
    ending = asyncio.ensure_future(end(turn))
    await saving.wait()
    await asyncio.sleep(0.05)
    go_on.set()
    assert (await ending).status is Status.complete
    assert order == ["rows", "end"]


async def test_nothing_is_left_running_after_a_turn(turns: Turns, reply: ScriptedReply) -> None:
    """The end comes in the very moment in which much text is to be saved."""
    before = asyncio.all_tasks()
    reply.enqueue("x" * (AHEAD_CHARS + 1))
    await end(await turns.start("hello"))

    async def none_left() -> bool:
        return asyncio.all_tasks() <= before

    await until(none_left)


@pytest.mark.slow
@pytest.mark.parametrize("busy_timeout_ms", [50, 60_000], ids=["fails", "waits"])
async def test_a_database_that_is_locked_for_a_while_loses_nothing(
    file: Path,
    reply: ScriptedReply,
    often_saved: None,
    monkeypatch: pytest.MonkeyPatch,
    busy_timeout_ms: int,
    make_backplane: MakeBackplane,
) -> None:
    monkeypatch.setattr("chat_app.store.sqlite_threads.BUSY_TIMEOUT_MS", busy_timeout_ms)
    # So little text is held back only if it comes late, and then for long: on a busy machine, not here.
    monkeypatch.setattr("chat_app.turns.journal.AHEAD_S", 3_600)
    store = Store(f"sqlite:///{file}")
    await store.open()
    turns = Turns(store, make_backplane(), reply)
    while_locked, unlocked = asyncio.Event(), asyncio.Event()
    reply.enqueue("before, ", while_locked, "while locked, ", unlocked, "after")
    turn = await turns.start("hello")
    reader = turn.batches()
    with locked(file):
        while_locked.set()
        async with asyncio.timeout(30):
            # A reader gets its text, whatever the database does.
            got = text(await anext(reader))
            while got != "before, while locked, ":
                got += text(await anext(reader))
        await asyncio.sleep(2)
    unlocked.set()
    assert text(await read(turn)) == "before, while locked, after"
    answer = await saved(store, turn)
    assert (answer.content, answer.status) == ("before, while locked, after", Status.complete)
    await turns.close()
    await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("stopping", [True, False])
async def test_a_database_that_is_locked_at_the_end_delays_it_only(
    file: Path,
    reply: ScriptedReply,
    often_saved: None,
    monkeypatch: pytest.MonkeyPatch,
    stopping: bool,
    make_backplane: MakeBackplane,
) -> None:
    monkeypatch.setattr("chat_app.store.sqlite_threads.BUSY_TIMEOUT_MS", 50)
    store = Store(f"sqlite:///{file}")
    await store.open()
    turns = Turns(store, make_backplane(), reply)
    go_on = asyncio.Event()
    reply.enqueue("text", go_on)
    turn = await turns.start("hello")
    await first(turn)
    with locked(file):
        if not stopping:
            go_on.set()
        ending = asyncio.ensure_future(turns.stop(turn.id) if stopping else end(turn))
        await asyncio.sleep(1)
        assert not ending.done()
    await ending
    status = Status.stopped if stopping else Status.complete
    assert (await end(turn)).status is status
    answer = await saved(store, turn)
    assert (answer.content, answer.status) == ("text", status)
    await turns.close()
    await store.close()


async def test_a_final_write_that_fails_is_tried_again(
    turns: Turns, store: Store, reply: ScriptedReply, hasty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, write = [OSError("disk"), OSError("disk")], store.end_turn

    async def flaky(*args: Any) -> None:
        if failures:
            raise failures.pop()
        await write(*args)

    monkeypatch.setattr(store, "end_turn", flaky)
    reply.enqueue("text")
    turn = await turns.start("hello")
    assert (await end(turn)).status is Status.complete
    assert (await saved(store, turn)).content == "text"


async def test_readers_are_not_told_complete_when_the_final_write_fails_for_good(
    turns: Turns, store: Store, reply: ScriptedReply, hasty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(store, "end_turn", broken)
    reply.enqueue("text")
    events = await read(await turns.start("hello"))
    assert text(events) == "text"
    usage = {"completion_tokens": 1, "estimated": True}
    assert events[-1] == Ended(5, Status.failed, "failed", usage, InternalError().as_dict())


@pytest.mark.parametrize("how", ["again", "go on", "edit", "ask"])
async def test_a_turn_whose_end_could_not_be_saved_blocks_nothing(
    turns: Turns, store: Store, reply: ScriptedReply, hasty_database: None, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def broken(*args: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "end_turn", broken)
        reply.enqueue("text")
        failed = await turns.start("hello")
        await read(failed)
    reply.enqueue("more")
    match how:
        case "ask":
            turn = await turns.start("go on", failed.chat_id)
        case "edit":
            turn = await turns.start("hello!", failed.chat_id, edit_of=failed.user.id)
        case _:
            turn = await (turns.continue_reply if how == "go on" else turns.regenerate)(failed.id)
    assert (await end(turn)).status is Status.complete
    assert (await saved(store, failed)).status == Status.interrupted


async def test_of_two_starts_at_the_same_moment_one_is_refused_and_the_other_runs(
    turns: Turns, store: Store, reply: ScriptedReply, slow_begin: SlowBegin
) -> None:
    """The second sees what the first has saved before the first itself hears that it is saved."""
    chat = await store.create_chat()
    # Once the first has ended, the second may begin.
    reply.enqueue(go_on := asyncio.Event(), "text")
    one = asyncio.ensure_future(turns.start("one", chat.id))
    await slow_begin.saved.wait()
    other = asyncio.ensure_future(turns.start("other", chat.id))
    await slow_begin.refused.wait()
    slow_begin.go_on.set()
    with pytest.raises(TurnRunning) as refused:
        await other
    turn = await one
    assert refused.value.turn_id == turn.id
    go_on.set()
    assert (await end(turn)).status is Status.complete
    assert [message.content for message in await store.messages(chat.id)] == ["one", "text"]


async def test_of_many_starts_and_regenerations_at_once_exactly_one_runs(
    turns: Turns, store: Store, reply: ScriptedReply
) -> None:
    reply.enqueue("first")
    old = await turns.start("hello")
    await end(old)
    reply.enqueue("text", HANG)
    tries = [turns.start(f"question {n}", old.chat_id) for n in range(8)] + [turns.regenerate(old.id) for _ in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    [turn] = [one for one in results if isinstance(one, Turn)]
    assert all(isinstance(one, TurnRunning) and one.turn_id == turn.id for one in results if one is not turn)
    await turns.stop(turn.id)


async def test_a_second_cancel_during_the_final_write_still_gives_readers_their_end(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = asyncio.Event()

    async def stuck(*args: Any) -> None:
        writing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "end_turn", stuck)
    reply.enqueue("text", HANG)
    turn = await turns.start("hello")
    reader = asyncio.ensure_future(read(turn))
    await first(turn)
    stopping = asyncio.ensure_future(turns.stop(turn.id))
    await writing.wait()
    task_of(turn).cancel()
    events = await reader
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.status is Status.failed
    await asyncio.wait({stopping}, timeout=60)
    assert stopping.done()


async def test_a_start_that_is_cancelled_while_saving_leaves_no_turn_that_nobody_runs(
    turns: Turns, store: Store, reply: ScriptedReply, slow_begin: SlowBegin
) -> None:
    reply.enqueue("text")
    starting = asyncio.ensure_future(turns.start("hello", key="k"))
    await slow_begin.saved.wait()
    starting.cancel()
    await asyncio.wait({starting})
    slow_begin.go_on.set()

    async def complete() -> bool:
        answer = await store.message_by_key("k")
        return answer is not None and answer.status == Status.complete

    await until(complete)


async def test_close_also_ends_what_is_just_being_started(
    turns: Turns, store: Store, reply: ScriptedReply, slow_begin: SlowBegin
) -> None:
    reply.enqueue(HANG)
    starting = asyncio.ensure_future(turns.start("hello"))
    await slow_begin.saved.wait()
    closing = asyncio.ensure_future(turns.close())
    await asyncio.sleep(0)
    slow_begin.go_on.set()
    await closing
    assert (await saved(store, await starting)).status == Status.stopped


# The end of the server, and the next start


async def test_close_stops_and_saves_what_runs_and_readers_get_their_end(
    store: Store, reply: ScriptedReply, make_backplane: MakeBackplane
) -> None:
    turns = Turns(store, make_backplane(), reply)
    running = []
    for n in range(5):
        reply.enqueue(f"text {n}", HANG)
        running.append(await turns.start("hello"))
    readers = [asyncio.ensure_future(read(turn)) for turn in running]
    for turn in running:
        await first(turn)
    async with asyncio.timeout(5):
        await turns.close()
    for turn, reader in zip(running, readers, strict=True):
        events = await reader
        ended = events[-1]
        assert isinstance(ended, Ended)
        assert ended.status is Status.stopped
        answer = await saved(store, turn)
        assert (answer.content, answer.status) == (text(events), Status.stopped)
        assert answer.content.startswith("text")
    assert reply.closed == 5


async def test_a_regeneration_that_waits_when_the_server_begins_to_close_is_refused_and_saves_nothing(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply.enqueue("text")
    old = await turns.start("hello")
    await end(old)
    asked, go_on, begin_reply = asyncio.Event(), asyncio.Event(), store.begin_reply

    async def slow(*args: Any, **options: Any) -> tuple[Message, Message]:
        asked.set()
        await go_on.wait()
        return await begin_reply(*args, **options)

    monkeypatch.setattr(store, "begin_reply", slow)
    starting = asyncio.ensure_future(turns.regenerate(old.id, key="k"))
    await asked.wait()
    closing = asyncio.ensure_future(turns.close())
    while not turns.closing:
        await asyncio.sleep(0)
    go_on.set()
    await closing
    with pytest.raises(ShuttingDown):
        await starting
    assert [message.content for message in await store.messages(old.chat_id)] == ["hello", "text"]
    assert len(reply.histories) == 1


async def test_a_new_key_is_not_looked_up_before_the_start(
    turns: Turns, store: Store, reply: ScriptedReply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database refuses one that it knows: every start would pay for the few that come twice."""
    reply.enqueue("text")
    reply.enqueue("more")
    looked_up, message_by_key = [], store.message_by_key

    async def noted(key: str) -> Message | None:
        looked_up.append(key)
        return await message_by_key(key)

    monkeypatch.setattr(store, "message_by_key", noted)
    first = await turns.start("hello", key="k1")
    await end(first)
    await end(await turns.start("and on", first.chat_id, key="k2"))
    assert looked_up == []
    assert (await turns.start("hello", key="k1")).id == first.id
    await store.trash_chat(first.chat_id)
    with pytest.raises(NotFound):
        await turns.start("and on", first.chat_id, key="k2")
    assert looked_up == ["k1", "k2"]
    assert len(reply.histories) == 2


@pytest.mark.parametrize("again", [False, True])
async def test_a_start_that_waits_for_the_database_when_the_server_begins_to_close_saves_nothing(
    file: Path, turns: Turns, store: Store, reply: ScriptedReply, again: bool
) -> None:
    reply.enqueue("text")
    old = await turns.start("hello")
    await end(old)
    # SQLite's one writer: the start queues behind it.
    async with store.database.writing():
        starting = asyncio.ensure_future(turns.regenerate(old.id) if again else turns.start("late", old.chat_id))

        async def queued() -> bool:
            return bool(turns._beginning)

        await until(queued)
        closing = asyncio.ensure_future(turns.close())
        await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        await starting
    await closing
    assert [message.content for message in await store.messages(old.chat_id)] == ["hello", "text"]
    assert len(reply.histories) == 1


async def test_close_gives_what_runs_its_grace(
    store: Store, reply: ScriptedReply, make_backplane: MakeBackplane
) -> None:
    turns = Turns(store, make_backplane(), reply)
    nearly = asyncio.Event()
    reply.enqueue("nearly ", nearly, "done")
    reply.enqueue("endless", HANG)
    ending = await turns.start("hello")
    await first(ending)
    endless = await turns.start("hello")
    await first(endless)
    closing = asyncio.ensure_future(turns.close(grace=0.5))
    await asyncio.sleep(0)
    nearly.set()
    await closing
    assert (await saved(store, ending)).status == Status.complete
    assert (await saved(store, endless)).status == Status.stopped


async def test_close_with_nothing_running_is_harmless(turns: Turns) -> None:
    await turns.close()
    await turns.close(grace=10)


async def test_what_a_dead_server_left_is_interrupted_with_its_text(
    file: Path, reply: ScriptedReply, store: Store, make_backplane: MakeBackplane
) -> None:
    _, orphan, _ = await store.begin_turn("hello")
    await journal.write(store, orphan.id, ("text", "so far"))
    turns = Turns(store, make_backplane(), reply)
    assert await turns.recover() == 1
    turn = await turns.find(orphan.id)
    assert await read(turn) == [Delta(6, "so far"), Ended(END_OF_INTERRUPTED, Status.interrupted, "interrupted")]
    reply.enqueue("2")
    assert (await end(await turns.start("two", orphan.chat_id))).status is Status.complete
    await turns.close()


async def test_a_reader_that_has_text_which_was_never_saved_is_told_the_end_once(store: Store, turns: Turns) -> None:
    _, orphan, _ = await store.begin_turn("hello")
    await journal.write(store, orphan.id, ("text", "so far"))
    await turns.recover()
    turn = await turns.find(orphan.id)
    # 7 would be the number of the end of "so far", and is that of its seventh character, which was lost.
    for after in (6, 7, 2_000):
        [ended] = await read(turn, after)
        assert isinstance(ended, Ended)
        assert (ended.status, turn.ended_at) == (Status.interrupted, ended.seq)
        assert await read(turn, ended.seq) == []


async def test_a_row_that_nobody_runs_never_reads_as_still_streaming(store: Store, turns: Turns) -> None:
    _, orphan, _ = await store.begin_turn("hello")
    await journal.write(store, orphan.id, ("text", "so far"))
    ended = (await read(await turns.find(orphan.id)))[-1]
    assert isinstance(ended, Ended)
    assert (ended.status, ended.finish_reason) == (Status.interrupted, "interrupted")


# After the log was forgotten


async def test_a_late_reader_is_answered_from_the_row(
    turns: Turns, store: Store, reply: ScriptedReply, soon_forgotten: None
) -> None:
    reply.enqueue(Piece(reasoning="hm"), "Hel", "lo 👋", Piece(finish_reason="length", usage={"completion_tokens": 9}))
    turn = await turns.start("hello")
    live = await read(turn)
    await forgotten(turns, turn)
    late = await turns.find(turn.id)
    events = await read(late)
    assert (text(events), text(events, "reasoning")) == (text(live), text(live, "reasoning")) == ("Hello 👋", "hm")
    assert events[-1] == live[-1] == Ended(10, Status.complete, "length", {"completion_tokens": 9})
    assert late.ended_at == 10
    assert late.user.content == "hello"


@pytest.mark.parametrize("after", range(11))
async def test_a_reader_resumes_from_the_row_at_any_number(
    turns: Turns, reply: ScriptedReply, soon_forgotten: None, after: int
) -> None:
    whole = "hmHello 👋"
    reply.enqueue(Piece(reasoning="hm"), "Hel", "lo 👋")
    turn = await turns.start("hello")
    await end(turn)
    await forgotten(turns, turn)
    events = await read(await turns.find(turn.id), after)
    assert text(events, "reasoning") + text(events) == whole[after:]
    assert [event.seq for event in events if isinstance(event, Ended)] == ([10] if after < 10 else [])


RECAST = ("so, ", "hm", Piece("\n\n", recast=True), "Hel", "lo 👋")


async def test_text_that_was_reasoning_is_stored_as_that(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue(*RECAST)
    turn = await turns.start("hello")
    live = await read(turn)
    stored = await store.message(turn.id)
    assert stored and (stored.reasoning, stored.content, stored.status) == ("so, hm\n\n", "Hello 👋", Status.complete)
    assert [event.seq for event in live] == [4, 6, 8, 11, 15, 16]
    assert [event.recast for event in live if isinstance(event, Delta)] == [None, None, 0, None, None]
    late = await read(await turns.find(turn.id))
    assert (text(late, "reasoning"), text(late), late[-1]) == ("so, hm\n\n", "Hello 👋", live[-1])


async def test_what_an_answer_went_on_from_is_no_reasoning(turns: Turns, store: Store, reply: ScriptedReply) -> None:
    reply.enqueue("Good ")
    first = await turns.start("hello")
    await end(first)
    reply.enqueue(*RECAST)
    turn = await turns.continue_reply(first.id)
    recasts = [event.recast for event in await read(turn) if isinstance(event, Delta)]
    assert recasts == [None, None, None, 5, None, None]
    stored = await store.message(turn.id)
    assert stored and (stored.reasoning, stored.content) == ("so, hm\n\n", "Good Hello 👋")


@pytest.mark.parametrize("after", range(17))
async def test_a_reader_of_recast_text_resumes_at_any_number(
    turns: Turns, reply: ScriptedReply, soon_forgotten: None, after: int
) -> None:
    reply.enqueue(*RECAST)
    turn = await turns.start("hello")
    await end(turn)
    for events in (await read(await turns.find(turn.id), after), await read(turn, after)):
        assert text(events, "reasoning") + text(events) == "so, hm\n\nHello 👋"[after:]
    await forgotten(turns, turn)
    events = await read(await turns.find(turn.id), after)
    assert text(events, "reasoning") + text(events) == "so, hm\n\nHello 👋"[after:]


async def test_a_failure_is_read_from_the_row_too(turns: Turns, reply: ScriptedReply, soon_forgotten: None) -> None:
    reply.enqueue("so far", ProviderBusy("Busy.", retry_after=7))
    turn = await turns.start("hello")
    live = await read(turn)
    await forgotten(turns, turn)
    assert (await read(await turns.find(turn.id)))[-1] == live[-1]


async def test_stopping_a_forgotten_turn_changes_nothing(
    turns: Turns, store: Store, reply: ScriptedReply, soon_forgotten: None
) -> None:
    reply.enqueue("text")
    turn = await turns.start("hello")
    await end(turn)
    await forgotten(turns, turn)
    assert (await end(await turns.stop(turn.id))).status is Status.complete


async def test_a_question_is_no_turn(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("text")
    turn = await turns.start("hello")
    with pytest.raises(NotFound):
        await turns.find(turn.user.id)
    with pytest.raises(NotFound):
        await turns.find("no-such-turn")


# What can be started


@pytest.mark.parametrize(
    "content",
    ["", "  \n\t ", "x" * 101, "a\0b", "half \ud83d", "\ude00 half"],
    ids=["empty", "blank", "too long", "NUL", "high surrogate", "low surrogate"],
)
async def test_bad_content_is_refused_and_nothing_is_saved(turns: Turns, store: Store, content: str) -> None:
    with pytest.raises(InvalidRequest):
        await turns.start(content)
    assert await store.chats() == []


async def test_content_of_the_greatest_length_is_taken(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("text")
    assert (await end(await turns.start("👋" * 100))).status is Status.complete


async def test_a_turn_in_an_unknown_chat_is_not_found(turns: Turns) -> None:
    with pytest.raises(NotFound):
        await turns.start("hello", "no-such-chat")


async def test_a_second_turn_in_the_chat_is_refused_and_can_follow_the_first(
    turns: Turns, reply: ScriptedReply
) -> None:
    chat_id = (await turns._store.create_chat()).id
    go_on = asyncio.Event()
    reply.enqueue("the one ", go_on, "answer")
    outcomes = await asyncio.gather(*(turns.start("hello", chat_id) for _ in range(10)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, TurnRunning)]
    [turn] = [outcome for outcome in outcomes if isinstance(outcome, Turn)]
    assert [error.turn_id for error in refused] == [turn.id] * 9
    assert len(reply.histories) <= 1
    go_on.set()
    assert text(await read(await turns.find(refused[0].turn_id))) == "the one answer"


async def test_a_known_key_gives_its_turn_again(turns: Turns, reply: ScriptedReply, store: Store) -> None:
    reply.enqueue("text")
    turn = await turns.start("hello", key="k")
    await end(turn)
    again = await turns.start("hello", key="k")
    assert again.id == turn.id
    assert text(await read(again)) == "text"
    assert len(reply.histories) == 1
    assert len(await store.chats()) == 1


async def test_the_same_key_at_once_gives_one_turn_and_all_its_text_to_each(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue("the ", "whole ", "text")

    async def ask() -> tuple[str, list[Event]]:
        turn = await turns.start("hello", key="k")
        return turn.id, await read(turn)

    answers = await asyncio.gather(*(ask() for _ in range(20)))
    assert len({turn_id for turn_id, _ in answers}) == 1
    assert {text(events) for _, events in answers} == {"the whole text"}
    assert len(reply.histories) == 1


async def test_a_turn_that_is_saved_but_does_not_run_yet_can_be_found_and_followed(
    turns: Turns, store: Store, reply: ScriptedReply, slow_begin: SlowBegin
) -> None:
    reply.enqueue("the whole text")
    starting = asyncio.ensure_future(turns.start("hello", key="k"))
    await slow_begin.saved.wait()
    same_key = asyncio.ensure_future(turns.start("hello", key="k"))
    row = await store.message_by_key("k")
    assert row is not None
    finding = asyncio.ensure_future(turns.find(row.id))
    # Long enough for both to see the row.
    await asyncio.sleep(0.1)
    slow_begin.go_on.set()
    for waiting in (starting, same_key, finding):
        assert text(await read(await waiting)) == "the whole text"


# Who is told


async def test_on_end_is_called_once_all_is_saved_and_for_every_end(
    turns: Turns, store: Store, reply: ScriptedReply
) -> None:
    told: list[tuple[str, Status]] = []
    checks: list[asyncio.Future[Turn | None]] = []
    waiting = asyncio.Event()

    def fails(_turn: Turn, _ended: Ended) -> None:
        raise ValueError("a callback's fault is not the turn's")

    def note(turn: Turn, ended: Ended) -> None:
        checks.append(asyncio.ensure_future(turns.running(turn.chat_id)))
        told.append((turn.id, ended.status))
        waiting.set()

    turns.on_end(fails)
    turns.on_end(note)
    reply.enqueue("text")
    reply.enqueue(ProviderBusy("Busy."))
    reply.enqueue(HANG)
    expected = []
    for status in (Status.complete, Status.failed, Status.stopped):
        waiting.clear()
        turn = await turns.start("hello")
        if status is Status.stopped:
            await turns.stop(turn.id)
        async with asyncio.timeout(5):
            await waiting.wait()
        expected.append((turn.id, status))
        assert (await saved(store, turn)).status == status
    assert told == expected
    assert await asyncio.gather(*checks) == [None] * 3


async def test_changed_wakes_at_the_start_and_at_the_end_of_a_turn(turns: Turns, reply: ScriptedReply) -> None:
    go_on = asyncio.Event()
    reply.enqueue(go_on)
    waiting = asyncio.ensure_future(turns.changed(turns.version()))
    turn = await turns.start("hello")
    async with asyncio.timeout(5):
        started = await waiting
        waiting = asyncio.ensure_future(turns.changed(started))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await turns.running(turn.chat_id)
        go_on.set()
        assert await waiting != started
        assert await turns.running(turn.chat_id) is None


async def test_changed_returns_at_once_what_was_missed(turns: Turns) -> None:
    before = turns.version()
    await turns.announce()
    async with asyncio.timeout(5):
        assert await turns.changed(before) == turns.version() != before


async def test_announce_wakes_everyone(turns: Turns) -> None:
    waiting = [asyncio.ensure_future(turns.changed(turns.version())) for _ in range(3)]
    await asyncio.sleep(0)
    await turns.announce()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [turns.version()] * 3


async def test_running_is_the_turn_that_runs_in_that_chat(turns: Turns, reply: ScriptedReply) -> None:
    reply.enqueue(HANG)
    turn = await turns.start("hello")
    running = await turns.running(turn.chat_id)
    assert running
    assert running.id == turn.id
    assert await turns.running("another chat") is None
    await turns.stop(turn.id)
    assert await turns.running(turn.chat_id) is None


async def test_next_gives_the_turns_of_a_chat_one_after_the_other(turns: Turns, reply: ScriptedReply) -> None:
    for n in range(3):
        reply.enqueue(str(n))
    one = await turns.start("one")
    await end(one)
    await end(await turns.start("elsewhere"))
    two = await turns.start("two", one.chat_id)
    await end(two)
    seen, last = [], ""
    while turn := await turns.next(one.chat_id, last):
        seen.append(turn.id)
        last = turn.id
    assert seen == [one.id, two.id]


# Keys


async def test_a_key_is_of_one_question(turns: Turns, reply: ScriptedReply) -> None:
    for _ in range(3):
        reply.enqueue("answer")
    first = await turns.start("hello", key="k")
    await first.end()
    assert (await turns.start("hello", first.chat_id, key="k")).id == first.id
    edited = await turns.start("edited", key="e", edit_of=first.user.id)
    await edited.end()
    assert (await turns.start("edited", key="e", edit_of=first.user.id)).id == edited.id
    later = await turns.start("later", edited.chat_id, key="l")
    await later.end()
    for content, chat_id, key, edit_of in [
        ("other", None, "k", None),
        ("hello", "another chat", "k", None),
        ("edited", None, "e", later.user.id),
        ("edited", None, "e", "no question"),
        ("later", None, "l", None),
    ]:
        with pytest.raises(KeyReused):
            await turns.start(content, chat_id, key=key, edit_of=edit_of)
