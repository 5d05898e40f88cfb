"""How often a page is written to: a rest follows each write, as long as the write says."""

import asyncio
from types import SimpleNamespace

import pytest

from chat_app.ui import pace as module
from chat_app.ui.pace import LEAST_S, MOST_S, RESTS, Pace

pytestmark = pytest.mark.anyio


class Clock:
    """It stands still but for what is waited, and what a test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.waited: list[float] = []
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    async def write(self, pace: Pace, took: float) -> None:
        await pace.rest()
        pace.begin()
        self.now += took
        pace.end()


async def test_what_comes_alone_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), Pace()
    for _ in range(3):
        await clock.write(pace, 0.001)
        clock.now += 0.02
    assert clock.waited == []


async def test_what_comes_fast_waits_for_the_rest_of_the_write_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), Pace()
    for took in (0.0001, 0.0001, 0.002, 5.0, 0.0001):
        await clock.write(pace, took)
    clock.now += LEAST_S / 2
    await clock.write(pace, 0.0001)
    assert clock.waited == pytest.approx([LEAST_S, LEAST_S, RESTS * 0.002, MOST_S, LEAST_S / 2])
