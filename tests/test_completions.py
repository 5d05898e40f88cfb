"""`/v1`, as OpenAI's own client uses it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from openai import APIError, AsyncOpenAI, NotFoundError, UnprocessableEntityError

from tests.forked import Api
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


def asked(content: Any, *before: dict[str, str]) -> Any:
    return [*before, {"role": "user", "content": content}]


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("v1"), openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An app whose answers are a function's."""
    with Api(tmp_path_factory.mktemp("v1 source"), replies="tests.examples.spoken:reply") as api:
        yield api


async def ask(client: AsyncOpenAI, **request: Any) -> Any:
    """`Any`: the SDK's types know neither our further fields nor requests that are wrong."""
    return await client.chat.completions.create(**request)


async def client_of(api: Api) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{api.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def openai(api: Api, provider: Provider) -> AsyncIterator[AsyncOpenAI]:
    provider.clear()
    async for client in client_of(api):
        yield client


@pytest.fixture
async def of_source(source: Api) -> AsyncIterator[AsyncOpenAI]:
    async for client in client_of(source):
        yield client


@pytest.fixture
async def http(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


async def stored(http: httpx.AsyncClient, chat_id: str) -> list[dict[str, Any]]:
    history = await http.get("/messages/", params={"chat_id": chat_id})
    messages: list[dict[str, Any]] = history.raise_for_status().json()["messages"]
    return messages


async def test_the_models_are_listed(openai: AsyncOpenAI, of_source: AsyncOpenAI) -> None:
    assert (await anext(aiter(openai.models.list()))).id == "bench"
    assert (await openai.models.retrieve("bench")).id == "bench"
    assert [model.id async for model in of_source.models.list()] == ["Parrot"]
    with pytest.raises(NotFoundError, match="no model"):
        await of_source.models.retrieve("gpt-4o")


async def test_without_a_chat_nothing_is_kept(openai: AsyncOpenAI, http: httpx.AsyncClient, provider: Provider) -> None:
    messages = asked(script(text="An answer."), {"role": "system", "content": "Be brief."})
    before = (await http.get("/chats/")).json()["chats"]
    answer = await ask(openai, model="bench", messages=messages, temperature=0.5)
    assert answer.choices[0].message.content == "An answer."
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "bench")
    assert answer.usage and answer.usage.total_tokens
    sent = provider.requests()[-1]["body"]
    assert (sent["messages"], sent["temperature"]) == (messages, 0.5)
    assert (await http.get("/chats/")).json()["chats"] == before


async def test_a_stream_has_the_provider_s_deltas(openai: AsyncOpenAI) -> None:
    messages = asked(script(tokens=5, reasoning=["hm"]))
    options = {"include_usage": True}
    stream = await ask(
        openai,
        model="bench",
        messages=messages,
        stream=True,
        stream_options=options,
    )
    chunks = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert [choice.delta.content for choice in choices if choice.delta.content] == [f"tok{n} " for n in range(5)]
    assert "hm" in [getattr(choice.delta, "reasoning_content", None) for choice in choices]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert not chunks[-1].choices and chunks[-1].usage


async def test_tools_and_pictures_reach_the_provider(openai: AsyncOpenAI, provider: Provider) -> None:
    content = [{"type": "text", "text": "What is this?"}, PICTURE]
    await ask(
        openai,
        model="bench",
        messages=asked(content),
        tools=[TOOL],
        extra_body={"top_k": 5},
    )
    sent = provider.requests()[-1]["body"]
    assert (sent["messages"][0]["content"], sent["tools"], sent["top_k"]) == (content, [TOOL], 5)


async def test_a_long_conversation_fits(openai: AsyncOpenAI, provider: Provider) -> None:
    content = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:," + "A" * 2_000_000}}]
    await ask(openai, model="bench", messages=asked(content))
    assert provider.requests()[-1]["body"]["messages"][0]["content"] == content


async def test_a_client_that_leaves_ends_a_stateless_answer(openai: AsyncOpenAI, provider: Provider) -> None:
    stream = await ask(openai, model="bench", messages=asked(script(tokens=1_000_000, interval_ms=5)), stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    await stream.close()
    await provider.until(lambda seen: seen[-1]["closed_by_client"])


async def test_with_a_chat_it_is_a_turn(openai: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    first = await ask(
        openai,
        model="bench",
        messages=asked(script(text="First."), {"role": "system", "content": "Be kind."}),
        store=True,
        temperature=0.3,
    )
    assert first.choices[0].message.content == "First."
    chat_id = first.metadata["chat_id"]
    stream = await ask(
        openai, model="bench", messages=asked(script(text="Second.")), metadata={"chat_id": chat_id}, stream=True
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "Second."
    assert [message["content"] for message in await stored(http, chat_id)][1::2] == ["First.", "Second."]
    chat = (await http.get(f"/chats/{chat_id}")).json()
    assert (chat["system_prompt"], chat["temperature"]) == ("Be kind.", 0.3)


async def test_a_new_chat_gets_what_was_said_before(openai: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    before = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."}]
    messages = asked(script(text="Four."), *before)
    key = {"Idempotency-Key": "four"}
    answers = [await ask(openai, model="bench", messages=messages, store=True, extra_headers=key) for _ in range(2)]
    ids = {answer.metadata["chat_id"] for answer in answers}
    assert len(ids) == 1
    assert [message["content"] for message in await stored(http, ids.pop())] == [
        "One?",
        "Two.",
        messages[-1]["content"],
        "Four.",
    ]


async def test_a_turn_goes_on_without_its_client(openai: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    stream = await ask(
        openai, model="bench", messages=asked(script(tokens=1_000_000, interval_ms=5)), store=True, stream=True
    )
    first = await anext(aiter(stream))
    turn_id = first.metadata["turn_id"]
    await stream.close()
    async with http.stream("GET", f"/stream/{turn_id}") as response:
        lines = response.aiter_lines()
        for number in range(20):
            assert [line async for line in _until(lines, f"tok{number} ")]
    stopped = (await http.post(f"/stream/{turn_id}/stop")).json()
    assert stopped["status"] == "stopped" and stopped["content"].startswith("tok0 tok1 ")


async def _until(lines: AsyncIterator[str], text: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if text in line:
            return


async def test_a_function_is_a_model(of_source: AsyncOpenAI) -> None:
    whole = await ask(of_source, model="Parrot", messages=asked("Hello"), temperature=0.25)
    assert whole.choices[0].message.content == "Hello at 0.25"
    assert whole.choices[0].message.reasoning_content == "A greeting."
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    stream = await ask(of_source, model="Parrot", messages=asked(parts), stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"tools": [TOOL]}, "tools cannot be given"),
        ({"messages": asked([PICTURE])}, "Only text"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "role is one of"),
        ({"tools": [TOOL], "store": True}, "tools cannot be given"),
        ({"n": 2, "store": True}, "n cannot be given"),
        ({"messages": [{"role": "assistant", "content": "x"}], "store": True}, "role is user"),
        ({"messages": asked("  "), "store": True}, "empty"),
        ({"messages": []}, "messages"),
    ],
)
async def test_what_would_be_dropped_is_refused(
    of_source: AsyncOpenAI, request_: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UnprocessableEntityError, match=sentence) as refused:
        await ask(of_source, **{"model": "Parrot", "messages": asked("x")} | request_)
    assert refused.value.type == "invalid_request_error"


async def test_an_unknown_model_and_an_unknown_chat_are_404(of_source: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="There is no model 'gpt-4o' here"):
        await ask(of_source, model="gpt-4o", messages=asked("x"))
    with pytest.raises(NotFoundError, match="There is no such chat"):
        await ask(of_source, model="Parrot", messages=asked("x"), metadata={"chat_id": "none"})


@pytest.mark.parametrize("more", [{}, {"store": True}], ids=["stateless", "a turn"])
async def test_a_failure_is_told_whole_and_in_the_stream(openai: AsyncOpenAI, more: dict[str, Any]) -> None:
    failing = {"model": "bench", "messages": asked(script(tokens=5, drop_after=3))} | more
    with pytest.raises(APIError) as whole:
        await ask(openai, **failing)
    assert whole.value.code == "provider_error"
    texts = []
    with pytest.raises(APIError, match="broke off"):
        async for chunk in await ask(openai, **failing, stream=True):
            texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    assert texts == ["tok0 ", "tok1 ", "tok2 "]


async def test_a_tool_of_the_model_s_comes_whole(openai: AsyncOpenAI) -> None:
    begin = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": text}} for text in ('{"a":', "1}")]
    calls_in_pieces = [{"tool_calls": [call]} for call in (begin, *rest)]
    answer = await ask(
        openai,
        model="bench",
        messages=asked(script(deltas=calls_in_pieces, text="", finish_reason="tool_calls")),
        tools=[TOOL],
    )
    calls = answer.choices[0].message.tool_calls
    assert calls and calls[0].type == "function" and calls[0].id == "call_1"
    assert (calls[0].function.name, calls[0].function.arguments) == ("look_up", '{"a":1}')
    assert answer.choices[0].finish_reason == "tool_calls"
