"""How soon a stop reaches the provider: from the request being sent to the connection being closed, over fifty stops.

The time is printed; the verdict has a generous bound, since a busy machine is not a bug.
"""

import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of, value

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

STOPS = 50
BEFORE_THE_FIRST_TOKEN = [{"headers_ms": 60_000}, {"first_ms": 60_000}]
IN_MID_ANSWER = [{"tokens": -1, "interval_ms": 5}, {"tokens": 40, "stall_after": 20, "interval_ms": 1}]


@pytest.fixture
def api(provider: Provider, tmp_path: Path, database_url: str) -> Iterator[Api]:
    with Api(tmp_path, database_url=database_url, openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


async def test_a_stop_reaches_the_provider_at_once(
    client: httpx.AsyncClient, provider: Provider, figure: Callable[[object], None]
) -> None:
    early = [await stop_ms(client, provider, BEFORE_THE_FIRST_TOKEN[n % 2]) for n in range(STOPS // 2)]
    late = [await stop_ms(client, provider, IN_MID_ANSWER[n % 2]) for n in range(STOPS // 2)]
    for name, times in {"before the first token": early, "in mid-answer": late, "all": early + late}.items():
        p50, p99 = quantile(times, 50), quantile(times, 99)
        figure(f"stop, {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms until the provider's connection is closed")


async def stop_ms(client: httpx.AsyncClient, provider: Provider, keys: dict[str, Any]) -> float:
    """Stop a turn and look at all that the stop must do; returns the time to the provider's end of the connection."""
    provider.clear()
    silent = "tokens" not in keys
    async with streaming(client, "POST", "/stream/", json={"content": script(**keys)}) as stream:
        frames = [await stream.next()]
        await provider.until(bool)
        if not silent:
            frames += [await stream.next() for _ in range(5)]
        sent = time.time()
        stopped = (await client.post(f"/stream/{stream.turn_id}/stop")).raise_for_status().json()
        *deltas, end, done = await stream.rest()
    [exchange] = await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert exchange["finished"] is None
    assert (value(end)["finish_reason"], done.data) == ("stopped", "[DONE]")
    assert (stopped["id"], stopped["status"], stopped["finish_reason"]) == (stream.turn_id, "stopped", "stopped")
    assert stopped["content"] == text_of(frames + deltas)
    assert bool(stopped["content"]) is not silent
    history = (await client.get("/messages/", params={"chat_id": stream.chat_id})).json()
    assert history["messages"][1] == stopped
    return float(exchange["closed_by_client"] - sent) * 1000


async def test_a_stop_at_the_very_start_leaves_no_request_running(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    """Sent as soon as the turn has an id, when the request may not even have left."""
    provider.clear()
    for _ in range(10):
        async with streaming(client, "POST", "/stream/", json={"content": script(headers_ms=60_000)}) as stream:
            await client.post(f"/stream/{stream.turn_id}/stop")
            *_, end, done = await stream.rest()
        assert (value(end)["finish_reason"], done.data) == ("stopped", "[DONE]")
    # A request that comes after all others: what the stopped ones had sent is on record by then.
    await client.post("/messages/", json={"content": script(tokens=1)})
    await provider.until(lambda seen: all(one["closed_by_client"] or one["finished"] for one in seen))


def quantile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]
