"""Parts of a kind that nobody knows come through every door, are stored, and survive export and import."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from chat_app.client import ChatClient, Event, Part, Reasoning, Text
from tests.examples.planner import CHART
from tests.forked import Api
from tests.sse_client import streaming, value
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio

KINDS = ("reasoning", "charts")
Shown = list[tuple[str, Any]]
WHOLE: Shown = [("reasoning", "They want a chart."), ("text", "Here "), ("chart", CHART), ("text", "it is.")]
TEXT_ONLY: Shown = [("text", "Here it is.")]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Api(tmp_path_factory.mktemp("parts"), replies="tests.examples.planner:reply") as api:
        yield api


def joined(pieces: Shown) -> Shown:
    """Pieces of the same kind are one part."""
    parts: Shown = []
    for kind, what in pieces:
        if parts and isinstance(what, str) and parts[-1][0] == kind:
            parts[-1] = (kind, parts[-1][1] + what)
        elif what != "":
            parts.append((kind, what))
    return parts


def shown(event: str, data: dict[str, Any]) -> tuple[str, Any]:
    kind = event if event != "message" else "text"
    return kind, data.get(kind, data["delta"])


def from_client(event: Event) -> Shown:
    match event:
        case Text(_, text):
            return [("text", text)]
        case Reasoning(_, text):
            return [("reasoning", text)]
        case Part(_, kind, data):
            return [(kind, data)]
    return []


async def by_stream(api: Api, client: httpx.AsyncClient, include: tuple[str, ...]) -> Shown:
    path = f"/stream/?include={','.join(include)}"
    async with streaming(client, "POST", path, json={"content": "Hello"}) as stream:
        frames = await stream.rest()
    return [shown(one.event, value(one)) for one in frames[1:] if one.data != "[DONE]"]


async def by_replay(api: Api, client: httpx.AsyncClient, include: tuple[str, ...]) -> Shown:
    reply = (await client.post("/messages/", json={"content": "Hello"})).raise_for_status().json()
    path = f"/stream/{reply['id']}?after=0&include={','.join(include)}"
    async with streaming(client, "GET", path) as stream:
        return [shown(one.event, value(one)) for one in await stream.rest() if one.data != "[DONE]"]


async def by_websocket(api: Api, client: httpx.AsyncClient, include: tuple[str, ...]) -> Shown:
    url = api.url.replace("http", "ws", 1)
    async with Socket(f"{url}/stream/ws?include={','.join(include)}") as socket:
        await socket.send({"content": "Hello"})
        objects = await socket.until("finish_reason")
    names = {"role", "delta", "seq", "turn_id", "chat_id", "finish_reason", "usage"}
    keys = [next(iter(one.keys() - names), "text") for one in objects[1:]]
    return [(key, one.get(key, one["delta"])) for key, one in zip(keys, objects[1:], strict=True)]


async def by_client(api: Api, client: httpx.AsyncClient, include: tuple[str, ...]) -> Shown:
    async with ChatClient(api.url) as chat:
        events = [event async for event in chat.stream("Hello", include=include)]
    return [one for event in events for one in from_client(event)]


async def by_messages(api: Api, client: httpx.AsyncClient, include: tuple[str, ...]) -> Shown:
    reply = (await client.post("/messages/", json={"content": "Hello"})).raise_for_status().json()
    return await parts_of(client, reply["id"], include)


async def by_import(api: Api, client: httpx.AsyncClient, include: tuple[str, ...]) -> Shown:
    reply = (await client.post("/messages/", json={"content": "Hello"})).raise_for_status().json()
    file = (await client.get(f"/chats/{reply['chat_id']}/export")).raise_for_status().json()
    chat = (await client.post("/chats/import", json=file)).raise_for_status().json()
    return await parts_of(client, chat["leaf_id"] or await newest(client, chat["id"]), include)


async def newest(client: httpx.AsyncClient, chat_id: str) -> str:
    history = (await client.get("/messages/", params={"chat_id": chat_id})).raise_for_status().json()
    return str(history["messages"][-1]["id"])


async def parts_of(client: httpx.AsyncClient, message_id: str, include: tuple[str, ...]) -> Shown:
    message = (await client.get(f"/messages/{message_id}?include={','.join(include)}")).raise_for_status().json()
    return [(part["type"], part["text"] if "text" in part else part[part["type"]]) for part in message["parts"]]


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


DOORS = [by_stream, by_replay, by_websocket, by_client, by_messages, by_import]


@pytest.mark.parametrize("door", DOORS)
async def test_every_door_gives_the_parts_that_it_is_asked_for(api: Api, client: httpx.AsyncClient, door: Any) -> None:
    assert joined(await door(api, client, KINDS)) == WHOLE
    assert joined(await door(api, client, ())) == TEXT_ONLY


async def test_a_client_that_comes_back_gets_each_part_once(api: Api) -> None:
    async with ChatClient(api.url) as client:
        events = [event async for event in client.stream("Hello", include=KINDS)]
        turn_id = events[0].turn_id  # type: ignore[union-attr]
        for place, event in enumerate(events[1:-1], 1):
            rest = [one async for one in client.resume(turn_id, event.seq, include=KINDS)]  # type: ignore[union-attr]
            pieces = [one for some in (events[: place + 1], rest) for event in some for one in from_client(event)]
            assert joined(pieces) == WHOLE
