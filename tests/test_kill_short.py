"""SIGKILL while turns begin and end: many short answers, so that most kills come within a start or an end.

`KILL_SEED` repeats a run's choices; the seed is printed.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from chat_app.models import JournalRow, Message, Role, Status
from chat_app.parts import parts_of
from chat_app.store.store import Store
from tests import places
from tests.forked import Api
from tests.places import Places
from tests.postgres import Postgres
from tests.provider_client import Provider, script
from tests.sse_client import streaming, value

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROUNDS = 10
ROUNDS_ON_POSTGRESQL = 5
USERS = 8
LATEST_KILL_S = 0.4
ENDS = {Status.complete, Status.interrupted, Status.failed}
SCRIPTS: list[dict[str, Any]] = [
    {"tokens": 1, "interval_ms": 0},
    {"tokens": 6, "interval_ms": 0, "think_every": 1},
    {"tokens": 20, "interval_ms": 1, "think_every": 3},
    {"tokens": 3, "interval_ms": 0, "drop_after": 2},
    {"status": 400},
]


@dataclass
class Asked:
    """A question, and what its reader got."""

    content: str
    chat_id: str | None
    turn_id: str = ""
    got: Places = field(default_factory=list)
    end: dict[str, Any] | None = None

    async def ask(self, client: httpx.AsyncClient) -> None:
        """The same key each time: the same turn."""
        request = {"json": {"content": self.content, "chat_id": self.chat_id}, "headers": {"Idempotency-Key": self.key}}
        async with streaming(client, "POST", "/stream/?include=reasoning", **request) as stream:
            self.turn_id, self.chat_id = stream.turn_id, stream.chat_id
            self.got = []
            while (frame := await stream.next()).data != "[DONE]":
                self.got += places.of_frames([frame])
                if value(frame).keys() & places.END:
                    self.end = value(frame)

    @property
    def key(self) -> str:
        return self.content.partition("\n")[0]


async def test_killed_within_a_start_or_an_end_no_turn_is_half(
    provider: Provider, tmp_path: Path, figure: Callable[[object], None]
) -> None:
    await kill_again_and_again(provider, tmp_path, f"sqlite:///{tmp_path / 'chat.db'}", ROUNDS, figure)


async def test_nor_is_one_on_postgresql(
    provider: Provider, tmp_path: Path, postgres: Postgres, figure: Callable[[object], None]
) -> None:
    async with postgres.database() as name:
        await kill_again_and_again(provider, tmp_path, postgres.url(name), ROUNDS_ON_POSTGRESQL, figure)


async def kill_again_and_again(
    provider: Provider, folder: Path, url: str, rounds: int, figure: Callable[[object], None]
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    figure(f"KILL_SEED={seed}")
    seen = Counter[str]()
    with Api(folder, database_url=url, openai_base_url=provider.base_url, openai_model="bench") as api:
        async with api.client() as client:
            for number in range(rounds):
                asked: list[Asked] = []
                await run_and_kill(api, client, asked, random.Random(f"{seed} {number}"), f"{seed}-{number}")
                await asyncio.to_thread(api.start)
                await check(client, url, asked, seen)
    figure(f"{rounds} kills among short answers: {dict(seen)}")
    assert seen["complete"] > rounds


async def run_and_kill(
    api: Api, client: httpx.AsyncClient, asked: list[Asked], chance: random.Random, name: str
) -> None:
    users = [asyncio.create_task(user(client, asked, chance, f"{name}-{number}")) for number in range(USERS)]
    async with asyncio.timeout(30):
        while not any(one.end for one in asked):
            await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0, LATEST_KILL_S))
        api.kill()
        await asyncio.gather(*users)


async def user(client: httpx.AsyncClient, asked: list[Asked], chance: random.Random, name: str) -> None:
    """One question after the other, in one chat or in a new one, until the server is gone."""
    chat_id = None
    try:
        for number in range(1_000):
            one = Asked(f"{name}-{number}\n{script(**chance.choice(SCRIPTS))}", chat_id)
            asked.append(one)
            await one.ask(client)
            chat_id = chance.choice([None, one.chat_id])
    except (httpx.TransportError, StopAsyncIteration):
        pass


async def check(client: httpx.AsyncClient, url: str, asked: Sequence[Asked], seen: Counter[str]) -> None:
    replies = await replies_by_key(url)
    for one in asked:
        reply = replies.get(one.key)
        seen[reply.status if reply else "not begun"] += 1
        seen["saved, and not answered"] += bool(reply and not one.turn_id)
        seen["ended, and not told"] += bool(reply and reply.status != Status.interrupted and not one.end)
        check_reader(one, reply)
    for one in asked:
        if not one.end:
            reply, turn_id = replies.get(one.key), one.turn_id
            await one.ask(client)
            assert reply is None or reply.id == one.turn_id
            assert turn_id in ("", one.turn_id)
    assert (await replies_by_key(url)).keys() >= {one.key for one in asked}


async def replies_by_key(url: str) -> dict[str, Message]:
    """Each question's only reply, which has ended; the journal has nothing left."""
    store = Store(url)
    async with store.database.reading() as session:
        messages = (await session.exec(select(Message))).all()
        assert not (await session.exec(select(JournalRow))).all()
    await store.close()
    questions = {one.id: one.content.partition("\n")[0] for one in messages if one.role == Role.user}
    replies = {questions[one.parent_id or ""]: one for one in messages if one.role == Role.assistant}
    assert len(set(questions.values())) == len(questions) == len(replies) == len(messages) / 2
    assert {reply.status for reply in replies.values()} <= ENDS
    return replies


def check_reader(one: Asked, reply: Message | None) -> None:
    """What was told as ended is stored so; else what was shown and what is stored begin alike."""
    if not one.turn_id:
        return
    assert reply and reply.id == one.turn_id
    stored = [place for part in parts_of(reply) for place in places.of_part(part.kind, part.data or part.text)]
    if one.end:
        assert (reply.status, one.got) == ("failed" if "error" in one.end else "complete", stored)
    else:
        common = min(len(one.got), len(stored))
        assert one.got[:common] == stored[:common]
        assert reply.status == Status.interrupted or len(one.got) == common
