"""What an agent may know: its `context`, the values that a chat keeps, and models of the agent's own."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat_app import extend
from chat_app.caller import LOCAL
from chat_app.config import Settings
from chat_app.context import MAX_VALUES_CHARS, Values
from chat_app.errors import InvalidRequest, SettingsError
from chat_app.models import Message, Status
from chat_app.service import Service, serving
from rill import Context
from tests.forked import Api
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio


# Agents, named as `tests.test_context:…`


async def knows(messages: Any, *, context: Context, temperature: float | None = None) -> AsyncIterator[str]:
    known = {
        "chat_id": context.chat_id,
        "turn_id": context.turn_id,
        "message_id": context.message_id,
        "person": context.person,
        "metadata": dict(context.metadata),
        "settings": dict(context.settings),
        "values": dict(context.values),
    }
    yield json.dumps(known)


async def counts(messages: Any, context: Context) -> AsyncIterator[str]:
    context.values["count"] = context.values.get("count", 0) + 1
    context.values.setdefault("said", []).append(messages[-1]["content"])
    yield f"{context.values['count']} {' '.join(context.values['said'])}"


def counts_in_a_thread(messages: Any, context: Context) -> str:
    assert threading.current_thread() is not threading.main_thread()
    context.values["count"] = context.values.get("count", 0) + 1
    return str(context.values["count"])


async def keeps_and_waits(messages: Any, context: Context) -> AsyncIterator[str]:
    context.values["before"] = True
    yield "Waiting"
    try:
        await asyncio.sleep(3600)
    finally:
        context.values["at the end"] = True


async def keeps_too_much(messages: Any, context: Context) -> AsyncIterator[str]:
    context.values["kept"] = 1
    for name, value in (("much", "x" * MAX_VALUES_CHARS), ("odd", object()), ("nan", float("nan")), (5, 5)):
        try:
            context.values[name] = value
        except (TypeError, ValueError) as problem:
            yield f"{type(problem).__name__}: {problem}\n"


async def chooses(messages: Any, model: str = "none") -> AsyncIterator[str]:
    yield model


setattr(chooses, "models", ["fast", "deep"])  # noqa: B010 - as the tutorial has it, for mypy


async def cannot_choose(messages: Any) -> AsyncIterator[str]:
    yield "text"


setattr(cannot_choose, "models", ["fast"])  # noqa: B010


async def odd_models(messages: Any, model: str = "") -> AsyncIterator[str]:
    yield "text"


setattr(odd_models, "models", ["fast", ""])  # noqa: B010


async def two_needed(messages: Any, index: Any, context: Any) -> AsyncIterator[str]:
    yield "text"


def settings(folder: Path, name: str, **more: Any) -> Settings:
    values = {"database_url": f"sqlite:///{folder / 'chat.db'}", "replies": f"tests.test_context:{name}"}
    return Settings.model_validate(values | more)


async def ended(service: Service, content: str = "Hi", chat_id: str | None = None, **more: Any) -> Message:
    turn = await service.turns.start(content, chat_id, **more)
    async with asyncio.timeout(10):
        await turn.end()
    message = await service.store.message(turn.id)
    assert message
    return message


# The context


async def test_an_agent_that_names_it_gets_what_there_is_to_know(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "knows")) as service:
        chat = await service.of(LOCAL).create_chat()
        await service.of(LOCAL).set_chat(chat.id, temperature=0.5, system_prompt="Be brief.")
        reply = await ended(service, chat_id=chat.id, metadata={"customer": {"id": 7}})
        again = await service.turns.regenerate(reply.id)
        await again.end()
        anew = await service.store.message(again.id)
    known = json.loads(reply.content)
    assert known == {
        "chat_id": chat.id,
        "turn_id": reply.id,
        "message_id": reply.id,
        "person": None,
        "metadata": {"customer": {"id": 7}},
        "settings": {"temperature": 0.5, "system_prompt": "Be brief."},
        "values": {},
    }
    # It belongs to the question, whichever answer it gets.
    assert anew and json.loads(anew.content) == known | {"turn_id": anew.id, "message_id": anew.id}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("context"), replies="tests.test_context:knows") as api:
        yield api


async def test_metadata_comes_through_every_door(api: Api) -> None:
    metadata = {"tenant": "a", "tags": ["x", {"y": None}], "text": "é\u2028"}
    body = {"content": "Hi", "metadata": metadata}
    async with api.client() as client:
        whole = (await client.post("/messages/", json=body)).json()
        streamed = await client.post("/stream/", json=body)
        later = (await client.get(f"/messages/{streamed.headers['X-Turn-Id']}")).json()
        openai = {"messages": [{"role": "user", "content": "Hi"}], "metadata": metadata}
        stateless = (await client.post("/v1/chat/completions", json=openai)).json()
        stored = (await client.post("/v1/chat/completions", json=openai | {"store": True})).json()
        named = openai | {"metadata": metadata | {"chat_id": whole["chat_id"]}}
        in_chat = (await client.post("/v1/chat/completions", json=named)).json()
        async with Socket(f"{api.url}/stream/ws") as socket:
            await socket.send(body)
            spoken = "".join(one["delta"] for one in (await socket.until("finish_reason"))[1:])
    completions = [one["choices"][0]["message"]["content"] for one in (stateless, stored, in_chat)]
    texts = [whole["content"], later["content"], spoken, *completions]
    assert [json.loads(text)["metadata"] for text in texts] == [metadata] * len(texts)
    assert json.loads(completions[0])["chat_id"] == ""
    assert json.loads(completions[2])["chat_id"] == whole["chat_id"]


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ('"text"', "metadata: "),
        ("[1]", "metadata: "),
        ("5", "metadata: "),
        ('{"a": NaN}', "metadata: it holds what is no JSON, such as NaN"),
        (json.dumps({"a": "x" * 16_384}), "metadata: it has 16,393 characters as JSON; at most 16,384 are allowed"),
    ],
)
async def test_bad_metadata_is_refused_with_a_sentence(api: Api, metadata: str, sentence: str) -> None:
    async with api.client() as client:
        for path in ("/stream/", "/messages/"):
            response = await client.post(path, content=f'{{"content": "Hi", "metadata": {metadata}}}')
            assert response.status_code == 422
            assert sentence in response.json()["error"]["message"]
        async with Socket(f"{api.url}/stream/ws") as socket:
            await socket.send(f'{{"content": "Hi", "metadata": {metadata}}}')
            assert sentence in (await socket.receive())["error"]["message"]


async def test_a_key_stands_for_its_metadata_too(api: Api) -> None:
    async def ask(client: httpx.AsyncClient, metadata: Any) -> httpx.Response:
        body = {"content": "Hi", "metadata": metadata}
        return await client.post("/messages/", json=body, headers={"Idempotency-Key": "one"})

    async with api.client() as client:
        first = await ask(client, {"a": 1})
        assert (await ask(client, {"a": 1})).json() == first.json()
        other = await ask(client, {"a": 2})
    assert (first.status_code, other.status_code) == (200, 422)
    assert "Idempotency-Key" in other.json()["error"]["message"]


# Values


async def test_values_are_a_chats_own_and_survive_a_restart(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "counts")) as service:
        reply = await ended(service, "a")
        assert (await ended(service, "b", reply.chat_id)).content == "2 a b"
        assert (await ended(service, "x")).content == "1 x"
    async with serving(settings(tmp_path, "counts")) as service:
        assert (await ended(service, "c", reply.chat_id)).content == "3 a b c"
        await service.of(LOCAL).delete_chat(reply.chat_id)
        assert await service.store.values(reply.chat_id) == {}


async def test_a_plain_function_keeps_values_from_its_thread(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "counts_in_a_thread")) as service:
        reply = await ended(service)
        assert (await ended(service, chat_id=reply.chat_id)).content == "2"


async def test_a_value_is_saved_while_the_answer_grows_and_when_it_is_stopped(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "keeps_and_waits")) as service:
        turn = await service.turns.start("Hi")
        async with asyncio.timeout(10):
            while "before" not in await service.store.values(turn.chat_id):
                await asyncio.sleep(0.01)
        await service.turns.stop(turn.id)
        assert await service.store.values(turn.chat_id) == {"before": True, "at the end": True}


async def test_what_cannot_be_kept_is_said_to_the_agent_and_the_rest_is_kept(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "keeps_too_much")) as service:
        reply = await ended(service)
        assert await service.store.values(reply.chat_id) == {"kept": 1}
    much, odd, nan, key = reply.content.splitlines()
    assert much.startswith("ValueError: The values of a chat would have 65,5")
    assert "at most 65,536 are kept" in much
    assert odd.startswith("TypeError: ") and nan.startswith("ValueError: ")
    assert key == "TypeError: The key of a value is text, not int."


async def test_values_behave_as_a_dict_that_is_closed_at_the_end() -> None:
    saved: list[dict[str, Any]] = []

    async def save(data: dict[str, Any]) -> None:
        saved.append(data)

    values = Values({"a": 1}, save)
    values["b"] = (given := [1])
    given.append(2)
    del values["a"]
    assert (dict(values), len(values), "a" in values) == ({"b": [1]}, 1, False)
    values["b"].append(3)
    await values.close()
    assert saved[-1] == {"b": [1, 3]}
    with pytest.raises(RuntimeError, match="turn has ended"):
        values["c"] = 1
    with pytest.raises(KeyError):
        del values["a"]


# Models of its own


async def test_the_models_that_an_agent_lists_can_be_chosen_and_no_others(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "chooses")) as service:
        assert await service.models() == ["fast", "deep"]
        chat = await service.of(LOCAL).create_chat()
        assert (await ended(service, chat_id=chat.id)).content == "none"
        await service.of(LOCAL).set_chat(chat.id, model="deep")
        assert (await ended(service, chat_id=chat.id)).content == "deep"
        with pytest.raises(InvalidRequest, match="no model 'gpt' here"):
            await service.of(LOCAL).set_chat(chat.id, model="gpt")
        await service.of(LOCAL).set_chat(chat.id, model=None)
        # From before the list was another one.
        await service.store.set_chat(chat.id, model="gone")
        assert (await ended(service, chat_id=chat.id)).content == "none"


async def test_the_models_are_those_of_v1(tmp_path: Path) -> None:
    question = {"messages": [{"role": "user", "content": "Hi"}]}
    with Api(tmp_path, replies="tests.test_context:chooses") as api:
        async with api.client() as client:
            listed = (await client.get("/v1/models")).json()["data"]
            assert [one["id"] for one in listed] == ["fast", "deep"]
            for more in ({}, {"store": True}):
                body = question | {"model": "deep"} | more
                reply = (await client.post("/v1/chat/completions", json=body)).json()
                assert (reply["choices"][0]["message"]["content"], reply["model"]) == ("deep", "deep")
            unknown = await client.post("/v1/chat/completions", json=question | {"model": "gpt"})
            assert unknown.status_code == 404
            assert "this is 'fast' or 'deep'" in unknown.json()["error"]["message"]
            chat = (await client.post("/chats/", json={})).json()
            refused = await client.patch(f"/chats/{chat['id']}", json={"model": "gpt"})
            assert refused.status_code == 422
            assert "Choose one of: fast, deep" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cannot_choose", "it has models, but no argument `model`"),
        ("odd_models", "its models are a list of names"),
        ("two_needed", "with the messages alone, or with a context too"),
    ],
)
def test_what_does_not_fit_is_said_at_the_start(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        extend.check(settings(tmp_path, name))
    assert reason in caught.value.message


async def test_an_agent_without_models_offers_none_and_names_no_setting(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "counts")) as service:
        assert await service.models() == []
        assert (await ended(service)).status == Status.complete
