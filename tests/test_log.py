"""The numbered log in memory: replay after a number, follow, and the end. `newer` is pure and tested alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chat_app.models import Status
from chat_app.turns.log import Delta, Ended, Event, MemoryLog, newer

pytestmark = pytest.mark.anyio

TURN = "turn"


def deltas(*texts: str) -> list[Event]:
    """Deltas with the numbers that a turn gives them: characters up to the end of each."""
    events: list[Event] = []
    seq = 0
    for text in texts:
        seq += len(text)
        events.append(Delta(seq, text))
    return events


def end(seq: int) -> Ended:
    return Ended(seq, Status.complete, "stop")


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def filled(*events: Event) -> MemoryLog:
    log = MemoryLog()
    await log.create(TURN)
    for event in events:
        await log.append(TURN, event)
    return log


async def flat(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


async def soon(batches: AsyncIterator[list[Event]]) -> list[Event]:
    async with asyncio.timeout(5):
        return await anext(batches)


async def never(waiting: "asyncio.Task[list[Event]]") -> None:
    """The loop has gone round often enough for anything that was ready to be delivered."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()


# What is newer


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (0, [Delta(2, "ab"), Delta(5, "cde"), end(6)]),
        (2, [Delta(5, "cde"), end(6)]),
        (5, [end(6)]),
        (6, []),
        (99, []),
    ],
)
def test_newer_begins_after_the_number(after: int, expected: list[Event]) -> None:
    assert newer([*deltas("ab", "cde"), end(6)], after) == expected


@pytest.mark.parametrize(("after", "rest"), [(1, "bcde"), (3, "de"), (4, "e")])
def test_a_delta_that_straddles_the_number_is_cut(after: int, rest: str) -> None:
    events = newer(deltas("ab", "cde"), after)
    assert text(events) == rest
    assert events[-1].seq == 5


def test_the_cut_counts_code_points_and_keeps_the_kind() -> None:
    [cut] = newer([Delta(4, "👋é👋x", "reasoning")], 2)
    assert cut == Delta(4, "👋x", "reasoning")


def test_the_log_itself_stays_whole_when_a_reader_gets_a_cut_piece() -> None:
    events = deltas("abc")
    newer(events, 2)
    assert events == deltas("abc")


def test_nothing_is_newer_in_an_empty_log() -> None:
    assert newer([], 0) == []


# Replay


async def test_an_ended_log_is_replayed_as_one_batch() -> None:
    log = await filled(*deltas("Hel", "lo"), end(6))
    assert [batch async for batch in log.follow(TURN)] == [[*deltas("Hel", "lo"), end(6)]]


async def test_a_reader_that_has_everything_gets_nothing_and_returns() -> None:
    log = await filled(*deltas("Hel", "lo"), end(6))
    assert [batch async for batch in log.follow(TURN, after=6)] == []


async def test_a_resuming_reader_gets_only_the_rest() -> None:
    log = await filled(*deltas("Hel", "lo"), end(6))
    assert text(await flat(log.follow(TURN, after=4))) == "o"


async def test_a_late_reader_gets_all_so_far_in_one_batch() -> None:
    log = await filled(*deltas(*"abcdef"))
    reader = log.follow(TURN)
    assert await soon(reader) == deltas(*"abcdef")
    await log.append(TURN, end(7))
    assert await soon(reader) == [end(7)]


# Follow


async def test_a_reader_is_woken_by_each_event() -> None:
    log = await filled()
    reader = log.follow(TURN)
    for event in [*deltas("a", "b"), end(3)]:
        waiting = asyncio.ensure_future(soon(reader))
        await never(waiting)
        await log.append(TURN, event)
        assert await waiting == [event]
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_a_reader_waits_where_it_has_read_all_so_far() -> None:
    log = await filled(*deltas("abc"))
    reader = log.follow(TURN, after=3)
    waiting = asyncio.ensure_future(soon(reader))
    await never(waiting)
    await log.append(TURN, Delta(5, "de"))
    assert await waiting == [Delta(5, "de")]


async def test_a_reader_that_is_ahead_of_the_log_gets_only_what_it_does_not_have() -> None:
    log = await filled(*deltas("ab"))
    reader = asyncio.ensure_future(flat(log.follow(TURN, after=6)))
    for event in [Delta(4, "cd"), Delta(9, "efghi"), Delta(10, "j"), end(11)]:
        await asyncio.sleep(0)
        await log.append(TURN, event)
    assert await reader == [Delta(9, "ghi"), Delta(10, "j"), end(11)]


async def test_many_readers_that_joined_at_different_times_get_the_same_text() -> None:
    log = await filled()
    readers = []
    for event in [*deltas(*"a streamed answer"), end(18)]:
        readers.append(asyncio.ensure_future(flat(log.follow(TURN))))
        await log.append(TURN, event)
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        received = await asyncio.gather(*readers)
    assert {text(events) for events in received} == {"a streamed answer"}
    assert all(events[-1] == end(18) for events in received)


async def test_a_slow_reader_gets_longer_batches_and_holds_nobody_up() -> None:
    log = await filled(Delta(1, "0"))
    slow, quick = log.follow(TURN), log.follow(TURN)
    assert await soon(slow) == await soon(quick) == [Delta(1, "0")]
    for number in range(1, 10):
        await log.append(TURN, Delta(number + 1, str(number)))
        assert text(await soon(quick)) == str(number)
    assert text(await soon(slow)) == "123456789"


async def test_what_comes_while_a_reader_rests_is_in_the_same_list() -> None:
    """It does not wait for another rest."""
    rested = asyncio.Event()
    log = await filled(*deltas("a"))
    reader = log.follow(TURN, rest=rested.wait)
    assert await soon(reader) == deltas("a")
    resting = asyncio.ensure_future(soon(reader))
    for event in (Delta(2, "b"), Delta(3, "c")):
        await log.append(TURN, event)
        await never(resting)
    rested.set()
    assert await resting == [Delta(2, "b"), Delta(3, "c")]


async def test_a_reader_that_leaves_changes_nothing_for_the_others() -> None:
    log = await filled(*deltas("a"))
    leaving, staying = log.follow(TURN), log.follow(TURN)
    await soon(leaving)
    await soon(staying)
    gone = asyncio.ensure_future(soon(leaving))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    await log.append(TURN, Delta(2, "b"))
    assert await soon(staying) == [Delta(2, "b")]


async def test_two_turns_have_two_logs() -> None:
    log = await filled(*deltas("one"), end(4))
    await log.create("other")
    await log.append("other", Delta(3, "two"))
    await log.append("other", end(4))
    assert text(await flat(log.follow(TURN))) == "one"
    assert text(await flat(log.follow("other"))) == "two"


# Silence


async def test_silence_gives_an_empty_batch_each_time() -> None:
    log = await filled(*deltas("a"))
    reader = log.follow(TURN, idle=0.01)
    assert await soon(reader) == deltas("a")
    assert await soon(reader) == []
    assert await soon(reader) == []
    await log.append(TURN, Delta(2, "b"))
    assert await soon(reader) == [Delta(2, "b")]


async def test_silence_before_the_first_event_gives_an_empty_batch_too() -> None:
    log = await filled()
    reader = log.follow(TURN, idle=0.01)
    assert await soon(reader) == []
    await log.append(TURN, end(1))
    assert await soon(reader) == [end(1)]


async def test_without_idle_silence_gives_nothing() -> None:
    log = await filled()
    waiting = asyncio.ensure_future(soon(log.follow(TURN)))
    await never(waiting)
    await log.append(TURN, end(1))
    assert await waiting == [end(1)]


# Beginning and end


async def test_an_unknown_log_is_a_key_error_at_once() -> None:
    with pytest.raises(KeyError):
        MemoryLog().follow("unknown")


async def test_a_dropped_log_is_unknown_but_its_readers_are_not_cut_off() -> None:
    log = await filled(*deltas("abc"), end(4))
    reader = log.follow(TURN)
    log.drop(TURN)
    with pytest.raises(KeyError):
        log.follow(TURN)
    assert await flat(reader) == [*deltas("abc"), end(4)]


async def test_dropping_what_is_not_there_is_harmless() -> None:
    MemoryLog().drop("unknown")
