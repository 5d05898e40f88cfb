"""Servers as they really answer, over real HTTP and through every door: the state, the stored text and the sentence."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from chat_app.client import ChatClient, ClientError, Finished, Reasoning, Text
from chat_app.errors import http_status
from tests.app import App
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.recordings import ODDITIES, SERVERS, Recording
from tests.test_doors import Case, Door, post_messages, post_stream, same_through, websocket

pytestmark = pytest.mark.anyio

KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("providers")
    settings = {"openai_base_url": provider.base_url, "openai_api_key": KEY, "openai_model": "bench"}
    with Api(folder, **settings, system_prompt="Be brief.") as app:
        yield app


@pytest.fixture
async def client(api: App) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


def case_of(recording: Recording) -> Case:
    status = http_status(recording.code) if recording.code else 200
    return Case(recording.name, recording.script, recording.text, recording.code or recording.end, status)


async def stored(client: httpx.AsyncClient, chat_id: str) -> dict[str, Any]:
    history = (await client.get("/messages/", params={"chat_id": chat_id})).raise_for_status().json()
    answer: dict[str, Any] = history["messages"][-1]
    return answer


async def as_told(door: Door, client: httpx.AsyncClient, recording: Recording) -> None:
    outcome = await same_through(door, client, case_of(recording))
    answer = await stored(client, outcome.chat_id)
    if recording.usage:
        assert answer["usage"] == recording.usage
    for word in recording.words:
        assert word in answer["error"]["message"]
    assert "Something went wrong" not in str(answer["error"])
    (await client.get(f"/chats/{outcome.chat_id}/export", params={"format": "json"})).raise_for_status()


@pytest.mark.parametrize("door", [post_stream, post_messages, websocket], ids=lambda door: door.__name__)
@pytest.mark.parametrize("recording", SERVERS, ids=lambda recording: recording.name)
async def test_the_answers_of_real_servers(door: Door, recording: Recording, client: httpx.AsyncClient) -> None:
    await as_told(door, client, recording)


@pytest.mark.slow
@pytest.mark.parametrize("recording", ODDITIES, ids=lambda recording: recording.name)
async def test_odd_answers(recording: Recording, client: httpx.AsyncClient) -> None:
    await as_told(post_messages, client, recording)


@pytest.mark.parametrize("recording", ODDITIES[::5], ids=lambda recording: recording.name)
async def test_odd_answers_on_a_stream(recording: Recording, client: httpx.AsyncClient) -> None:
    await as_told(post_stream, client, recording)


@pytest.mark.parametrize("recording", [one for one in SERVERS if not one.code], ids=lambda recording: recording.name)
async def test_the_python_client_gets_text_and_reasoning(recording: Recording, api: App) -> None:
    text, reasoning = "", ""
    async with ChatClient(api.url) as chat:
        async for event in chat.stream(script(**recording.script), reasoning=True):
            match event:
                case Text(_, delta):
                    text += delta
                case Reasoning(_, delta):
                    reasoning += delta
                case Finished(reason, _):
                    assert reason == recording.end
    assert (text, reasoning) == (recording.text, recording.reasoning)


async def test_the_python_client_gets_the_sentence(api: App) -> None:
    page = next(one for one in ODDITIES if one.name == "a web page")
    async with ChatClient(api.url) as chat:
        with pytest.raises(ClientError, match="OPENAI_BASE_URL"):
            async for _ in chat.stream(script(**page.script)):
                pass


@pytest.mark.parametrize(
    "usage",
    ["5", '"x"', "[1]", '{"completion_tokens": "12"}', '{"completion_tokens": null}', '{"a": NaN}', "true", "null"],
)
async def test_a_row_that_an_older_version_stored_still_opens(usage: str, api: App, client: httpx.AsyncClient) -> None:
    answer = (await client.post("/messages/", json={"content": script(text="Hello")})).raise_for_status().json()
    with sqlite3.connect(api.folder / "chat.db") as database:
        database.execute("UPDATE message SET usage = ? WHERE id = ?", (usage, answer["id"]))
    database.close()
    assert (await stored(client, answer["chat_id"]))["content"] == "Hello"
    for path in ("export?format=json", "export?format=markdown"):
        exported = (await client.get(f"/chats/{answer['chat_id']}/{path}")).raise_for_status()
        assert "Hello" in exported.text
    turn = await client.get(f"/stream/{answer['id']}", params={"after": 0})
    assert "Hello" in turn.raise_for_status().text
    exported = await client.get(f"/chats/{answer['chat_id']}/export", params={"format": "json"})
    (await client.post("/chats/import", content=exported.content)).raise_for_status()
