"""Fifty readers attach, stall, drop and come back at random; ten turns run; each reader ends with the stored parts.

In some of them the model thinks aloud between its words.

`CHAOS_SEED` repeats a run's choices; the seed is printed.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import places
from tests.forked import Api
from tests.parts_agent import INCLUDE, places_of, question
from tests.places import Places
from tests.provider import Script
from tests.provider_client import Provider, script
from tests.sse_client import streaming, value
from tests.ws_client import Socket

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

READERS = 50
SCRIPTS: list[dict[str, Any]] = [
    *({"tokens": 400, "interval_ms": 10, "first_ms": first} for first in (0, 300)),
    {"tokens": 400, "interval_ms": 10, "first_ms": 1_000, "think_every": 1},
    *({"tokens": 80, "interval_ms": 50, "split_emoji": True, "think_every": every} for every in (0, 5)),
    {"tokens": 1_500, "interval_ms": 2, "separators": True},
    {"tokens": 3_000, "interval_ms": 0, "think_every": 7},
    {"markdown": True, "tokens": 800, "interval_ms": 5},
    {"pieces": ["👋🏽 ", "é\u2028", "\n\n", "data: ", "[DONE] ", '"\\ '] * 60, "interval_ms": 10},
    {"tokens": 300, "interval_ms": 10, "drop_after": 200, "think_every": 3},
]

PATIENCES = [0, 1, 5, 30, 200, 1_000]
"""After how many more objects than one a reader drops its connection."""

Objects = AsyncIterator[tuple[dict[str, Any], str]]
"""Each with the name of its block, where it has one."""
Door = Callable[[], AbstractAsyncContextManager[Objects]]


@dataclass
class Reader:
    """Reads one turn to its end, however often it loses its connection."""

    client: httpx.AsyncClient
    turn_id: str
    chance: random.Random
    number: int = -1
    got: Places = field(default_factory=list)
    end: dict[str, Any] | None = None
    attached: Counter[str] = field(default_factory=Counter)

    async def read(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, 2))
        doors = [self.over_sse, self.over_websocket]
        self.chance.shuffle(doors)
        # Each door once at least, also where a busy machine has the turn ended by then: that has three objects or more.
        for door, patience in zip(doors, ([0, 1], PATIENCES), strict=True):
            await self.attach(door, self.chance.choice(patience))
        while self.end is None:
            await self.attach(self.chance.choice(doors), self.chance.choice(PATIENCES))

    async def attach(self, door: Door, patience: int) -> None:
        self.attached[door.__name__] += 1
        async with door() as objects:
            await self.take(objects, patience)

    async def take(self, objects: Objects, patience: int) -> None:
        """Some of what comes, at some pace, then drop the connection."""
        async for one in objects:
            self.note(*one)
            if self.end or not patience:
                return
            patience -= 1
            if self.chance.random() < 0.002:
                await asyncio.sleep(self.chance.uniform(0, 0.3))

    def note(self, one: dict[str, Any], event: str) -> None:
        if one["role"] == "user":
            assert (self.number, one["seq"]) == (-1, 0)
        elif one.keys() & places.END:
            assert one["seq"] == len(self.got) + 1
            self.end = one
        else:
            # A number counts the places up to it, so this is what finds a gap or a repeat.
            self.got += places.of_object(one, event)
            assert one["seq"] == len(self.got)
        self.number = one["seq"]

    @asynccontextmanager
    async def over_sse(self) -> AsyncIterator[Objects]:
        last = {"Last-Event-ID": f"{self.turn_id}:{self.number}"} if self.number >= 0 else {}
        url = f"/stream/{self.turn_id}?include={INCLUDE}"
        async with streaming(self.client, "GET", url, headers=last) as stream:

            async def objects() -> Objects:
                while not self.end:
                    frame = await stream.next()
                    assert frame.id.startswith(self.turn_id)
                    yield value(frame) | {"seq": int(frame.id.rpartition(":")[2])}, frame.event

            yield objects()

    @asynccontextmanager
    async def over_websocket(self) -> AsyncIterator[Objects]:
        url = f"{self.client.base_url}/stream/ws?include={INCLUDE}".replace("http", "ws", 1)
        async with Socket(url) as socket:
            await socket.send({"resume": {"turn_id": self.turn_id, "after": self.number}})

            async def objects() -> Objects:
                while not self.end:
                    one = await socket.receive()
                    assert one["turn_id"] == self.turn_id
                    yield one, "message"

            yield objects()


@pytest.fixture
def api(provider: Provider, tmp_path: Path, database_url: str) -> Iterator[Api]:
    with Api(tmp_path, database_url=database_url, openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


async def test_readers_that_come_and_go_get_exactly_the_stored_text(api: Api, figure: Callable[[object], None]) -> None:
    contents = {script(**keys): expected(keys) for keys in SCRIPTS}
    await come_and_go(api, contents, figure)


async def test_nor_do_they_lose_or_repeat_a_whole_part(
    tmp_path: Path, database_url: str, figure: Callable[[object], None]
) -> None:
    asked = [(1, 600, 2), (2, 300, 10), (3, 200, 10), (4, 40, 50), (5, 1_000, 0)]
    contents = {question(*one): places_of(question(*one), 10**9) for one in asked}
    with Api(tmp_path, database_url=database_url, replies="tests.parts_agent:reply") as api:
        await come_and_go(api, contents, figure)


async def come_and_go(api: Api, contents: dict[str, Places], figure: Callable[[object], None]) -> None:
    """`contents` are questions, each with its answer."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    figure(f"CHAOS_SEED={seed}")
    async with api.client(timeout=60) as client:
        turns = {await begin(client, content): answer for content, answer in contents.items()}
        ids = list(turns)
        readers = [Reader(client, ids[n % len(ids)], random.Random(f"{seed} reader {n}")) for n in range(READERS)]
        async with asyncio.timeout(60), asyncio.TaskGroup() as reading:
            for reader in readers:
                reading.create_task(reader.read())
        for reader in readers:
            stored = (await client.post(f"/stream/{reader.turn_id}/stop")).raise_for_status().json()
            message = (await client.get(f"/messages/{reader.turn_id}?include={INCLUDE}")).raise_for_status().json()
            assert places.same(reader.got, places.of_parts(message["parts"]))
            assert places.same(reader.got, turns[reader.turn_id])
            assert reader.end
            assert (reader.end.get("error") or {}).get("code") == (stored["error"] or {}).get("code")
            assert reader.end.get("finish_reason") == ("stop" if stored["status"] == "complete" else None)
    attached = sum((reader.attached for reader in readers), Counter[str]())
    figure(f"{READERS} readers of {len(turns)} turns, attached {attached.total()} times ({dict(attached)})")
    assert min(attached["over_sse"], attached["over_websocket"]) >= READERS


async def begin(client: httpx.AsyncClient, content: str) -> str:
    """Ask and leave at once."""
    async with streaming(client, "POST", "/stream/", json={"content": content}) as stream:
        return stream.turn_id


def expected(keys: dict[str, Any]) -> Places:
    return places.of_script(Script(**keys), script(**keys), keys.get("drop_after", 1_000_000))
