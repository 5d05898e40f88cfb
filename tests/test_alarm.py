"""A time that is put off often: it is kept, and one timer is enough for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message

from chat_app.alarm import Alarm, Limit
from chat_app.api.deadline import Sends, Undelivered
from chat_app.turns.log import Delta, MemoryLog
from tests.clock import Clock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Timers:
    """How many timers the loop was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        loop = asyncio.get_running_loop()
        real = loop.call_at

        def call_at(*arguments: Any, **options: Any) -> asyncio.TimerHandle:
            self.count += 1
            return real(*arguments, **options)

        monkeypatch.setattr(loop, "call_at", call_at)


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


async def test_it_goes_off_once_at_the_time_that_was_set_last(clock: Clock) -> None:
    calls: list[int] = []
    alarm = Alarm(lambda: calls.append(1))
    for _ in range(3):
        alarm.set(10_000)
        await clock.forward(9_000)
    assert calls == []
    await clock.forward(1_000)
    await clock.forward(50_000)
    assert calls == [1]


async def test_it_can_be_set_to_an_earlier_time(clock: Clock) -> None:
    calls: list[int] = []
    alarm = Alarm(lambda: calls.append(1))
    alarm.set(10_000)
    alarm.set(1_000)
    await clock.forward(1_000)
    assert calls == [1]
    alarm.set(3_000)
    await clock.forward(3_000)
    assert calls == [1, 1]


@pytest.mark.parametrize("end", [Alarm.off, Alarm.close])
async def test_it_can_be_turned_off(clock: Clock, end: Callable[[Alarm], None]) -> None:
    calls: list[int] = []
    alarm = Alarm(lambda: calls.append(1))
    alarm.set(1_000)
    end(alarm)
    await clock.forward(2_000)
    assert calls == []


async def test_a_limit_ends_what_waits_and_nothing_else(clock: Clock) -> None:
    limit = Limit(10_000)
    with pytest.raises(TimeoutError):
        async with limit:
            for _ in range(3):
                await clock.forward(9_000)
                limit.put_off(10_000)
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, clock.forward(10_000))
            await asyncio.Event().wait()
    assert limit.expired()

    with pytest.raises(TimeoutError, match="its own"):
        async with Limit(10_000) as limit:
            raise TimeoutError("its own")
    assert not limit.expired()


async def test_a_token_arms_no_timer(timers: Timers) -> None:
    async def send(message: Message) -> None:
        await asyncio.sleep(0)

    log, sends = MemoryLog(), Sends(send, 30, "/")
    await log.create("turn")
    reader = log.follow("turn", idle=15)
    async with Limit(60) as limit:
        for number in range(1, 200):
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, log.append("turn", Delta(number, "x")))
            assert await anext(reader) == [Delta(number, "x")]
            await sends({"type": "http.response.body"})
            limit.put_off(60)
    assert timers.count == 3


async def test_each_message_has_its_own_time(clock: Clock) -> None:
    """Also where several are sent at the same time, and the first of them goes out."""
    going = {name: asyncio.Event() for name in "abc"}

    async def send(message: Message) -> None:
        await going[message["type"]].wait()

    sends = Sends(send, 10_000, "/")

    async def begin(name: str) -> asyncio.Future[None]:
        sending = asyncio.ensure_future(sends({"type": name}))
        await clock.forward(0)
        return sending

    a = await begin("a")
    await clock.forward(6_000)
    b = await begin("b")
    going["a"].set()
    await clock.forward(2_000)
    c = await begin("c")
    await clock.forward(7_000)
    assert (a.done(), b.done(), c.done()) == (True, False, False)
    await clock.forward(1_000)
    with pytest.raises(Undelivered):
        await b
    assert not c.done()
    going["c"].set()
    await c
