"""How often a page is written to: a rest follows each write."""

import asyncio

import pytest

from chat_app.ui.pace import REST_S, Pace

pytestmark = pytest.mark.anyio


class Time:
    """The loop's: it stands still but for what is waited, and what a test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.waited: list[float] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    async def write(self, pace: Pace, took: float) -> None:
        await pace.begin()
        self.now += took
        pace.end()


async def test_what_comes_alone_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    time, pace = Time(monkeypatch), Pace()
    for _ in range(3):
        await time.write(pace, 0.001)
        time.now += 0.02
    assert time.waited == []


async def test_what_comes_fast_waits_for_the_rest_of_the_write_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    time, pace = Time(monkeypatch), Pace()
    for took in (0.001, 5.0, 0.001):
        await time.write(pace, took)
    time.now += REST_S / 2
    await time.write(pace, 0.001)
    assert time.waited == pytest.approx([REST_S, REST_S, REST_S / 2])
