"""The provider double speaks the real protocol, also where it misbehaves: read by the OpenAI SDK, or by a bare
socket where what counts is the bytes."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.provider import EMOJI, SEPARATORS, Script, answer_tokens
from tests.provider_client import ROOT, Provider, script
from tests.ws_client import close

pytestmark = pytest.mark.anyio

CLOCKS_MS = 5
"""What two clocks and two roundings may differ by: the double waits by another clock than it stamps with."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def process() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(process: Provider) -> Provider:
    process.clear()
    return process


@pytest.fixture
async def client(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test", max_retries=0) as client:
        yield client


def ask(**keys: Any) -> dict[str, Any]:
    return {"model": "bench", "messages": [{"role": "user", "content": script(**keys)}]}


async def chunks(client: openai.AsyncOpenAI, **keys: Any) -> list[ChatCompletionChunk]:
    body = ask(**keys)
    body["stream_options"] = {"include_usage": True}
    async with await client.chat.completions.create(**body, stream=True) as stream:
        return [chunk async for chunk in stream]


def text_of(received: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in received if chunk.choices)


def numbered(count: int) -> str:
    return "".join(f"tok{n} " for n in range(count))


async def connect(provider: Provider, **keys: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection on which a streaming request has been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(provider.base_url).port, limit=1 << 20)
    body = json.dumps({**ask(**keys), "stream": True}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return reader, writer


async def test_a_stream_has_role_text_finish_reason_and_usage(client: openai.AsyncOpenAI) -> None:
    received = await chunks(client, tokens=20, interval_ms=1)
    assert received[0].choices[0].delta.role == "assistant"
    assert text_of(received) == numbered(20)
    assert [chunk.choices[0].finish_reason for chunk in received if chunk.choices][-1] == "stop"
    assert received[-1].usage and received[-1].usage.completion_tokens == 20
    assert not received[-1].choices


async def test_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(**ask(text="Two words", finish_reason="length"))
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("Two words", "length")
    assert reply.usage and reply.usage.completion_tokens == 2


async def test_a_message_without_script_gets_a_short_answer(client: openai.AsyncOpenAI, provider: Provider) -> None:
    messages: Any = [{"role": "user", "content": "What is a delta?"}]
    reply = await client.chat.completions.create(model="bench", messages=messages)
    assert reply.choices[0].message.content == "This is a short answer to: What is a delta?"
    [request] = provider.requests()
    assert request["body"]["messages"] == messages
    assert request["headers"]["authorization"] == "Bearer test"
    assert request["started"] <= request["finished"]
    assert request["closed_by_client"] is None


async def test_the_model_list(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["bench"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"status": 401}, openai.AuthenticationError),
        ({"status": 429, "retry_after": 7}, openai.RateLimitError),
        ({"status": 500}, openai.InternalServerError),
        ({"context_limit": 10}, openai.BadRequestError),
        ({"no_such_key": 1}, openai.BadRequestError),
    ],
    ids=str,
)
async def test_error_statuses_are_typed_errors(
    client: openai.AsyncOpenAI, keys: dict[str, Any], expected: type[openai.APIStatusError]
) -> None:
    with pytest.raises(expected) as caught:
        await chunks(client, **keys)
    if "retry_after" in keys:
        assert caught.value.response.headers["retry-after"] == "7"
    if "context_limit" in keys:
        assert caught.value.code == "context_length_exceeded"


async def test_an_error_in_mid_stream(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIError, match="had an error"):
        await chunks(client, tokens=9, error_after=3)


async def test_odd_chunks_change_nothing_in_the_text(client: openai.AsyncOpenAI) -> None:
    odd = {"empty_choices": True, "null_content": True, "reasoning": ["hm, ", "so"], "no_done": True}
    received = await chunks(client, tokens=5, **odd)
    assert text_of(received) == numbered(5)
    thoughts = [getattr(chunk.choices[0].delta, "reasoning_content", "") for chunk in received if chunk.choices]
    assert "".join(thoughts) == "hm, so"
    assert sum(not chunk.choices for chunk in received) == 5 + 1  # and the usage


async def test_separators_and_big_chunks_arrive_raw_and_whole(provider: Provider) -> None:
    reader, writer = await connect(provider, separators=True, big=300_000)
    data = (await reader.readuntil(b"\r\n0\r\n\r\n")).decode()
    await close(writer)
    assert SEPARATORS in data
    assert "x" * 300_000 in data


async def test_a_client_that_closes_in_a_silence_is_recorded(client: openai.AsyncOpenAI, provider: Provider) -> None:
    stream = await client.chat.completions.create(**ask(tokens=-1, interval_ms=0, stall_after=3), stream=True)
    await provider.until(lambda seen: seen[0]["tokens_sent"] == 3)
    await stream.close()
    # It has nothing more to send, so that only looking out for the end can tell it.
    [request] = await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert request["finished"] is None
    assert request["tokens_sent"] == 3


async def test_a_client_that_closes_before_the_response_is_recorded(provider: Provider) -> None:
    _, writer = await connect(provider, headers_ms=60_000)
    await provider.until(len)
    await close(writer)
    [request] = await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert request["tokens_sent"] == 0


async def test_a_reset_comes_in_mid_chunk(provider: Provider) -> None:
    reader, writer = await connect(provider, tokens=-1, reset_after=4)
    data = b""
    with pytest.raises(ConnectionResetError):
        while True:
            data += await reader.readline()
    await close(writer)
    assert data.count(b"tok") == 4
    [request] = provider.requests()
    assert request["finished"] and not request["closed_by_client"]


async def test_a_drop_ends_without_the_terminating_chunk(provider: Provider) -> None:
    reader, writer = await connect(provider, tokens=-1, interval_ms=0, drop_after=40)
    data = await reader.read(-1)
    await close(writer)
    assert data.count(b"tok") == 40
    assert data.endswith(b"\n\n\r\n")
    assert b"[DONE]" not in data


async def test_malformed_json_is_followed_by_normal_tokens(provider: Provider) -> None:
    reader, writer = await connect(provider, tokens=6, malformed_after=2)
    data = await reader.readuntil(b"\r\n0\r\n\r\n")
    await close(writer)
    before, after = data.split(b'data: {"choi\n\n')
    assert (before.count(b"tok"), after.count(b"tok")) == (2, 4)


async def test_an_emoji_is_split_over_two_writes(provider: Provider, client: openai.AsyncOpenAI) -> None:
    reader, writer = await connect(provider, split_emoji=True, split_ms=60_000)
    await reader.readuntil(EMOJI.encode()[:2])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.005)
    await close(writer)
    reader, writer = await connect(provider, split_emoji=True)
    assert EMOJI in (await reader.readuntil(b"[DONE]")).decode()
    await close(writer)
    assert text_of(await chunks(client, text="hi 👋🏽 you", split_emoji=True)) == "hi 👋🏽 you"


async def test_a_burst_comes_at_once_and_the_rest_at_its_pace(client: openai.AsyncOpenAI, provider: Provider) -> None:
    async with asyncio.timeout(20):
        assert text_of(await chunks(client, tokens=52, burst=51, interval_ms=60_000)) == numbered(52)
    before = time.time() * 1000
    received = await chunks(client, tokens=56, burst=51, interval_ms=50, stamp=True)
    assert provider.stamps(received[0].id)[55] - before > 4 * 50 - CLOCKS_MS


async def test_an_answer_that_holds_goes_on_when_it_is_told_to(provider: Provider) -> None:
    reader, writer = await connect(provider, tokens=5, hold=[2, 4])
    for last, next_one in [(b"tok1 ", b"tok2 "), (b"tok3 ", b"tok4 ")]:
        assert next_one not in await reader.readuntil(last)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readuntil(next_one), 0.05)
        provider.go()
    assert b"tok4 " in await reader.readuntil(b"[DONE]")
    await close(writer)


async def test_stamps_number_the_tokens(client: openai.AsyncOpenAI, provider: Provider) -> None:
    before = time.time() * 1000
    received = await chunks(client, tokens=30, interval_ms=5, first_ms=20, stamp=True)
    stamps = provider.stamps(received[0].id)
    assert len(stamps) == 30
    assert stamps == sorted(stamps)
    assert stamps[0] - before > 20 - CLOCKS_MS
    assert stamps[29] - before > 20 + 29 * 5 - CLOCKS_MS


def test_stamped_markdown_keeps_its_marks_and_numbers_its_words() -> None:
    tokens = list(answer_tokens(Script(markdown=True, stamp=True, tokens=400), ""))
    assert len(tokens) == 400
    assert tokens[1].startswith("tok1")
    assert {"```python\n", "```\n\n", "## ", "| "} <= set(tokens)


async def test_thirty_thousand_tokens_flat_out(client: openai.AsyncOpenAI, provider: Provider) -> None:
    create = client.chat.completions.with_streaming_response.create
    async with create(**ask(tokens=30_000, interval_ms=0), stream=True) as response:
        lines = [line async for line in response.iter_lines() if "tok" in line]
    assert len(lines) == 30_000
    assert '"tok29999 "' in lines[-1]
    assert provider.requests()[0]["tokens_sent"] == 30_000


async def test_hundreds_of_streams_at_once(provider: Provider) -> None:
    async def read() -> int:
        reader, writer = await connect(provider, tokens=20, interval_ms=20)
        data = await reader.readuntil(b"\r\n0\r\n\r\n")
        await close(writer)
        return data.count(b"tok")

    assert await asyncio.gather(*(read() for _ in range(200))) == [20] * 200


def test_it_ends_when_its_stdin_does() -> None:
    command = [sys.executable, "-m", "tests.provider"]
    done = subprocess.run(command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=10)
    assert json.loads(done.stdout)["base_url"].endswith("/v1")
