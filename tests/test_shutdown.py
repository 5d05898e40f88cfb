"""SIGTERM: running turns are stopped and saved, and whoever reads one is told how it ended."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.forked import Api
from tests.provider_client import Provider, script
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio

READERS = 200
"""So many that a server which ends one of them the wrong way does so here."""


@pytest.mark.parametrize(
    ("keys", "grace", "readers", "end"),
    [
        pytest.param({"tokens": -1, "interval_ms": 50}, "0", READERS, ("stopped", "stopped"), id="at once"),
        pytest.param({"tokens": 100, "interval_ms": 20}, "30", 3, ("complete", "stop"), id="in time to end by itself"),
    ],
)
async def test_an_orderly_stop_saves_the_answer_and_tells_all_who_read_it(
    keys: dict[str, int], grace: str, readers: int, end: tuple[str, str], tmp_path: Path, provider: Provider
) -> None:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "shutdown_grace": grace}
    with Api(tmp_path, **settings) as api:
        async with AsyncExitStack() as sockets:
            asker, *others = [await sockets.enter_async_context(Socket(f"{api.url}/stream/ws")) for _ in range(readers)]
            await asker.send({"content": script(**keys)})
            turn_id = (await asker.receive())["turn_id"]
            for reader in others:
                await reader.send({"resume": {"turn_id": turn_id, "after": -1}})
                assert (await reader.receive())["turn_id"] == turn_id
            reading = [asyncio.create_task(reader.until("finish_reason")) for reader in (asker, *others)]
            assert await asyncio.to_thread(api.stop) == 0
            told = [(await objects)[-1] for objects in reading]
    assert "panicked" not in api.logged()
    with sqlite3.connect(tmp_path / "chat.db") as database:
        [(status, length)] = database.execute("SELECT status, length(content) FROM message WHERE id = ?", [turn_id])
    assert (status, told[0]["finish_reason"]) == end
    # The number of the end is beyond the last character's.
    assert [(one["finish_reason"], one["seq"]) for one in told] == [(end[1], length + 1)] * readers
