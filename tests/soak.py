"""`make soak`: minutes of mixed load; does the server's memory stay where it was after the first minute?

Readers come and go over every door, turns are stopped, fail, are long. Prints a line every half minute and the figures
at the end; exits with 1 if memory has grown by more than a tenth, or if anything went wrong. Linux only, for /proc.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource

from tests import places, process
from tests.forked import Api
from tests.places import Places
from tests.postgres import Postgres
from tests.provider_client import Provider, script
from tests.sse_client import streaming, value
from tests.ws_client import Closed, Socket

USERS = 12
WARM_UP_S = 60.0
REPORT_S = 30.0
ALLOWED_GROWTH = 1.10
PAUSE_S = 0.5
PATIENCE_S = 60.0
LOG_CHARS = 10_000
SCRIPTS: list[dict[str, Any]] = [
    {"tokens": 50, "interval_ms": 20},
    {"tokens": 200, "interval_ms": 10, "reasoning": ["let me ", "think"]},
    {"tokens": 2_000, "interval_ms": 1, "think_every": 3},
    {"tokens": 5_000, "interval_ms": 0, "think_every": 100},
    {"big": 200_000},
    {"markdown": True, "tokens": 500, "interval_ms": 5},
    {"tokens": 100, "interval_ms": 10, "drop_after": 50},
    {"tokens": 100, "interval_ms": 10, "malformed_after": 20},
    {"status": 500},
    {"status": 429, "retry_after": 1},
]
ENDLESS = {"tokens": -1, "interval_ms": 10}


@dataclass
class Load:
    """Users that ask, read a while, leave, come back and stop, each at random, until `over`."""

    url: str
    client: httpx.AsyncClient
    chance: random.Random
    over: float
    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    chats: list[str] = field(default_factory=list)

    async def user(self) -> None:
        ways = [self.whole, self.read, self.leave_and_come_back, self.over_websocket, self.stop, self.look_around]
        while time.monotonic() < self.over:
            way = self.chance.choice(ways)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await way()
                self.done[way.__name__] += 1
            except Exception as error:
                self.errors.append(f"{way.__name__}: {error!r}")
            await asyncio.sleep(self.chance.uniform(0, PAUSE_S))

    def ask(self, keys: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"json": {"content": script(**keys or self.chance.choice(SCRIPTS))}}

    async def whole(self) -> None:
        response = await self.client.post("/messages/", **self.ask())
        assert response.status_code in (200, 502, 503), response.text

    async def read(self) -> None:
        async with streaming(self.client, "POST", "/stream/?include=reasoning", **self.ask()) as stream:
            *frames, done = await stream.rest()
        assert done.data == "[DONE]"
        assert places.of_frames(frames) == await self.stored(stream.turn_id), "it is stored in other parts"
        self.chats.append(stream.chat_id)

    async def leave_and_come_back(self) -> None:
        async with streaming(self.client, "POST", "/stream/?ids=1&include=reasoning", **self.ask()) as stream:
            frames = [await stream.next()]
            # One that leaves while the end is already there has it from the next connection all the same.
            for _ in range(self.chance.randrange(20)):
                frames.append(await stream.next())
                if frames[-1].data == "[DONE]":
                    return
        await asyncio.sleep(self.chance.uniform(0, 2))
        url, headers = f"/stream/{stream.turn_id}?include=reasoning", {"Last-Event-ID": frames[-1].id}
        async with self.client.stream("GET", url, headers=headers) as response:
            if response.status_code != 204:
                frames += [frame async for frame in EventSource(response).aiter_sse()]
                assert frames[-1].data == "[DONE]"
        assert places.of_frames(frames) == await self.stored(stream.turn_id), "it is stored in other parts"

    async def stored(self, turn_id: str) -> Places:
        message = (await self.client.get(f"/messages/{turn_id}?include=reasoning")).raise_for_status().json()
        return places.of_parts(message["parts"])

    async def over_websocket(self) -> None:
        async with Socket(self.url.replace("http", "ws", 1) + "/stream/ws?include=reasoning") as socket:
            await socket.send(self.ask()["json"])
            for _ in range(self.chance.choice([1, 20, 1_000_000])):
                with suppress(Closed):
                    if (await socket.receive()).keys() & {"finish_reason", "error"}:
                        return

    async def stop(self) -> None:
        async with streaming(self.client, "POST", "/stream/", **self.ask(ENDLESS)) as stream:
            await asyncio.sleep(self.chance.uniform(0, 3))
            (await self.client.post(f"/stream/{stream.turn_id}/stop")).raise_for_status()
            *_, end, _ = await stream.rest()
        assert value(end)["finish_reason"] == "stopped"

    async def look_around(self) -> None:
        (await self.client.get("/chats/")).raise_for_status()
        if self.chats:
            chat_id = self.chats.pop(self.chance.randrange(len(self.chats)))
            (await self.client.get("/messages/", params={"chat_id": chat_id})).raise_for_status()
            (await self.client.delete(f"/chats/{chat_id}")).raise_for_status()


async def soak(api: Api, seed: int, seconds: float) -> bool:
    began = time.monotonic()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=USERS)
    async with httpx.AsyncClient(base_url=api.url, timeout=PATIENCE_S, limits=limits, trust_env=False) as client:
        load = Load(api.url, client, random.Random(seed), began + seconds)
        users = [asyncio.create_task(load.user()) for _ in range(USERS)]
        await asyncio.sleep(min(WARM_UP_S, seconds / 2))
        first = report(api, load, began)
        while time.monotonic() < load.over:
            await asyncio.sleep(min(REPORT_S, max(0.1, load.over - time.monotonic())))
            last = report(api, load, began)
        await asyncio.gather(*users)
    cpu = process.cpu_s(api.pid)
    print(f"{load.done.total()} visits: {dict(load.done)}; {len(load.errors)} errors")
    print(f"memory {first:.0f} MB after the first minute, {last:.0f} MB at the end ({last / first - 1:+.1%}); ", end="")
    print(f"CPU {cpu:.0f} s of {time.monotonic() - began:.0f} s")
    for error in load.errors[:10]:
        print("error:", error)
    if load.errors:
        print(api.logged()[-LOG_CHARS:])
    return last <= first * ALLOWED_GROWTH and not load.errors


def report(api: Api, load: Load, began: float) -> float:
    memory = process.memory_mb(api.pid)
    seconds = time.monotonic() - began
    print(
        f"{seconds:4.0f} s: {memory:.1f} MB, CPU {process.cpu_s(api.pid):.0f} s, {load.done.total()} visits", flush=True
    )
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL, not on SQLite")
    given = parser.parse_args()
    if not process.AVAILABLE:
        sys.exit("The soak test reads memory from /proc, which this system does not have. Run it on Linux.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"openai_base_url": stack.enter_context(Provider()).base_url, "openai_model": "bench"}
        if given.postgresql:
            settings["database_url"] = stack.enter_context(Postgres()).url("postgres")
        api = stack.enter_context(Api(folder, **settings))
        good = asyncio.run(soak(api, given.seed, given.minutes * 60))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
