"""`/chats/{chat_id}/queue`: what waits in a chat, for programs and for the chat in other pages."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.app import App
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import EventStream, streaming, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("queue")
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench", max_message_chars="2000") as api:
        yield api


@pytest.fixture
async def client(api: App, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    provider.clear()
    async with api.client() as client:
        yield client


@pytest.fixture
async def running(client: httpx.AsyncClient) -> AsyncIterator[EventStream]:
    """An answer that goes on when the provider is told so."""
    async with streaming(client, "POST", "/stream/", json={"content": script(tokens=3, hold=[1])}) as stream:
        yield stream


def place(stream: EventStream, rest: str = "") -> str:
    return f"/chats/{stream.chat_id}/queue{rest}"


async def ask(client: httpx.AsyncClient, stream: EventStream, content: str, **headers: str) -> dict[str, Any]:
    answer = await client.post(place(stream), json={"content": content}, headers=headers)
    line: dict[str, Any] = answer.raise_for_status().json()
    return line


def contents(line: dict[str, Any]) -> list[str]:
    return [question["content"] for question in line["questions"]]


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def asked(client: httpx.AsyncClient, stream: EventStream) -> list[str]:
    """The questions of the chat but the first."""
    history = await client.get("/messages/", params={"chat_id": stream.chat_id})
    return [one["content"] for one in history.json()["messages"] if one["role"] == "user"][1:]


async def test_what_waits_is_changed_removed_and_asked_in_order(
    client: httpx.AsyncClient, running: EventStream, provider: Provider
) -> None:
    line = await ask(client, running, "One", **{"Idempotency-Key": "first"})
    assert await ask(client, running, "One", **{"Idempotency-Key": "first"}) == line
    assert (line["turn_id"], line["held"], line["questions"][0]["key"]) == (running.turn_id, False, "first")
    await ask(client, running, "Two")
    line = await ask(client, running, "Three")
    one, two, three = (question["id"] for question in line["questions"])
    changed = await client.patch(place(running, f"/{three}"), json={"content": "Three, changed"})
    assert contents(changed.json()) == ["One", "Two", "Three, changed"]
    assert (await client.delete(place(running, f"/{two}"))).status_code == 204
    assert contents((await client.get(place(running))).json()) == ["One", "Three, changed"]
    provider.go()
    while (await client.get(place(running))).json() != {
        "chat_id": running.chat_id,
        "turn_id": None,
        "questions": [],
        "held": False,
    }:
        pass
    assert await asked(client, running) == ["One", "Three, changed"]
    # Nothing runs any more: this one is asked at once.
    line = await ask(client, running, "Four")
    assert line["turn_id"] not in (None, running.turn_id) and line["questions"] == []
    for method, rest in (("PATCH", f"/{one}"), ("DELETE", f"/{one}"), ("POST", f"/{one}/send")):
        gone = await client.request(method, place(running, rest), json={"content": "Late"})
        assert error(gone) == (404, "not_found") and "does not wait any more" in gone.text


async def test_what_is_held_is_sent_by_hand(client: httpx.AsyncClient, running: EventStream) -> None:
    line = await ask(client, running, script(text="So what?"))
    await client.post(f"/stream/{running.turn_id}/stop")
    held = (await client.get(place(running))).json()
    assert (held["held"], held["turn_id"]) == (True, None)
    sent = (await client.post(place(running, f"/{line['questions'][0]['id']}/send"))).raise_for_status().json()
    async with streaming(client, "GET", f"/stream/{sent['turn_id']}") as stream:
        assert text_of(await stream.rest()) == "So what?"
    assert sent["questions"] == []


async def test_what_cannot_wait_gets_a_sentence(client: httpx.AsyncClient, running: EventStream) -> None:
    for number in range(10):
        await ask(client, running, f"{number}")
    full = await client.post(place(running), json={"content": "One more"})
    assert error(full) == (409, "queue_full")
    [first, *_] = (await client.get(place(running))).json()["questions"]
    for body in ({}, {"content": 1}, {"content": " \n"}, {"content": "x" * 2_001}, {"content": "\0"}):
        for method, url in (("POST", place(running)), ("PATCH", place(running, f"/{first['id']}"))):
            answer = await client.request(method, url, json=body)
            assert answer.status_code == 422, (method, body, answer.text)
    for url in ("/chats/nothing/queue", "/chats/%00/queue"):
        assert error(await client.get(url)) == (404, "not_found")
        assert error(await client.post(url, json={"content": "Hi"})) == (404, "not_found")
    assert contents((await client.get(place(running))).json())[0] == "0"
