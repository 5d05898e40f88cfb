"""Any parts, by any door that streams: whoever leaves and comes back at any number has the reply, part by part."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import places
from tests.forked import Api
from tests.places import Places
from tests.sse_client import streaming, value
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio

INCLUDE = "reasoning,tools,files,later"
DATA = st.dictionaries(st.sampled_from(["id", "state", "result"]), st.none() | st.text(max_size=3) | st.integers(0, 9))
PARTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["text", "reasoning"]), st.text("ab \n\u2028\U0001f44b", max_size=8)),
        st.tuples(st.sampled_from(["tool", "file", "later"]), DATA),
    ),
    max_size=16,
)
VISITS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=5)
"""How many objects a reader takes before it leaves, and how many places of those it had it asks for again."""

Objects = AsyncIterator[tuple[dict[str, Any], str]]
"""Each with the name of its block, where it has one."""
Door = Callable[[httpx.AsyncClient, str, int], AbstractAsyncContextManager[Objects]]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("parts"), replies="tests.examples.dictated:reply") as api:
        yield api


@asynccontextmanager
async def over_sse(client: httpx.AsyncClient, turn_id: str, after: int) -> AsyncIterator[Objects]:
    url = f"/stream/{turn_id}?after={after}&include={INCLUDE}"
    async with streaming(client, "GET", url) as stream:

        async def objects() -> Objects:
            while (frame := await stream.next()).data != "[DONE]":
                yield value(frame) | {"seq": int(frame.id.rpartition(":")[2])}, frame.event

        yield objects()


@asynccontextmanager
async def over_websocket(client: httpx.AsyncClient, turn_id: str, after: int) -> AsyncIterator[Objects]:
    async with Socket(f"{client.base_url}/stream/ws?include={INCLUDE}".replace("http", "ws", 1)) as socket:
        await socket.send({"resume": {"turn_id": turn_id, "after": after}})

        async def objects() -> Objects:
            one: dict[str, Any] = {}
            while not one.keys() & places.END:
                yield (one := await socket.receive()), "message"

        yield objects()


async def take(objects: Objects, got: Places, patience: int | None = None) -> None:
    """So many objects, or all; what they add goes to the end of `got`."""
    taken = 0
    while taken != patience:
        one, event = await anext(objects)
        got += places.of_object(one, event)
        ended = bool(one.keys() & places.END)
        # A number counts the places up to it: no gap, no repeat.
        assert one["seq"] == len(got) + ended
        if ended:
            return
        taken += 1


async def read(client: httpx.AsyncClient, door: Door, turn_id: str, visits: list[tuple[int, int]]) -> Places:
    got: Places = []
    for patience, back in visits:
        async with door(client, turn_id, len(got)) as objects:
            await take(objects, got, patience)
        del got[max(len(got) - back, 0) :]
    async with door(client, turn_id, len(got)) as objects:
        await take(objects, got)
    return got


@pytest.mark.slow
@given(parts=PARTS, together=st.booleans(), visits=VISITS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("door", [over_sse, over_websocket])
async def test_whoever_comes_back_at_any_number_has_all_parts(
    api: Api, door: Door, parts: list[tuple[str, Any]], together: bool, visits: list[tuple[int, int]]
) -> None:
    said = [place for kind, one in parts for place in places.of_part(kind, one)]
    async with api.client() as client:
        question = json.dumps({"parts": parts, "together": together})
        async with streaming(client, "POST", "/stream/", json={"content": question}) as stream:
            turn_id = stream.turn_id
        assert await read(client, door, turn_id, visits) == said
        # It has ended.
        assert await read(client, door, turn_id, visits) == said
        stored = (await client.get(f"/messages/{turn_id}?include={INCLUDE}")).raise_for_status().json()
        assert places.of_parts(stored["parts"]) == said
        for number in range(0, len(said) + 1, max(len(said) // 8, 1)):
            rest = said[:number]
            async with door(client, turn_id, number) as objects:
                await take(objects, rest)
            assert rest == said
