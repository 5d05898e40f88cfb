"""A backplane on which nothing is instant: each call waits before and after what it does.

Those who wait go on in an order that a seed gives. It is no real time, so that a test takes hardly longer.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from chat_app.turns.backplane import Entry
from chat_app.turns.log import Event, MemoryLog, Rest
from chat_app.turns.memory import MemoryBackplane

IDLE = 0.5
"""In how many of its rounds the scheduler lets nobody go on: others have the loop meanwhile."""


class Scheduler:
    """Who waits here goes on when chance says so, one in a round of the loop."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._waiting: list[asyncio.Future[None]] = []

    async def pause(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._round, loop)
        waiting = loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._chance.random() >= IDLE:
            chosen = self._waiting.pop(self._chance.randrange(len(self._waiting)))
            if not chosen.done():
                chosen.set_result(None)
        if self._waiting:
            loop.call_soon(self._round, loop)

    @asynccontextmanager
    async def around(self) -> AsyncIterator[None]:
        await self.pause()
        yield
        await self.pause()


class SlowLog(MemoryLog):
    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    async def create(self, turn_id: str) -> None:
        async with self._scheduler.around():
            await super().create(turn_id)

    async def append(self, turn_id: str, *events: Event) -> None:
        async with self._scheduler.around():
            await super().append(turn_id, *events)

    def follow(
        self, turn_id: str, after: int = 0, idle: float | None = None, rest: Rest | None = None
    ) -> AsyncIterator[list[Event]]:
        return self._slowly(super().follow(turn_id, after, idle, rest))

    async def _slowly(self, batches: AsyncIterator[list[Event]]) -> AsyncIterator[list[Event]]:
        await self._scheduler.pause()
        async for batch in batches:
            yield batch
            await self._scheduler.pause()

    async def end(self, turn_id: str, events: Sequence[Event]) -> None:
        async with self._scheduler.around():
            await super().end(turn_id, events)


class SlowBackplane(MemoryBackplane):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self._scheduler = Scheduler(seed)
        self.log = SlowLog(self._scheduler)

    @asynccontextmanager
    async def beginning(self) -> AsyncIterator[None]:
        async with self._scheduler.around(), super().beginning():
            yield

    async def begun(self) -> None:
        async with self._scheduler.around():
            await super().begun()

    async def add(self, entry: Entry, stop: Callable[[], None]) -> None:
        async with self._scheduler.around():
            await super().add(entry, stop)

    async def end(self, turn_id: str, events: Sequence[Event]) -> None:
        async with self._scheduler.around():
            await super().end(turn_id, events)

    async def forget(self, chat_id: str) -> None:
        async with self._scheduler.around():
            await super().forget(chat_id)

    async def turn(self, turn_id: str) -> Entry | None:
        async with self._scheduler.around():
            return await super().turn(turn_id)

    async def of_chat(self, chat_id: str) -> list[Entry]:
        async with self._scheduler.around():
            return await super().of_chat(chat_id)

    async def owner(self, turn_id: str) -> str | None:
        async with self._scheduler.around():
            return await super().owner(turn_id)

    async def answering(self) -> set[str]:
        async with self._scheduler.around():
            return await super().answering()

    async def stop(self, turn_id: str) -> None:
        async with self._scheduler.around():
            await super().stop(turn_id)

    async def announce(self, owner: str = "") -> None:
        async with self._scheduler.around():
            await super().announce(owner)

    async def changed(self, since: int, owner: str = "") -> int:
        async with self._scheduler.around():
            return await super().changed(since, owner)
