"""The journal by itself: what it writes, when, and how far ahead of it readers may be. No database, no real time."""

import asyncio
import math
from collections.abc import Callable, Sequence

import pytest

from chat_app.errors import DatabaseUnavailable
from chat_app.turns import journal as module
from chat_app.turns.journal import AHEAD_CHARS, BEAT_S, HOLD_S, RETRY_S, Journal, Page, Row
from tests.clock import Clock

pytestmark = pytest.mark.anyio


class Disk:
    """Where the journal writes: each transaction by itself. While it is `stuck`, or `broken`, nothing arrives."""

    def __init__(self) -> None:
        self.transactions: list[list[Row]] = []
        self.broken: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.tries = 0

    async def write(self, rows: Sequence[Row]) -> None:
        self.tries += 1
        await self.free.wait()
        if self.broken:
            raise self.broken
        self.transactions.append(list(rows))

    @property
    def rows(self) -> list[tuple[str, int, int, str, str]]:
        every = [row for transaction in self.transactions for row in transaction]
        return [(row["turn_id"], row["seq"], row["part"], row["kind"], row["text"]) for row in every]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the loop, and of the journal."""
    clock = Clock(monkeypatch)
    monkeypatch.setattr(module, "_now", lambda: asyncio.get_running_loop().time())
    return clock


@pytest.fixture
def journal(disk: Disk) -> Journal:
    return Journal(disk.write)


async def beat(clock: Clock) -> None:
    """Let one pass, with all that it sets off."""
    await asyncio.sleep(0)
    await clock.forward(BEAT_S)
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_what_is_new_of_all_turns_is_one_transaction_a_beat(journal: Journal, disk: Disk, clock: Clock) -> None:
    one, other = journal.page("one"), journal.page("other")
    for text in ("Hel", "lo"):
        one.add(0, "text", text, len(text))
    other.add(0, "reasoning", "hm", 2)
    other.add(1, "text", "So", 2)
    await beat(clock)
    assert len(disk.transactions) == 1
    assert disk.rows == [
        ("one", 5, 0, "text", "Hello"),
        ("other", 2, 0, "reasoning", "hm"),
        ("other", 4, 1, "text", "So"),
    ]
    assert (one.saved, other.saved) == (5, 4)


async def test_nothing_is_written_twice_and_nothing_where_nothing_is_new(
    journal: Journal, disk: Disk, clock: Clock
) -> None:
    page = journal.page("one")
    for text in ("a", "b"):
        page.add(0, "text", text, 1)
        await beat(clock)
    for _ in range(5):
        await beat(clock)
    assert disk.rows == [("one", 1, 0, "text", "a"), ("one", 2, 0, "text", "b")]
    assert disk.tries == 2


async def test_a_whole_part_is_a_row_of_its_own(journal: Journal, disk: Disk, clock: Clock) -> None:
    page = journal.page("one", 10)
    page.add(0, "text", "ab", 2)
    page.add(1, "tool", "{}", 1)
    page.add(2, "tool", "[]", 1)
    page.add(3, "text", "c", 1)
    await beat(clock)
    seqs = [(seq, part, kind, text) for _, seq, part, kind, text in disk.rows]
    assert seqs == [(12, 0, "text", "ab"), (13, 1, "tool", "{}"), (14, 2, "tool", "[]"), (15, 3, "text", "c")]


async def test_readers_are_only_so_far_ahead_of_what_is_stored(journal: Journal, disk: Disk, clock: Clock) -> None:
    shown: list[float] = []
    page = journal.page("one")

    async def show() -> None:
        shown.append(journal.reach(page))

    page.show = show
    page.add(0, "text", "x" * AHEAD_CHARS, AHEAD_CHARS)
    assert journal.reach(page) == math.inf
    page.add(0, "text", "y", 1)
    assert journal.reach(page) == AHEAD_CHARS
    # So much is worth a commit of its own, before the beat.
    await until(lambda: bool(shown))
    assert shown == [math.inf]
    assert page.saved == AHEAD_CHARS + 1


async def test_who_is_too_far_ahead_waits_for_the_write(journal: Journal, disk: Disk, clock: Clock) -> None:
    disk.free.clear()
    page = journal.page("one")
    page.add(0, "text", "x" * (AHEAD_CHARS + 1), AHEAD_CHARS + 1)
    waiting = asyncio.ensure_future(journal.catch_up(page))
    await until(lambda: disk.tries == 1)
    assert not waiting.done()
    disk.free.set()
    await waiting
    assert page.saved == page.seq


@pytest.mark.parametrize(
    "problem", [DatabaseUnavailable(), OSError("disk")], ids=lambda problem: type(problem).__name__
)
async def test_what_a_write_could_not_store_is_written_once_the_database_is_back(
    journal: Journal, disk: Disk, clock: Clock, problem: Exception
) -> None:
    page = journal.page("one")
    disk.broken = problem
    page.add(0, "text", "a", 1)
    await beat(clock)
    assert disk.tries == 1
    # Nobody is held back meanwhile.
    page.add(0, "text", "x" * 3 * AHEAD_CHARS, 3 * AHEAD_CHARS)
    assert journal.reach(page) == math.inf
    await journal.catch_up(page)
    disk.broken = None
    await clock.forward(RETRY_S)
    await beat(clock)
    await until(lambda: page.saved == page.seq)
    assert "".join(text for *_, text in disk.rows) == "a" + "x" * 3 * AHEAD_CHARS


async def test_a_write_that_hangs_holds_nobody_back_for_long(journal: Journal, disk: Disk, clock: Clock) -> None:
    disk.free.clear()
    page = journal.page("one")
    page.add(0, "text", "x" * (AHEAD_CHARS + 1), AHEAD_CHARS + 1)
    waiting = asyncio.ensure_future(journal.catch_up(page))
    await until(lambda: disk.tries == 1)
    await clock.forward(HOLD_S)
    await waiting
    assert journal.reach(page) == math.inf
    disk.free.set()
    await until(lambda: page.saved == page.seq)


async def test_the_end_of_a_turn_waits_for_what_is_being_written_and_takes_back_the_rest(
    journal: Journal, disk: Disk, clock: Clock
) -> None:
    disk.free.clear()
    page = journal.page("one")
    page.add(0, "text", "a", 1)
    await beat(clock)
    await until(lambda: disk.tries == 1)
    page.add(0, "text", "b", 1)
    finishing = asyncio.ensure_future(journal.finish(page))
    await asyncio.sleep(0)
    assert not finishing.done()
    disk.free.set()
    await finishing
    for _ in range(3):
        await beat(clock)
    assert disk.rows == [("one", 1, 0, "text", "a")]
    # What is left is the end's to store, should it have to.
    assert [(row["seq"], row["text"]) for row in page.take()] == [(2, "b")]


async def test_what_a_failed_write_had_of_an_ended_turn_is_not_written_after_its_end(
    journal: Journal, disk: Disk, clock: Clock
) -> None:
    disk.free.clear()
    disk.broken = DatabaseUnavailable()
    page = journal.page("one")
    page.add(0, "text", "a", 1)
    await beat(clock)
    await until(lambda: disk.tries == 1)
    finishing = asyncio.ensure_future(journal.finish(page))
    await asyncio.sleep(0)
    disk.free.set()
    await finishing
    disk.broken = None
    await clock.forward(RETRY_S)
    await beat(clock)
    assert disk.rows == []
    assert [(row["seq"], row["text"]) for row in page.take()] == [(1, "a")]


async def test_closed_it_leaves_no_task(journal: Journal, disk: Disk) -> None:
    before = asyncio.all_tasks()
    page = journal.page("one")
    page.add(0, "text", "a", 1)
    await journal.close()
    assert asyncio.all_tasks() <= before
    assert disk.rows == [("one", 1, 0, "text", "a")]


def test_a_page_knows_when_it_is_worth_a_commit() -> None:
    """A long answer is some hundred rows, not thousands: so much of all that there is has to be new."""

    class Unasked:
        def note(self, page: Page) -> None: ...

    page = Page(Unasked(), "one", 0)
    page.add(0, "text", "", AHEAD_CHARS + 1)
    assert page.ripe()
    long = Page(Unasked(), "one", 1_000_000)
    long.add(0, "text", "", AHEAD_CHARS + 1)
    assert not long.ripe()
    long.add(0, "text", "", 30_000)
    assert long.ripe()
