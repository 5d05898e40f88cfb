"""Thoughts in the text of an answer, through the doors for programs: as they come, as they are replayed and stored."""

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from httpx_sse import ServerSentEvent

from tests.app import App
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of, value

pytestmark = pytest.mark.anyio

PAIR = ["<thi", "nk>\nhm, ", "so", "</thi", "nk>\n\n", "Hel", "lo"]
LONE = ["hm, ", "so\n", "</thi", "nk>\n\n", "Hel", "lo"]


@pytest.fixture
async def client(app: App, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    provider.clear()
    async with app.client() as client:
        yield client


def thoughts_of(frames: Sequence[ServerSentEvent]) -> str:
    return "".join(value(one)["delta"] for one in frames if one.event == "reasoning")


async def stored(client: httpx.AsyncClient, chat_id: str) -> str:
    messages = (await client.get("/messages/", params={"chat_id": chat_id})).raise_for_status().json()["messages"]
    return str(messages[-1]["content"])


@pytest.mark.parametrize("pieces", [PAIR, LONE], ids=["a pair of tags", "a closing tag alone"])
async def test_they_are_stored_and_replayed_as_reasoning(
    client: httpx.AsyncClient, provider: Provider, pieces: list[str]
) -> None:
    body = {"content": script(pieces=pieces)}
    async with streaming(client, "POST", "/stream/?include=reasoning,recast", json=body) as stream:
        live = await stream.rest()
        turn_id, chat_id = stream.turn_id, stream.chat_id
    assert not any("</" in one.data for one in live[1:])
    assert await stored(client, chat_id) == "Hello"
    async with streaming(client, "GET", f"/stream/{turn_id}?include=reasoning") as stream:
        replayed = await stream.rest()
    assert (thoughts_of(replayed).strip(), text_of(replayed)) == ("hm, so", "Hello")
    if pieces is PAIR:
        assert (thoughts_of(live), text_of(live)) == ("hm, so", "Hello")
    else:
        at = [one.event for one in live].index("recast")
        assert (text_of(live[:at]), text_of(live[at:])) == ("hm, so\n", "Hello")
        assert value(live[at])["recast"] == {"kind": "reasoning", "after": 0}
    await client.post("/messages/", json={"content": script(tokens=1), "chat_id": chat_id})
    assert [message["content"] for message in provider.requests()[-1]["body"]["messages"]][2] == "Hello"


async def test_who_does_not_ask_gets_a_blank_line_in_the_place_of_a_lone_tag(client: httpx.AsyncClient) -> None:
    async with streaming(client, "POST", "/stream/", json={"content": script(pieces=LONE)}) as stream:
        assert text_of(await stream.rest()) == "hm, so\n\n\nHello"


async def test_a_stored_message_gives_its_parts_in_their_order(client: httpx.AsyncClient) -> None:
    deltas = [{"reasoning_content": "hm, "}, {"content": "Hel"}, {"reasoning_content": "so"}]
    asked = {"content": script(deltas=deltas, pieces=["lo"])}
    reply = (await client.post("/messages/", json=asked)).raise_for_status().json()
    assert "parts" not in reply
    message = (await client.get(f"/messages/{reply['id']}?include=reasoning")).raise_for_status().json()
    parts = [(part["type"], part["text"]) for part in message["parts"]]
    assert parts == [("reasoning", "hm, "), ("text", "Hel"), ("reasoning", "so"), ("text", "lo")]
    assert [type(part.get("ms")) for part in message["parts"]] == [int, type(None)] * 2
    bare = (await client.get(f"/messages/{reply['id']}")).raise_for_status().json()
    assert [part["text"] for part in bare["parts"]] == ["Hel", "lo"]
    assert {name: message[name] for name in reply} == reply
    history = {"chat_id": reply["chat_id"], "include": "reasoning,tools"}
    question, answer = (await client.get("/messages/", params=history)).raise_for_status().json()["messages"]
    assert (question["parts"], answer) == ([{"type": "text", "text": asked["content"]}], message)
    missing = await client.get("/messages/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
