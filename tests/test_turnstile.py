"""What a few do at a time where the process is behind, and all at once where it is not."""

import asyncio

import pytest

from chat_app.ui import turnstile
from chat_app.ui.lateness import Lateness
from chat_app.ui.turnstile import PLACES, Turnstile

pytestmark = pytest.mark.anyio


class Late(Lateness):
    """By so many seconds, always."""

    def __init__(self, s: float) -> None:
        self._always = s

    @property
    def s(self) -> float:
        return self._always


class Crowd:
    """Ten who come in this order, each done when told; the first ones wait in `inside`."""

    def __init__(self, late_s: float) -> None:
        self.turnstile = Turnstile(Late(late_s))
        self.inside: list[int] = []
        self.done = [asyncio.Event() for _ in range(10)]
        self.tasks = [asyncio.create_task(self._one(number)) for number in range(10)]

    async def _one(self, number: int) -> None:
        async with self.turnstile.passed():
            self.inside.append(number)
            await self.done[number].wait()

    async def settled(self) -> list[int]:
        for _ in range(20):
            await asyncio.sleep(0)
        return self.inside

    async def end(self) -> None:
        for done in self.done:
            done.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_all_pass_where_the_process_is_in_time() -> None:
    crowd = Crowd(0)
    assert await crowd.settled() == list(range(10))
    await crowd.end()


async def test_a_few_at_a_time_pass_in_their_order_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "HELD_S", 3_600)
    crowd = Crowd(0.02)
    assert await crowd.settled() == list(range(PLACES))
    crowd.done[1].set()
    assert await crowd.settled() == list(range(PLACES + 1))
    # Who gives up leaves the place to the next.
    crowd.tasks[PLACES + 1].cancel()
    crowd.tasks[0].cancel()
    assert await crowd.settled() == [*range(PLACES + 1), PLACES + 2]
    await crowd.end()
    assert sorted(crowd.inside) == [number for number in range(10) if number != PLACES + 1]


async def test_nobody_waits_for_one_that_waits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "HELD_S", 0)
    crowd = Crowd(0.02)
    async with asyncio.timeout(30):
        while len(await crowd.settled()) < 10:
            await asyncio.sleep(0.001)
    assert crowd.inside == list(range(10))
    await crowd.end()
    # And no place came back twice.
    assert crowd.turnstile._places._value == PLACES
