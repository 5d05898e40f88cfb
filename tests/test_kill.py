"""SIGKILL at a random moment of running answers, again and again: nothing that was saved is lost, everyone is told.

Each round runs several turns side by side, in most of which the model thinks aloud between its words, kills the
server, starts it on the same database and looks at what is left.
`KILL_SEED` repeats a run's choices; the seed is printed.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from chat_app.models import Message, Status
from chat_app.store.store import Store
from chat_app.turns.journal import AHEAD_CHARS, BEAT_S
from tests import places, process
from tests.forked import Api
from tests.places import Places
from tests.postgres import Postgres
from tests.provider import Script
from tests.provider_client import Provider, script
from tests.sse_client import streaming, value
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio

ROUNDS = 20
ROUNDS_ON_POSTGRESQL = 10
SIDES = ("left", "right")
LATEST_KILL_S = 2.0
AHEAD_S = 1.0
WRITES_S = 1.5
"""How long rows may be on their way to the database. A few milliseconds, if other programs leave a core."""
FAST_DISK = Path("/dev/shm")
"""Where there is one: a kill loses nothing that the kernel has, and a busy disk is not what is tested."""


@dataclass
class Asked:
    """A turn that runs when the server dies, and what its reader got of it."""

    keys: dict[str, Any]
    turn_id: str = ""
    chat_id: str = ""
    last_id: str = ""
    got: Places = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """When it had which length."""
    end: dict[str, Any] | None = None

    @property
    def content(self) -> str:
        return script(**self.keys)

    async def read(self, client: httpx.AsyncClient, begun: asyncio.Event) -> None:
        """Ask, and read until the server is gone."""
        url = "/stream/?ids=1&include=reasoning"
        try:
            async with streaming(client, "POST", url, json={"content": self.content}) as stream:
                self.turn_id, self.chat_id = stream.turn_id, stream.chat_id
                begun.set()
                while True:
                    frame = await stream.next()
                    if frame.data != "[DONE]" and value(frame)["role"] == "assistant":
                        self._note(value(frame), frame.event)
                    self.last_id = frame.id
        except (httpx.TransportError, StopAsyncIteration):
            pass

    def _note(self, delta: dict[str, Any], event: str) -> None:
        self.got += places.of_object(delta, event)
        self.arrivals.append((time.monotonic(), len(self.got)))
        if delta.keys() & places.END:
            self.end = delta


def some_turns(chance: random.Random) -> list[Asked]:
    """Endless ones of several speeds, one flat out, one that may end before the kill, one that is slow to begin."""
    return [
        Asked({"tokens": -1, "interval_ms": chance.choice([1, 3, 10]), "think_every": chance.choice([0, 1, 4])}),
        Asked({"tokens": -1, "interval_ms": chance.choice([20, 60, 200])}),
        Asked({"tokens": chance.randrange(2_000, 12_000), "interval_ms": 0, "separators": True, "think_every": 50}),
        Asked({"tokens": chance.randrange(1, 200), "interval_ms": 10, "split_emoji": True, "think_every": 2}),
        Asked({"tokens": -1, "first_ms": chance.randrange(3_000)}),
    ]


@dataclass
class Seen:
    """What all rounds saw."""

    rounds: int
    ends: list[str] = field(default_factory=list)
    alternating: int = 0
    """Replies that are stored with thoughts between their words."""
    ahead: list[tuple[float, int]] = field(default_factory=list)
    """How many seconds' worth of text, and how many characters, a reader had that were not saved."""

    def __str__(self) -> str:
        running = self.ends.count(Status.interrupted)
        seconds = max(seconds for seconds, _ in self.ahead)
        chars = max(chars for _, chars in self.ahead)
        return (
            f"{self.rounds} kills, {len(self.ends)} turns, {running} of them running; readers were ahead of what was "
            f"saved by at most {seconds:.2f} s and {chars:,} characters"
        )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if not FAST_DISK.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=FAST_DISK) as name:
        yield Path(name)


@pytest.mark.slow
async def test_killed_at_any_moment_nothing_that_was_saved_is_lost(
    folder: Path, figure: Callable[[object], None]
) -> None:
    urls = {side: f"sqlite:///{folder / side / 'chat.db'}" for side in SIDES}
    await kill_again_and_again(folder, urls, ROUNDS, figure)


@pytest.mark.slow
async def test_nor_is_it_on_postgresql(folder: Path, postgres: Postgres, figure: Callable[[object], None]) -> None:
    async with postgres.database() as left, postgres.database() as right:
        urls = dict(zip(SIDES, map(postgres.url, (left, right)), strict=True))
        await kill_again_and_again(folder, urls, ROUNDS_ON_POSTGRESQL, figure)


async def kill_again_and_again(
    folder: Path, urls: dict[str, str], count: int, figure: Callable[[object], None]
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    figure(f"KILL_SEED={seed}")
    seen = Seen(count)
    # Two servers, since most of the time is spent waiting for them.
    async with asyncio.TaskGroup() as sides:
        for side, url in urls.items():
            sides.create_task(rounds(folder / side, url, random.Random(f"{seed} {side}"), seen))
    figure(seen)
    assert seen.ends.count(Status.interrupted) >= 2 * count
    assert seen.alternating >= count


async def rounds(folder: Path, url: str, chance: random.Random, seen: Seen) -> None:
    folder.mkdir()
    with Provider() as provider:
        settings = {"database_url": url, "openai_base_url": provider.base_url, "openai_model": "bench"}
        with Api(folder, **settings) as api:
            await some_rounds(api, provider, chance, seen)


async def some_rounds(api: Api, provider: Provider, chance: random.Random, seen: Seen) -> None:
    async with api.client() as client:
        for _ in range(seen.rounds // 2):
            await one_round(api, client, provider, chance, seen)


async def one_round(api: Api, client: httpx.AsyncClient, provider: Provider, chance: random.Random, seen: Seen) -> None:
    provider.clear()
    turns = some_turns(chance)
    killed = await run_and_kill(api, client, turns, chance.uniform(0, LATEST_KILL_S))
    produced = {one["body"]["messages"][-1]["content"]: one["tokens_sent"] for one in provider.requests()}
    await asyncio.to_thread(api.start)
    assert (await statuses(api.settings["database_url"])).isdisjoint({Status.streaming})
    for turn in turns:
        stored = await stored_of(client, turn)
        assert places.begins(produced_of(turn, produced.get(turn.content, 0)), stored["places"])
        seen.ends.append(stored["status"])
        seen.alternating += len({kind for kind, _ in stored["places"]}) == 2
        seen.ahead.append(check_bound(turn, stored, killed))
        await check_readers(client, turn, stored, chance)
        await check_new_turn(client, turn)


@dataclass(frozen=True, slots=True)
class Killed:
    """When the server was, and for how many seconds before it or this process had no core to run on."""

    when: float
    held_up: float


async def run_and_kill(api: Api, client: httpx.AsyncClient, turns: list[Asked], after: float) -> Killed:
    held_up = process.HeldUp(api.pid)
    begun = [asyncio.Event() for _ in turns]
    readers = [asyncio.create_task(turn.read(client, event)) for turn, event in zip(turns, begun, strict=True)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(event.wait() for event in begun))
        await asyncio.sleep(after)
        killed = Killed(time.monotonic(), held_up.seconds())
        api.kill()
        await asyncio.gather(*readers)
    return killed


async def statuses(url: str) -> set[str]:
    store = Store(url)
    async with store.database.reading() as session:
        found = set((await session.exec(select(Message.status))).all())
    await store.close()
    return found


def produced_of(turn: Asked, tokens: int) -> Places:
    return places.of_script(Script(**turn.keys), turn.content, tokens)


async def stored_of(client: httpx.AsyncClient, turn: Asked) -> dict[str, Any]:
    """The reply with its `places`."""
    asked = {"chat_id": turn.chat_id, "include": "reasoning"}
    history = (await client.get("/messages/", params=asked)).raise_for_status().json()
    question, answer = history["messages"]
    assert (question["content"], question["status"]) == (turn.content, "complete")
    assert answer["id"] == turn.turn_id
    return answer | {"places": places.of_parts(answer["parts"])}


def check_bound(turn: Asked, stored: dict[str, Any], killed: Killed) -> tuple[float, int]:
    """What was told as complete is complete; else no more than a beat's worth is lost.

    Returns how many seconds' worth of text, and how many characters, the reader had that were not saved.
    """
    if turn.end is not None:
        assert turn.end["finish_reason"] == "stop"
    if turn.end is not None or stored["status"] == Status.complete:
        assert stored["status"] == Status.complete
        assert places.same(stored["places"], produced_of(turn, 1_000_000))
        return 0.0, 0
    assert (stored["status"], stored["finish_reason"]) == (Status.interrupted, "interrupted")
    saved = len(stored["places"])
    lost = [arrived for arrived, length in turn.arrivals if length > saved and arrived <= killed.when]
    seconds, chars = max(lost) - min(lost) if lost else 0.0, max(0, len(turn.got) - saved)
    # Nor is anything left unsaved for long, also where the model is slow and little is shown after it.
    assert not lost or killed.when - min(lost) <= BEAT_S + WRITES_S + killed.held_up
    assert seconds <= AHEAD_S + killed.held_up
    assert chars <= AHEAD_CHARS
    return seconds, chars


async def check_readers(client: httpx.AsyncClient, turn: Asked, stored: dict[str, Any], chance: random.Random) -> None:
    """The reader that was cut off, over both doors, one that knows nothing yet, and some that know any part of it."""
    common = min(len(turn.got), len(stored["places"]))
    assert places.same(turn.got[:common], stored["places"][:common])
    expected = stored["places"][len(turn.got) :], stored["status"]
    if turn.end is None:
        assert places.same(await resumed(client, turn, turn.last_id), expected)
        assert places.same(await resumed_over_websocket(client, turn, len(turn.got)), expected)
    assert places.same(await resumed(client, turn, ""), (stored["places"], stored["status"]))
    for number in chance.sample(range(len(stored["places"]) + 1), k=min(len(stored["places"]), 3)):
        expected = stored["places"][number:], stored["status"]
        assert places.same(await resumed(client, turn, f"{turn.turn_id}:{number}"), expected)
        assert places.same(await resumed_over_websocket(client, turn, number), expected)


async def resumed(client: httpx.AsyncClient, turn: Asked, last_id: str) -> tuple[Places, str]:
    """What a reader gets that comes back with that id, and the status that it is told. It is told once."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    url = f"/stream/{turn.turn_id}?include=reasoning"
    async with streaming(client, "GET", url, headers=headers) as stream:
        *frames, end, done = await stream.rest()
    assert done.data == "[DONE]"
    again = await client.get(f"/stream/{turn.turn_id}", headers={"Last-Event-ID": done.id})
    assert again.status_code == 204
    return places.of_frames(frames), told(value(end))


async def resumed_over_websocket(client: httpx.AsyncClient, turn: Asked, after: int) -> tuple[Places, str]:
    async with Socket(f"{client.base_url}/stream/ws?include=reasoning".replace("http", "ws", 1)) as socket:
        await socket.send({"resume": {"turn_id": turn.turn_id, "after": after}})
        objects = [await socket.receive()]
        while not objects[-1].keys() & places.END:
            objects.append(await socket.receive())
    return [place for one in objects for place in places.of_object(one)], told(objects[-1])


def told(end: dict[str, Any]) -> str:
    if "error" in end:
        assert end["error"].keys() >= {"code", "message", "retryable"}
        return str(end["error"]["code"])
    return {"stop": "complete"}[end["finish_reason"]]


async def check_new_turn(client: httpx.AsyncClient, turn: Asked) -> None:
    ask = {"chat_id": turn.chat_id, "content": script(tokens=3, interval_ms=0)}
    reply = (await client.post("/messages/", json=ask)).raise_for_status().json()
    assert (reply["content"], reply["status"]) == ("tok0 tok1 tok2 ", "complete")
