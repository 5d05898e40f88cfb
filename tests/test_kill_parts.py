"""SIGKILL while answers grow that alternate between text, thoughts and whole parts: nothing that was shown is repeated.

What each reader has, and what is stored, is compared place by place; readers come back at any number, over both doors.
`KILL_SEED` repeats a run's choices; the seed is printed.
"""

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat_app.turns.journal import AHEAD_CHARS
from tests import places
from tests.forked import Api
from tests.parts_agent import INCLUDE, places_of, question
from tests.places import Places
from tests.sse_client import streaming, value
from tests.ws_client import Socket

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROUNDS = 2
LATEST_KILL_S = 1.0
RESUMED_AT = 3


@dataclass
class Asked:
    """An endless answer, or one that ends soon, and what its reader got of it."""

    content: str
    turn_id: str = ""
    got: Places = field(default_factory=list)
    end: dict[str, Any] | None = None

    async def read(self, client: httpx.AsyncClient, begun: asyncio.Event) -> None:
        """Until the server is gone."""
        try:
            url = f"/stream/?ids=1&include={INCLUDE}"
            async with streaming(client, "POST", url, json={"content": self.content}) as stream:
                self.turn_id = stream.turn_id
                begun.set()
                while (frame := await stream.next()).data != "[DONE]":
                    self.got += places.of_frames([frame])
                    if value(frame).keys() & places.END:
                        self.end = value(frame)
                    elif value(frame)["role"] == "assistant":
                        assert int(frame.id.rpartition(":")[2]) == len(self.got)
        except (httpx.TransportError, StopAsyncIteration):
            pass


async def test_whole_parts_and_thoughts_survive_a_kill(
    database_url: str, tmp_path: Path, figure: Callable[[object], None]
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    figure(f"KILL_SEED={seed}")
    kinds: set[str] = set()
    with Api(tmp_path, database_url=database_url, replies="tests.parts_agent:reply") as api:
        async with api.client() as client:
            for number in range(ROUNDS):
                chance = random.Random(f"{seed} {number}")
                turns = [Asked(question(chance.randrange(10**6), *how)) for how in HOW]
                await run_and_kill(api, client, turns, chance.uniform(0.1, LATEST_KILL_S))
                await asyncio.to_thread(api.start)
                for turn in turns:
                    kinds |= {kind for kind, _ in await check(client, turn, chance)}
    assert kinds >= {"text", "reasoning", "tool", "file", "weather"}


HOW: list[tuple[int | None, float]] = [(None, 1), (None, 5), (None, 30), (60, 1), (1_500, 0)]
"""How many pieces, and milliseconds between them."""


async def run_and_kill(api: Api, client: httpx.AsyncClient, turns: list[Asked], after: float) -> None:
    begun = [asyncio.Event() for _ in turns]
    readers = [asyncio.create_task(turn.read(client, event)) for turn, event in zip(turns, begun, strict=True)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(event.wait() for event in begun))
        await asyncio.sleep(after)
        api.kill()
        await asyncio.gather(*readers)


async def check(client: httpx.AsyncClient, turn: Asked, chance: random.Random) -> Places:
    message = (await client.get(f"/messages/{turn.turn_id}?include={INCLUDE}")).raise_for_status().json()
    stored = places.of_parts(message["parts"])
    assert places.same(stored, places_of(turn.content, len(stored)))
    assert places.same(turn.got, places_of(turn.content, len(turn.got)))
    assert len(turn.got) - len(stored) <= AHEAD_CHARS
    assert message["status"] == ("complete" if turn.end else message["status"])
    if message["status"] == "complete":
        assert places.same(stored, places_of(turn.content, 10**9))
    # Without asking for more, a reader has all of the text and nothing else.
    text = [place for place in stored if place[0] == "text"]
    assert message["content"] == "".join(said for _, said in text)
    assert places.same(await over_sse(client, turn, 0, ""), text)
    some = chance.sample(range(len(stored) + 1), k=min(len(stored) + 1, RESUMED_AT))
    for number in {0, len(stored), *some}:
        assert places.same(await over_sse(client, turn, number, INCLUDE), stored[number:])
        assert places.same(await over_websocket(client, turn, number), stored[number:])
    # The one that was cut off goes on where it was.
    assert places.same(turn.got[: len(stored)] + await over_sse(client, turn, len(turn.got), INCLUDE), stored)
    return stored


async def over_sse(client: httpx.AsyncClient, turn: Asked, after: int, include: str) -> Places:
    async with streaming(client, "GET", f"/stream/{turn.turn_id}?after={after}&include={include}") as stream:
        *frames, end, done = await stream.rest()
    assert done.data == "[DONE]"
    assert value(end).keys() & places.END
    return places.of_frames(frames)


async def over_websocket(client: httpx.AsyncClient, turn: Asked, after: int) -> Places:
    async with Socket(f"{client.base_url}/stream/ws?include={INCLUDE}".replace("http", "ws", 1)) as socket:
        await socket.send({"resume": {"turn_id": turn.turn_id, "after": after}})
        objects = [await socket.receive()]
        while not objects[-1].keys() & places.END:
            objects.append(await socket.receive())
    return [place for one in objects for place in places.of_object(one)]
