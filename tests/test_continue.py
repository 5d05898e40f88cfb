"""Going on with an answer that was cut off or stopped, through the doors for programs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.app import App
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of, value

pytestmark = pytest.mark.anyio

HALF: dict[str, Any] = {"text": "Half an answer. ", "finish_reason": "length"}
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def client(app: App, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    provider.clear()
    async with app.client() as client:
        yield client


async def ask(client: httpx.AsyncClient, **keys: Any) -> dict[str, Any]:
    message: dict[str, Any] = (await client.post("/messages/", json={"content": script(**keys)})).json()
    return message


async def streamed(client: httpx.AsyncClient, reply_id: str, **headers: str) -> tuple[str, str]:
    """The new turn's id and its text."""
    async with streaming(client, "POST", f"/stream/{reply_id}/continue", headers=headers) as stream:
        user, *frames = await stream.rest()
        assert value(user)["role"] == "user"
        return stream.turn_id, text_of(frames)


async def whole(client: httpx.AsyncClient, reply_id: str, **headers: str) -> tuple[str, str]:
    response = (await client.post(f"/messages/{reply_id}/continue", headers=headers)).raise_for_status()
    assert response.headers["X-Turn-Id"] == response.json()["id"]
    return response.json()["id"], response.json()["content"]


DOORS = pytest.mark.parametrize("door", [streamed, whole])


@DOORS
async def test_an_answer_goes_on_as_a_new_version(client: httpx.AsyncClient, provider: Provider, door: Any) -> None:
    half = await ask(client, **HALF)
    assert (half["status"], half["finish_reason"]) == ("complete", "length")
    turn_id, text = await door(client, half["id"])
    assert text.startswith("Half an answer. This is a short answer to: Go on exactly")
    sent = provider.requests()[-1]["body"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert sent[2]["content"] == half["content"]
    stored = (await client.get("/messages/", params={"chat_id": half["chat_id"]})).json()["messages"]
    assert [message["id"] for message in stored[1:]] == [turn_id]
    assert stored[1]["content"] == text


@DOORS
async def test_the_same_key_goes_on_once(client: httpx.AsyncClient, provider: Provider, door: Any) -> None:
    half = await ask(client, **HALF)
    key = {"Idempotency-Key": f"on, by {door.__name__}"}
    first, again = await door(client, half["id"], **key), await door(client, half["id"], **key)
    assert first == again
    assert provider.completions() == 2
    both = await asyncio.gather(*(whole(client, half["id"], **{"Idempotency-Key": first[0]}) for _ in range(5)))
    assert len(set(both)) == 1
    other = await ask(client, **HALF)
    refused = await client.post(f"/messages/{other['id']}/continue", headers=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("path", ["/stream", "/messages"])
async def test_what_cannot_go_on_is_refused(client: httpx.AsyncClient, path: str) -> None:
    half = await ask(client, **HALF)
    question = (await client.get("/messages/", params={"chat_id": half["chat_id"]})).json()["messages"][0]
    for message_id in (NOBODY, question["id"]):
        missing = await client.post(f"{path}/{message_id}/continue")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    body = {"content": script(tokens=-1), "chat_id": half["chat_id"]}
    async with streaming(client, "POST", "/stream/", json=body) as stream:
        busy = await client.post(f"{path}/{half['id']}/continue")
        assert (busy.status_code, busy.json()["error"]["turn_id"]) == (409, stream.turn_id)
        await client.post(f"/stream/{stream.turn_id}/stop")


async def test_a_stopped_answer_without_text_joins_the_questions(client: httpx.AsyncClient, provider: Provider) -> None:
    """What strict models refuse, two questions in a row, is never sent."""
    failed = await client.post("/messages/", json={"content": "First?\n" + script(status=500)})
    reply = failed.json()["message"]
    await client.post("/messages/", json={"content": "Second?", "chat_id": reply["chat_id"]})
    system, *sent = provider.requests()[-1]["body"]["messages"]
    assert system["role"] == "system"
    assert [message["role"] for message in sent] == ["user"]
    assert sent[0]["content"].startswith("First?\n") and sent[0]["content"].endswith("\n\nSecond?")
