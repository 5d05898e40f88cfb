"""The backplane of one process: what is true of turns while they run, and for a minute after."""

import asyncio

import pytest

from chat_app.models import Message, Status
from chat_app.turns.backplane import Entry
from chat_app.turns.log import Delta, Ended, Event
from chat_app.turns.memory import LINGER_S, MemoryBackplane
from tests.clock import Clock

pytestmark = pytest.mark.anyio

END: list[Event] = [Ended(3, Status.complete, "stop")]


@pytest.fixture
def backplane() -> MemoryBackplane:
    return MemoryBackplane()


async def add(backplane: MemoryBackplane, turn_id: str, chat_id: str = "chat") -> list[str]:
    """Returns where its stops are noted."""
    stops: list[str] = []
    user = Message(id=f"{turn_id}-user", chat_id=chat_id, role="user", content="Hi")
    reply = Message(id=turn_id, chat_id=chat_id, role="assistant", content="")
    await backplane.add(Entry(user, reply, "me"), lambda: stops.append(turn_id))
    return stops


async def test_a_turn_that_runs_is_found_and_stopped_by_its_id(backplane: MemoryBackplane) -> None:
    stops = await add(backplane, "turn")
    assert (await backplane.turn("turn"), await backplane.owner("turn")) == (
        (await backplane.of_chat("chat"))[0],
        "me",
    )
    assert await backplane.answering() == {"chat"}
    await backplane.stop("another")
    await backplane.stop("turn")
    assert stops == ["turn"]


async def test_one_that_has_ended_is_nobodys_and_is_kept_for_a_while(
    backplane: MemoryBackplane, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    stops = await add(backplane, "turn")
    await backplane.log.append("turn", [Delta(3, "Hi!")])
    await backplane.end("turn", END)
    await backplane.stop("turn")
    assert stops == []
    assert await backplane.owner("turn") is None and await backplane.answering() == set()
    assert (entry := await backplane.turn("turn")) and entry.ended_at == 3
    await clock.forward(LINGER_S - 1)
    assert await backplane.turn("turn")
    await clock.forward(2)
    assert await backplane.turn("turn") is None and await backplane.of_chat("chat") == []


async def test_the_turns_of_a_chat_come_in_order_and_are_forgotten_together(backplane: MemoryBackplane) -> None:
    for turn_id, chat_id in (("2", "chat"), ("1", "chat"), ("3", "another")):
        await add(backplane, turn_id, chat_id)
    assert [entry.turn_id for entry in await backplane.of_chat("chat")] == ["1", "2"]
    await backplane.forget("chat")
    assert await backplane.of_chat("chat") == []
    assert await backplane.answering() == {"another"}
    # Its turns may still end.
    await backplane.end("1", END)


async def test_whoever_waits_for_a_change_hears_of_all_since(backplane: MemoryBackplane) -> None:
    waiting = [asyncio.create_task(backplane.changed(0)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    await backplane.announce()
    assert await asyncio.gather(*waiting) == [1, 1]
    await backplane.announce()
    assert await backplane.changed(0) == 2


async def test_what_begins_is_waited_for_also_where_it_fails(backplane: MemoryBackplane) -> None:
    await backplane.begun()
    with pytest.raises(ValueError, match="no"):
        async with backplane.beginning():
            waiting = asyncio.create_task(backplane.begun())
            await asyncio.sleep(0)
            assert not waiting.done()
            raise ValueError("no")
    await waiting


async def test_a_chat_that_is_forgotten_takes_its_turns_along_and_no_others(
    backplane: MemoryBackplane, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    for turn_id, chat_id in (("2", "chat"), ("1", "chat"), ("3", "other")):
        await add(backplane, turn_id, chat_id)
        await backplane.end(turn_id, END)
    assert [entry.turn_id for entry in await backplane.of_chat("chat")] == ["1", "2"]
    await backplane.forget("chat")
    assert await backplane.turn("1") is None and await backplane.of_chat("chat") == []
    assert [entry.turn_id for entry in await backplane.of_chat("other")] == ["3"]
    await add(backplane, "4", "chat")
    # The old ones would go by now.
    await clock.forward(LINGER_S + 1)
    assert [entry.turn_id for entry in await backplane.of_chat("chat")] == ["4"]
