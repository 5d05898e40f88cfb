"""How often a page is written to: a rest follows each write, as long as the write says."""

import asyncio
from types import SimpleNamespace

import pytest

from chat_app.ui import lateness, pace
from chat_app.ui.lateness import IN_TIME_S, SMOOTHED_S, STALE_S, Lateness
from chat_app.ui.pace import BEHIND, LEAST_S, MOST_BEHIND_S, MOST_S, RESTS, Pace

pytestmark = pytest.mark.anyio


class Clock:
    """It stands still but for what is waited, and what a test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.waited: list[float] = []
        self.late = 0.0
        for module in (pace, lateness):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds + self.late

    async def write(self, pace: Pace, took: float) -> None:
        await pace.rest()
        pace.begin()
        self.now += took
        pace.end()


async def test_what_comes_alone_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), Pace(Lateness())
    for _ in range(3):
        await clock.write(pace, 0.001)
        clock.now += 0.02
    assert clock.waited == []


async def test_what_comes_fast_waits_for_the_rest_of_the_write_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), Pace(Lateness())
    for took in (0.0001, 0.0001, 0.002, 5.0, 0.0001):
        await clock.write(pace, took)
    clock.now += LEAST_S / 2
    await clock.write(pace, 0.0001)
    assert clock.waited == pytest.approx([LEAST_S, LEAST_S, RESTS * 0.002, MOST_S, LEAST_S / 2])


async def test_where_the_process_is_late_a_page_is_written_to_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, late = Clock(monkeypatch), Lateness()
    # One page's tokens come all the time; the rests of the others tell as well.
    clock.late, pages = 0.02, [Pace(late) for _ in range(20)]
    for _ in range(20):
        for page in pages:
            await clock.write(page, 0.0001)
    assert late.s == pytest.approx(0.02, rel=0.01)
    for _ in range(2):
        await clock.write(pages[0], 0.0001)
    assert clock.waited[-1] == pytest.approx(BEHIND * 0.02, rel=0.01)
    clock.late = 10.0
    for _ in range(3):
        await clock.write(pages[0], 0.0001)
    assert clock.waited[-1] == pytest.approx(MOST_BEHIND_S)


async def test_one_long_step_makes_no_process_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, late = Clock(monkeypatch), Lateness()
    for _ in range(1_000):
        late.note(0.001)
        clock.now += 0.001
    late.note(0.2)
    assert late.s == 0
    for _ in range(1_000):
        late.note(0.2)
        clock.now += 0.001
    assert 0.2 * 0.8 < late.s < 0.2
    clock.now += SMOOTHED_S
    late.note(IN_TIME_S)
    assert late.s == pytest.approx(IN_TIME_S)
    clock.now += SMOOTHED_S
    late.note(IN_TIME_S / 2)
    assert late.s == 0


async def test_what_was_long_ago_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, late = Clock(monkeypatch), Lateness()
    late.note(0.2)
    assert late.s == 0.2
    clock.now += STALE_S
    assert late.s == 0
