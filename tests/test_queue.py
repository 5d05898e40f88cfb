"""Questions that wait for an answer to end: each is asked once, in order, and held where a person is to decide."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from chat_app.caller import Caller, Kind, Scope
from chat_app.errors import InvalidRequest, NotFound, QueueFull, ReadOnly, TurnRunning
from chat_app.models import Message, Queued, Status
from chat_app.queue import OwnQueue, Queue
from chat_app.store.queue import MOST
from chat_app.store.store import Store
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn
from tests.test_turns import ScriptedReply

pytestmark = pytest.mark.anyio


class Server:
    """Turns and the queue on one database, until it is closed, or is gone as after a kill."""

    def __init__(self, url: str, *, accounts: bool = False) -> None:
        self.store = Store(url)
        self.reply = ScriptedReply()
        self.turns = Turns(self.store, MemoryBackplane(), self.reply, max_message_chars=100)
        self.queue = Queue(self.store, self.turns, accounts=accounts)

    async def open(self) -> "Server":
        await self.store.open()
        await self.turns.recover()
        await self.queue.open()
        return self

    async def close(self) -> None:
        await self.queue.close()
        await self.turns.close()
        await self.store.close()

    async def begin(self, *steps: object, chat_id: str | None = None) -> tuple[Turn, asyncio.Event]:
        """A turn that waits for the event, and then does the steps."""
        go = asyncio.Event()
        self.reply.enqueue("Hm. ", go, *steps)
        turn = await self.queue.ask("First", chat_id)
        assert isinstance(turn, Turn)
        return turn, go

    async def waits(self, chat_id: str, content: str, key: str | None = None) -> Queued:
        queued = await self.queue.ask(content, chat_id, key)
        assert isinstance(queued, Queued)
        return queued

    async def waiting(self, chat_id: str) -> list[str]:
        return [one.content for one in (await self.queue.line(chat_id)).questions]

    async def asked(self, chat_id: str) -> list[str]:
        return [one.content for one in await self.store.messages(chat_id) if one.role == "user"]

    async def until(self, condition: Callable[[], Awaitable[Any]]) -> None:
        """After a start or an end, or a change of the line."""
        async with asyncio.timeout(60):
            while not await condition():
                await asyncio.sleep(0.005)

    async def quiet(self, chat_id: str) -> list[str]:
        """What was asked, once nothing runs and nothing waits that could go on."""

        async def done() -> bool:
            line = await self.queue.line(chat_id)
            return not await self.turns.running(chat_id) and (not line.questions or line.held)

        await self.until(done)
        return await self.asked(chat_id)


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    server = await Server(database_url).open()
    yield server
    await server.close()


async def test_questions_are_asked_one_after_the_other_in_their_order(server: Server) -> None:
    turn, go = await server.begin("Done.")
    for number in range(3):
        server.reply.enqueue(f"Answer {number}.")
        await server.waits(turn.chat_id, f"Question {number}")
    assert await server.waiting(turn.chat_id) == ["Question 0", "Question 1", "Question 2"]
    assert await server.asked(turn.chat_id) == ["First"]
    go.set()
    assert await server.quiet(turn.chat_id) == ["First", "Question 0", "Question 1", "Question 2"]
    assert [one.content for one in await server.store.messages(turn.chat_id)][1::2] == [
        "Hm. Done.",
        "Answer 0.",
        "Answer 1.",
        "Answer 2.",
    ]
    # Each is told with what was said before it.
    assert [len(history) for history in server.reply.histories] == [1, 3, 5, 7]


async def test_where_nothing_runs_nothing_waits(server: Server) -> None:
    server.reply.enqueue("One.")
    first = await server.queue.ask("One?")
    assert isinstance(first, Turn)
    await first.end()
    server.reply.enqueue("Two.")
    second = await server.queue.ask("Two?", first.chat_id)
    assert isinstance(second, Turn)
    await second.end()


async def stop(server: Server, turn: Turn, go: asyncio.Event) -> None:
    await server.turns.stop(turn.id)


async def fail(server: Server, turn: Turn, go: asyncio.Event) -> None:
    go.set()
    await turn.end()


@pytest.mark.parametrize("end", [stop, fail])
async def test_after_a_bad_end_they_wait_for_a_person(
    server: Server, end: Callable[[Server, Turn, asyncio.Event], Awaitable[None]]
) -> None:
    turn, go = await server.begin(RuntimeError("broken"))
    first, second = await server.waits(turn.chat_id, "First of two"), await server.waits(turn.chat_id, "Second of two")
    with server.queue.bell(turn.chat_id) as bell:
        await end(server, turn, go)
        async with asyncio.timeout(60):
            await bell.wait()
    assert (await server.queue.line(turn.chat_id)).held
    assert await server.asked(turn.chat_id) == ["First"]
    with pytest.raises(NotFound):
        await server.queue.send_now(turn.chat_id, "no such question")
    server.reply.enqueue("One.")
    server.reply.enqueue("Two.")
    begun = await server.queue.send_now(turn.chat_id, first.id)
    assert begun.user.content == "First of two"
    # The answer is complete, so the rest goes on by itself.
    assert await server.quiet(turn.chat_id) == ["First", "First of two", "Second of two"]
    assert second.content == "Second of two"


async def test_a_new_question_does_not_stand_behind_those_that_are_held(server: Server) -> None:
    turn, _ = await server.begin()
    await server.waits(turn.chat_id, "Held")
    await server.turns.stop(turn.id)
    server.reply.enqueue("Yes.")
    server.reply.enqueue("At last.")
    assert isinstance(await server.queue.ask("Rather this", turn.chat_id), Turn)
    assert await server.quiet(turn.chat_id) == ["First", "Rather this", "Held"]


async def test_it_can_be_changed_and_removed_until_it_is_asked(server: Server) -> None:
    turn, go = await server.begin("Done.")
    removed, changed = await server.waits(turn.chat_id, "Remove me"), await server.waits(turn.chat_id, "Change me")
    await server.queue.remove(turn.chat_id, removed.id)
    await server.queue.change(turn.chat_id, changed.id, "Changed")
    assert await server.waiting(turn.chat_id) == ["Changed"]
    for nothing in ("", "x" * 101, "\0"):
        with pytest.raises(InvalidRequest):
            await server.queue.change(turn.chat_id, changed.id, nothing)
    server.reply.enqueue("Good.")
    go.set()
    assert await server.quiet(turn.chat_id) == ["First", "Changed"]
    for change in (
        server.queue.change(turn.chat_id, changed.id, "Too late"),
        server.queue.remove(turn.chat_id, changed.id),
        server.queue.remove(turn.chat_id, "\0"),
        server.queue.remove("another chat", changed.id),
    ):
        with pytest.raises(NotFound):
            await change


async def test_a_change_in_the_moment_of_the_start_is_what_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read, but has not begun: what is asked is what waits by then."""
    turn, go = await server.begin("Done.")
    queued = await server.waits(turn.chat_id, "Old")
    begin = server.store.begin_turn

    async def changed_before(*args: Any, **options: Any) -> tuple[Message, Message, bool]:
        monkeypatch.setattr(server.store, "begin_turn", begin)
        await server.queue.change(turn.chat_id, queued.id, "New")
        return await begin(*args, **options)

    monkeypatch.setattr(server.store, "begin_turn", changed_before)
    server.reply.enqueue("Good.")
    go.set()
    assert await server.quiet(turn.chat_id) == ["First", "New"]


async def test_a_key_asks_once_however_often_it_is_sent(server: Server) -> None:
    turn, go = await server.begin("Done.")
    for _ in range(3):
        await server.waits(turn.chat_id, "Once", "the key")
    assert await server.waiting(turn.chat_id) == ["Once"]
    server.reply.enqueue("Good.")
    go.set()
    assert await server.quiet(turn.chat_id) == ["First", "Once"]
    again = await server.queue.ask("Once", turn.chat_id, "the key")
    assert isinstance(again, Turn) and again.reply.idempotency_key == "the key"
    next_turn, go = await server.begin("Done.", chat_id=turn.chat_id)
    again = await server.queue.ask("Once", turn.chat_id, "the key")
    assert isinstance(again, Turn) and again.reply.idempotency_key == "the key"
    assert await server.waiting(turn.chat_id) == []
    go.set()
    await next_turn.end()


async def test_only_so_many_wait(server: Server) -> None:
    turn, _ = await server.begin()
    for number in range(MOST):
        await server.waits(turn.chat_id, f"Question {number}")
    with pytest.raises(QueueFull) as full:
        await server.queue.ask("One too many", turn.chat_id)
    assert "10 questions wait in this chat already" in str(full.value)


async def test_what_cannot_be_asked_does_not_wait(server: Server) -> None:
    turn, _ = await server.begin()
    for content in ("", "x" * 101):
        with pytest.raises(InvalidRequest):
            await server.queue.ask(content, turn.chat_id)
    with pytest.raises(NotFound):
        await server.queue.ask("Where?", "no such chat")
    with pytest.raises(TurnRunning):
        await server.queue.ask("Another version", turn.chat_id, edit_of=turn.user.id)
    assert await server.waiting(turn.chat_id) == []


async def test_one_that_is_refused_when_it_is_its_turn_says_why_and_holds_the_rest(server: Server) -> None:
    def refuse(question: Any) -> None:
        if "forbidden" in question.content:
            raise InvalidRequest("Not this one.")

    turn, go = await server.begin("Done.")
    refused = await server.waits(turn.chat_id, "A forbidden one")
    await server.waits(turn.chat_id, "A good one")
    server.turns.on_question(refuse)
    go.set()
    assert await server.quiet(turn.chat_id) == ["First"]
    line = await server.queue.line(turn.chat_id)
    assert line.held and line.questions[0].error and line.questions[0].error["message"] == "Not this one."
    server.reply.enqueue("Good.")
    await server.queue.remove(turn.chat_id, refused.id)
    assert await server.quiet(turn.chat_id) == ["First", "A good one"]


async def test_it_goes_on_after_an_end_that_a_killed_server_did_not_live_to_see(database_url: str) -> None:
    """The answer was saved as complete, and the server gone before it asked the next one."""
    old = await Server(database_url).open()
    turn, go = await old.begin("Done.")
    await old.waits(turn.chat_id, "Asked by the next server")
    await old.queue.close()
    go.set()
    await turn.end()
    await old.close()
    new = Server(database_url)
    new.reply.enqueue("Here.")
    await new.open()
    try:
        assert await new.quiet(turn.chat_id) == ["First", "Asked by the next server"]
    finally:
        await new.close()


async def test_an_answer_that_was_cut_off_holds_the_line_over_a_restart(database_url: str) -> None:
    old = await Server(database_url).open()
    turn, _ = await old.begin()
    queued = await old.waits(turn.chat_id, "Still there")
    await old.close()
    new = await Server(database_url).open()
    try:
        line = await new.queue.line(turn.chat_id)
        assert line.held and [one.id for one in line.questions] == [queued.id]
        new.reply.enqueue("Good.")
        await new.queue.send_now(turn.chat_id, queued.id)
        assert await new.quiet(turn.chat_id) == ["First", "Still there"]
    finally:
        await new.close()


async def test_no_line_is_read_after_the_queue_has_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database closes next, and a connection that is in use then is never given back."""
    read: list[str] = []

    async def go_on(chat_id: str) -> None:
        read.append(chat_id)

    turn, _ = await server.begin()
    await server.waits(turn.chat_id, "Still there")
    await server.queue.close()
    monkeypatch.setattr(server.queue, "_go_on", go_on)
    await server.turns.close()
    assert (await turn.end()).status == Status.stopped
    await asyncio.sleep(0)
    assert read == []


async def test_with_its_chat_it_is_deleted_and_comes_back(server: Server) -> None:
    turn, _ = await server.begin()
    await server.waits(turn.chat_id, "In the trash")
    await server.store.trash_chat(turn.chat_id)
    await server.turns.drop(turn.chat_id)
    assert await server.waiting(turn.chat_id) == []
    await server.store.restore_chat(turn.chat_id)
    line = await server.queue.line(turn.chat_id)
    assert line.held and [one.content for one in line.questions] == ["In the trash"]
    await server.store.delete_chat(turn.chat_id)
    assert await server.waiting(turn.chat_id) == []


async def test_a_database_that_is_away_when_it_is_its_turn_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chat_app.errors import DatabaseUnavailable

    monkeypatch.setattr("chat_app.backoff.FIRST_PAUSE_S", 0.01)
    turn, go = await server.begin("Done.")
    await server.waits(turn.chat_id, "After an outage")
    begin, failures = server.store.begin_turn, 0

    async def away(*args: Any, **options: Any) -> tuple[Message, Message, bool]:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise DatabaseUnavailable
        return await begin(*args, **options)

    monkeypatch.setattr(server.store, "begin_turn", away)
    server.reply.enqueue("Good.")
    go.set()
    assert await server.quiet(turn.chat_id) == ["First", "After an outage"]
    assert failures == 3
    assert (await server.store.messages(turn.chat_id))[-1].status == Status.complete


async def test_a_line_is_its_owners(server: Server) -> None:
    ada, bob = (Caller(owner=name, kind=Kind.person) for name in ("ada", "bob"))
    go = asyncio.Event()
    server.reply.enqueue(go, "Hello Ada.")
    of_ada, of_bob = OwnQueue(server.queue, ada), OwnQueue(server.queue, bob)
    turn = await of_ada.ask("First")
    assert isinstance(turn, Turn)
    queued = await of_ada.ask("Second", turn.chat_id, "key")
    assert isinstance(queued, Queued)
    assert not (await of_bob.line(turn.chat_id)).questions
    for attempt in (
        of_bob.ask("Mine", turn.chat_id),
        of_bob.change(turn.chat_id, queued.id, "Mine"),
        of_bob.remove(turn.chat_id, queued.id),
        of_bob.send_now(turn.chat_id, queued.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    reader = OwnQueue(server.queue, Caller(owner="ada", kind=Kind.person, scopes=frozenset({Scope.read})))
    assert [one.content for one in (await reader.line(turn.chat_id)).questions] == ["Second"]
    with pytest.raises(ReadOnly):
        await reader.remove(turn.chat_id, queued.id)
    server.reply.enqueue("Hello again.")
    go.set()

    async def answered() -> bool:
        messages = await server.store.of("ada").messages(turn.chat_id)
        return [one.content for one in messages][-1] == "Hello again." and messages[-1].status == Status.complete

    await server.until(answered)
    # Whose it is goes with it: hooks and agents are told, and the key is Ada's.
    again = await of_ada.ask("Second", turn.chat_id, "key")
    assert isinstance(again, Turn) and again.caller.owner == "ada"


async def test_one_from_before_there_were_accounts_waits_for_its_new_owner(database_url: str) -> None:
    """Nobody is there who would read the answer; and another process tells whose it is, while the server runs."""
    old = await Server(database_url).open()
    turn, go = await old.begin("Done.")
    await old.waits(turn.chat_id, "For Ada", "key")
    await old.queue.close()
    go.set()
    await turn.end()
    await old.close()
    new = await Server(database_url, accounts=True).open()
    ada, bob = (OwnQueue(new.queue, Caller(owner=name, kind=Kind.person)) for name in ("ada", "bob"))
    try:
        await new.store.adopt("ada")
        assert not (await bob.line(turn.chat_id)).questions
        new.reply.enqueue("Here.")
        [question] = (await ada.line(turn.chat_id)).questions
        assert question.caller["owner"] == "ada" and question.caller["kind"] == "person"
        store = new.store.of("ada")

        async def answered() -> bool:
            return (await store.messages(turn.chat_id))[-1].content == "Here."

        await new.until(answered)
        assert [one.content for one in await store.messages(turn.chat_id)][::2] == ["First", "For Ada"]
    finally:
        await new.close()
