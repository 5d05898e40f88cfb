"""What is longer than it may be: an answer, one event of the provider's. Every door tells it, and the text is kept."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.forked import Api
from tests.provider_client import Provider, script
from tests.test_doors import BROKEN, DOORS, Case, Door, numbered, same_through

pytestmark = pytest.mark.anyio

ANSWER, EVENT = 60, 2_000
CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}'
BEFORE = CHUNK % "Hello" + "\n\n"

LONG = {
    "one event": CHUNK % ("x" * EVENT) + "\n\n",
    "an event that does not end": CHUNK[:30] + "x" * 3 * EVENT,
    "a line that is no event": ": " + "x" * 2 * EVENT,
    "an event of many lines": 'data: {"a":\n' + f"data: {'1' * 90}\n" * 30,
    "what is no JSON": "data: " + "x" * 2 * EVENT + "\n\n",
}


@pytest.fixture(scope="module")
def narrow(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = {"max_answer_chars": str(ANSWER), "max_event_bytes": str(EVENT)}
    with Api(tmp_path_factory.mktemp("narrow"), openai_base_url=provider.base_url, **settings) as app:
        yield app


@pytest.fixture
async def client(narrow: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with narrow.client() as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("writes", [1, 2], ids=["in one write", "after the text"])
@pytest.mark.parametrize("long", LONG.values(), ids=LONG)
async def test_an_event_that_is_too_long_ends_the_turn_and_costs_no_text(
    door: Door, long: str, writes: int, client: httpx.AsyncClient
) -> None:
    raw = [BEFORE + long] if writes == 1 else [BEFORE, long]
    outcome = await same_through(door, client, Case("long", {"raw": raw}, "Hello", BROKEN, 502))
    message = (await client.get(f"/messages/{outcome.turn_id}")).raise_for_status().json()
    assert f"{EVENT:,} bytes" in message["error"]["message"]
    assert "raise MAX_EVENT_BYTES" in message["error"]["message"]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_a_whole_answer_may_be_some_events_long(door: Door, client: httpx.AsyncClient) -> None:
    body = '{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"x":"%s"}'
    json_body = {"raw_headers": {"Content-Type": "application/json"}}
    await same_through(door, client, Case("some", json_body | {"raw": [body % ("x" * 2 * EVENT)]}, "Hi"))
    await same_through(door, client, Case("many", json_body | {"raw": [body % ("x" * 5 * EVENT)]}, "", BROKEN, 502))


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_an_answer_that_is_too_long_ends_there(door: Door, client: httpx.AsyncClient) -> None:
    case = Case("long", {"tokens": -1, "interval_ms": 1}, numbered(100)[:ANSWER], "length")
    await same_through(door, client, case)


async def test_the_standard_door_tells_it_too(client: httpx.AsyncClient) -> None:
    asked = {"messages": [{"role": "user", "content": script(raw=[BEFORE + LONG["one event"]])}]}
    answer = await client.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 502
    assert "MAX_EVENT_BYTES" in answer.json()["error"]["message"]
