"""The OpenAI service against the scripted provider: real HTTP, real broken connections, and what becomes of them."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from chat_app.errors import (
    ChatError,
    ContextTooLong,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
)
from chat_app.replies.chunk import SurrogateJoiner
from chat_app.replies.openai_service import CHARS_PER_TOKEN, OpenAIService
from chat_app.reply import ChatMessage, Piece
from tests.listening import listening
from tests.provider import EMOJI, SEPARATORS
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@pytest.fixture
def provider(provider: Provider) -> Provider:
    """The shared double, with a clean record."""
    provider.clear()
    return provider


@pytest.fixture
async def service(provider: Provider) -> AsyncIterator[OpenAIService]:
    service = OpenAIService(api_key="sk-test", base_url=provider.base_url, model="bench")
    yield service
    await service.close()


@dataclass
class RawProvider:
    """What the double cannot say: these lines as the body of every response. Counts its connections."""

    lines: tuple[str, ...]
    status: str = "200 OK"
    headers: str = ""
    ends: bool = True
    base_url: str = ""
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        body = "".join(f"{line}\n\n" for line in self.lines).encode()
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        headers = f"{self.headers}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        head = f"HTTP/1.1 {self.status}\r\n{headers}\r\n"
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while request := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = re.search(r"content-length: (\d+)", request)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(head.encode() + chunk + (b"0\r\n\r\n" if self.ends else b""))
        writer.close()


@asynccontextmanager
async def raw_provider(*lines: str, **keys: Any) -> AsyncIterator[RawProvider]:
    provider = RawProvider(lines, **keys)
    async with listening(provider.serve) as port:
        provider.base_url = f"http://127.0.0.1:{port}/v1"
        yield provider


@asynccontextmanager
async def service_of(base_url: str, **keys: Any) -> AsyncIterator[OpenAIService]:
    service = OpenAIService(base_url=base_url, **keys)
    try:
        yield service
    finally:
        await service.close()


def user(content: str) -> ChatMessage:
    return {"role": "user", "content": content}


def assistant(content: str) -> ChatMessage:
    return {"role": "assistant", "content": content}


def ask(**keys: Any) -> list[ChatMessage]:
    """A conversation whose answer is scripted, fast unless it says otherwise."""
    return [user(script(**{"interval_ms": 0} | keys))]


def numbered(count: int) -> str:
    return "".join(f"tok{n} " for n in range(count))


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


async def pieces_and_error(service: OpenAIService, messages: list[ChatMessage]) -> tuple[list[Piece], ChatError | None]:
    """What `reply` gave before it ended, and the error that it ended with."""
    received: list[Piece] = []
    try:
        async with aclosing(service.reply(messages)) as pieces:
            async for piece in pieces:
                received.append(piece)  # noqa: PERF401  (what came before an error counts)
    except ChatError as error:
        return received, error
    return received, None


async def answer(service: OpenAIService, messages: list[ChatMessage]) -> list[Piece]:
    return [piece async for piece in service.reply(messages)]


def chat_requests(provider: Provider) -> list[dict[str, Any]]:
    return [one for one in provider.requests() if one["path"] == "/v1/chat/completions"]


# Chunks and completions as the provider's own dicts


async def test_chunks_are_plain_dicts_with_choices_and_delta(service: OpenAIService) -> None:
    chunks = [chunk async for chunk in service.chat_completion_stream(ask(tokens=3))]
    assert all(type(chunk) is dict for chunk in chunks)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "tok0 "},
        {"content": "tok1 "},
        {"content": "tok2 "},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


async def test_usage_is_a_chunk_too_where_it_was_asked_for(service: OpenAIService) -> None:
    stream = service.chat_completion_stream(ask(tokens=3), stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3


async def test_a_whole_completion_is_the_provider_s_dict(service: OpenAIService) -> None:
    completion = await service.chat_completion(ask(text="Two words", finish_reason="length"))
    assert type(completion) is dict
    assert completion["choices"][0]["message"]["content"] == "Two words"
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 2


async def test_a_request_carries_key_model_messages_and_every_argument(
    service: OpenAIService, provider: Provider
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *ask(tokens=1)]
    await service.chat_completion(messages, temperature=0.5, max_tokens=7)
    [_ async for _ in service.chat_completion_stream(messages, model="another", seed=1)]
    whole, streamed = chat_requests(provider)
    assert whole["body"] == {"model": "bench", "messages": messages, "temperature": 0.5, "max_tokens": 7}
    assert streamed["body"] == {"model": "another", "messages": messages, "seed": 1, "stream": True}
    assert whole["headers"]["authorization"] == streamed["headers"]["authorization"] == "Bearer sk-test"


# The reply source


async def test_the_sdk_does_not_look_through_the_history(
    service: OpenAIService, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a third of a millisecond for each message, and changes nothing."""
    looked: list[Any] = []
    monkeypatch.setattr(
        "openai.resources.chat.completions.completions.async_maybe_transform", lambda data, _: looked_at(looked, data)
    )
    said = ((user(f"Question {number}?"), assistant(f"Answer {number}.")) for number in range(1_500))
    history = [message for pair in said for message in pair] + ask(tokens=1)
    assert text([piece async for piece in service.reply(history)]) == numbered(1)
    await service.chat_completion(history)
    assert [len(data["messages"]) for data in looked] == [0, 0]
    streamed, whole = (request["body"]["messages"] for request in chat_requests(provider))
    assert streamed[-len(history) :] == whole == history


async def looked_at(looked: list[Any], data: Any) -> Any:
    looked.append(data)
    return data


async def test_reply_streams_text_then_the_finish_reason_model_and_usage(service: OpenAIService) -> None:
    pieces = await answer(service, ask(tokens=3, finish_reason="length"))
    assert text(pieces) == numbered(3)
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["length"]
    assert {piece.model for piece in pieces} == {"bench"}
    [usage] = [piece.usage for piece in pieces if piece.usage]
    assert usage["completion_tokens"] == 3


async def test_reply_comes_token_by_token(service: OpenAIService, provider: Provider) -> None:
    async with aclosing(service.reply(ask(tokens=2, interval_ms=60_000))) as pieces, asyncio.timeout(5):
        while (await anext(pieces)).text != "tok0 ":
            pass
    assert chat_requests(provider)[0]["tokens_sent"] == 1


async def test_reply_sends_the_system_prompt_before_the_history(provider: Provider) -> None:
    service = OpenAIService(
        base_url=provider.base_url, model="bench", system_prompt="Be brief.", defaults={"temperature": 0.1}
    )
    history = [user("one"), assistant("1"), *ask(tokens=1)]
    await answer(service, history)
    await service.close()
    [request] = chat_requests(provider)
    assert request["body"] == {
        "model": "bench",
        "messages": [{"role": "system", "content": "Be brief."}, *history],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.1,
    }


async def test_without_a_system_prompt_none_is_sent(service: OpenAIService, provider: Provider) -> None:
    await answer(service, ask(tokens=1))
    assert [message["role"] for message in chat_requests(provider)[0]["body"]["messages"]] == ["user"]


async def test_a_system_message_takes_the_place_of_the_service_s_own_and_arguments_are_passed_on(
    provider: Provider,
) -> None:
    service = OpenAIService(
        base_url=provider.base_url, model="other", system_prompt="Be brief.", defaults={"temperature": 0.1}
    )
    history = [{"role": "system", "content": "Be long."}, user("one"), assistant("1"), *ask(tokens=1)]
    async with aclosing(service.reply(history, model="bench", temperature=0)) as pieces:
        assert [piece async for piece in pieces]
    await service.close()
    [request] = chat_requests(provider)
    assert request["body"]["messages"] == history
    assert (request["body"]["model"], request["body"]["temperature"]) == ("bench", 0)


async def test_a_model_that_is_named_is_not_looked_up(provider: Provider) -> None:
    service = OpenAIService(base_url=provider.base_url)
    await service.chat_completion(ask(tokens=1), model="bench")
    await service.close()
    assert [request["path"] for request in provider.requests()] == ["/v1/chat/completions"]


async def test_empty_choices_null_content_and_role_chunks_are_no_text(service: OpenAIService) -> None:
    pieces = await answer(service, ask(tokens=5, empty_choices=True, null_content=True))
    assert [piece.text for piece in pieces if piece.text] == [f"tok{n} " for n in range(5)]


async def test_reasoning_comes_apart_from_the_text(service: OpenAIService) -> None:
    pieces = await answer(service, ask(tokens=2, reasoning=["hm, ", "so"]))
    assert "".join(piece.reasoning for piece in pieces) == "hm, so"
    assert text(pieces) == numbered(2)


@pytest.mark.parametrize("keys", [{"no_usage": True}, {"no_done": True}, {"no_usage": True, "no_done": True}], ids=str)
async def test_without_done_or_usage_an_answer_is_whole_once_it_has_its_finish_reason(
    service: OpenAIService, keys: dict[str, Any]
) -> None:
    assert text(await answer(service, ask(tokens=3, **keys))) == numbered(3)


# Bytes on the way


async def test_line_separators_come_whole(service: OpenAIService) -> None:
    pieces = await answer(service, ask(tokens=1, separators=True))
    assert pieces[1].text == SEPARATORS
    assert text(pieces) == SEPARATORS + "tok1 "


async def test_an_emoji_in_two_writes_comes_whole(service: OpenAIService) -> None:
    pieces = await answer(service, ask(tokens=1, split_emoji=True, interval_ms=1))
    assert pieces[1].text == EMOJI


async def test_a_chunk_of_a_megabyte_comes_whole(service: OpenAIService) -> None:
    pieces = await answer(service, ask(big=1_000_000, tokens=1))
    assert text(pieces) == "x" * 1_000_000 + "tok1 "


async def test_ten_thousand_tokens_flat_out_come_whole(service: OpenAIService) -> None:
    assert text(await answer(service, ask(tokens=10_000))) == numbered(10_000)


async def test_a_character_whose_escapes_came_in_two_chunks_is_joined() -> None:
    """As several providers send it: each token is JSON of its own, and half an emoji is a token."""
    async with (
        raw_provider(
            r'data: {"choices":[{"delta":{"content":"a \ud83d"}}]}',
            r'data: {"choices":[{"delta":{"content":"\ude00 b"}}]}',
            r'data: {"choices":[{"delta":{"reasoning_content":"c \ud83d"}}]}',
            r'data: {"choices":[{"delta":{"reasoning_content":"\ude00 d"}}]}',
            r'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}',
        ) as raw,
        service_of(raw.base_url, model="m") as service,
    ):
        pieces = await answer(service, [user("hello")])
    assert text(pieces) == "a 😀 b"
    assert "".join(piece.reasoning for piece in pieces) == "c 😀 d"


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (["plain", " text"], "plain text"),
        (["é", "👋🏽", "\u2028"], "é👋🏽\u2028"),
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["\ud83d", "", "\ude00"], "😀"),
        (["\ud83d", "\ude00\ud83d", "\ude00"], "😀😀"),
        (["\ud83d", "é"], "\ufffdé"),
        (["\ud83d", "a", "\ude00"], "\ufffda\ufffd"),
        (["\ude00", "a"], "\ufffda"),
    ],
    ids=ascii,
)
def test_the_joiner_joins_halves_and_replaces_what_stays_half(parts: list[str], joined: str) -> None:
    join = SurrogateJoiner()
    assert "".join(join(part) for part in parts) == joined


def test_the_joiner_holds_nothing_back_but_half_a_character() -> None:
    join = SurrogateJoiner()
    assert [join(part) for part in ["a", "é", "👋 ", "b\ud83d", "\ude00"]] == ["a", "é", "👋 ", "b", "😀"]


# Leaving


async def test_closing_the_generator_closes_the_provider_s_connection(
    service: OpenAIService, provider: Provider
) -> None:
    pieces = service.reply(ask(tokens=-1, interval_ms=1))
    async for piece in pieces:
        if piece.text:
            break
    assert chat_requests(provider)[0]["closed_by_client"] is None
    await pieces.aclose()
    [request] = await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert request["finished"] is None


@pytest.mark.parametrize("keys", [{"headers_ms": 60_000}, {"first_ms": 60_000}, {"stall_after": 2}], ids=str)
async def test_cancelling_the_reader_closes_it_also_before_the_first_token(
    service: OpenAIService, provider: Provider, keys: dict[str, Any]
) -> None:
    reading = asyncio.ensure_future(pieces_and_error(service, ask(tokens=9, **keys)))
    await provider.until(lambda seen: seen and seen[0]["tokens_sent"] == keys.get("stall_after", 0))
    reading.cancel()
    [request] = await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert request["finished"] is None
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_the_connection_of_an_answer_that_came_to_its_end_is_used_again() -> None:
    """A new one costs a handshake before the first token of every turn."""
    chunk = 'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}'
    async with raw_provider(chunk, "data: [DONE]") as raw, service_of(raw.base_url, model="m") as service:
        for _ in range(3):
            assert text(await answer(service, [user("hello")])) == "a"
        assert raw.connections == 1


async def test_a_provider_that_does_not_end_its_response_after_done_holds_nothing_up() -> None:
    chunk = 'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}'
    async with (
        raw_provider(chunk, "data: [DONE]", ends=False) as raw,
        service_of(raw.base_url, model="m") as service,
        asyncio.timeout(5),
    ):
        assert text(await answer(service, [user("hello")])) == "a"


async def test_a_provider_that_does_not_end_its_response_after_the_finish_reason_does_not_fail_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chat_app.replies.completion.LATE_S", 0.05)
    chunk = 'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}'
    async with (
        raw_provider(chunk, ends=False) as raw,
        service_of(raw.base_url, model="m") as service,
        asyncio.timeout(10),
    ):
        assert text(await answer(service, [user("hello")])) == "a"


# Failing: which error, and the text before it


@pytest.mark.parametrize(
    ("status", "kind", "retryable", "words"),
    [
        (400, ProviderRefused, False, "Scripted status 400"),
        (401, ProviderRefused, False, "OPENAI_API_KEY"),
        (403, ProviderRefused, False, "Scripted status 403"),
        (404, ProviderRefused, False, "OPENAI_MODEL"),
        (422, ProviderRefused, False, "Scripted status 422"),
        (429, ProviderBusy, True, "busy"),
        (500, ProviderError, True, "500"),
        (503, ProviderError, True, "503"),
    ],
)
async def test_a_refused_request_is_an_error_that_says_what_to_do(
    service: OpenAIService, provider: Provider, status: int, kind: type[ChatError], retryable: bool, words: str
) -> None:
    for attempt in (answer, OpenAIService.chat_completion):
        with pytest.raises(ChatError) as caught:
            await attempt(service, ask(status=status))
        assert type(caught.value) is kind
        assert caught.value.retryable is retryable
        assert words in str(caught.value)
        assert "sk-test" not in str(caught.value)
    # Once each: what a person sees is not delayed by hidden retries.
    assert len(chat_requests(provider)) == 2


@pytest.mark.parametrize(("seconds", "words"), [(7, "7 seconds"), (None, "in a moment")])
async def test_429_says_how_long_to_wait(service: OpenAIService, seconds: int | None, words: str) -> None:
    _, error = await pieces_and_error(service, ask(status=429, retry_after=seconds))
    assert isinstance(error, ProviderBusy)
    assert error.retry_after == seconds
    assert words in str(error)


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "inf", "nan", "-5"])
async def test_a_retry_after_that_is_no_number_of_seconds_is_left_out(value: str) -> None:
    async with (
        raw_provider(status="429 Too Many Requests", headers=f"Retry-After: {value}\r\n") as raw,
        service_of(raw.base_url, model="m") as service,
    ):
        _, error = await pieces_and_error(service, [user("hello")])
    assert isinstance(error, ProviderBusy)
    assert error.retry_after is None
    assert "in a moment" in str(error)


async def test_an_account_without_quota_is_no_busy_server() -> None:
    body = json.dumps({"error": {"message": "…", "type": "insufficient_quota", "code": "insufficient_quota"}})
    async with (
        raw_provider(body, status="429 Too Many Requests") as raw,
        service_of(raw.base_url, model="m") as service,
    ):
        _, error = await pieces_and_error(service, [user("hello")])
    assert type(error) is ProviderRefused
    assert "billing" in str(error)


@pytest.mark.parametrize("way", ["reset_after", "drop_after", "error_after", "malformed_after"])
async def test_text_before_a_failure_is_delivered_then_the_error(service: OpenAIService, way: str) -> None:
    pieces, error = await pieces_and_error(service, ask(tokens=9, interval_ms=5, **{way: 3}))
    assert text(pieces) == numbered(3)
    assert type(error) is ProviderError
    assert error.retryable


@pytest.mark.parametrize("way", ["reset_after", "drop_after", "error_after", "malformed_after"])
async def test_a_whole_completion_that_fails_is_the_same_error(service: OpenAIService, way: str) -> None:
    with pytest.raises(ChatError) as caught:
        await service.chat_completion(ask(tokens=9, **{way: 3}))
    assert type(caught.value) is ProviderError


async def test_an_error_in_mid_stream_gives_the_provider_s_words(service: OpenAIService) -> None:
    _, error = await pieces_and_error(service, ask(tokens=9, error_after=3))
    assert "The server had an error while processing your request." in str(error)


async def test_a_stream_that_ends_without_finish_reason_is_no_complete_answer() -> None:
    async with (
        raw_provider('data: {"choices":[{"delta":{"content":"half"}}]}') as raw,
        service_of(raw.base_url, model="m") as service,
    ):
        pieces, error = await pieces_and_error(service, [user("hello")])
    assert text(pieces) == "half"
    assert type(error) is ProviderError


@pytest.mark.parametrize("body", ["<html>hello</html>", "", "[1]"])
async def test_a_server_that_is_no_provider_is_an_error(body: str) -> None:
    async with raw_provider(body) as raw, service_of(raw.base_url, model="m") as service:
        _, error = await pieces_and_error(service, [user("hello")])
        assert type(error) is ProviderError
        with pytest.raises(ProviderError):
            await service.chat_completion([user("hello")])


async def test_a_refused_connection_says_what_to_check() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with service_of(f"http://127.0.0.1:{port}/v1", model="m") as service:
        for attempt in (
            lambda: answer(service, [user("hello")]),
            lambda: service.chat_completion([user("hello")]),
            service.models,
        ):
            with pytest.raises(ChatError) as caught:
                await attempt()
            assert type(caught.value) is ProviderError
            assert "OPENAI_BASE_URL" in str(caught.value)


# The model


async def test_without_a_model_the_first_that_the_provider_lists_is_asked(provider: Provider) -> None:
    service = OpenAIService(base_url=provider.base_url)
    for _ in range(2):
        await answer(service, ask(tokens=1))
    assert await service.model() == "bench"
    await service.close()
    assert [request["path"] for request in provider.requests()] == [
        "/v1/models",
        "/v1/chat/completions",
        "/v1/chat/completions",
    ]
    assert {request["body"]["model"] for request in chat_requests(provider)} == {"bench"}


async def test_a_provider_that_lists_no_model_says_what_to_set() -> None:
    async with raw_provider('{"object":"list","data":[]}') as raw, service_of(raw.base_url) as service:
        with pytest.raises(ProviderRefused, match="OPENAI_MODEL"):
            await service.model()


async def test_openai_itself_has_a_default_model() -> None:
    service = OpenAIService(api_key="sk-test")
    assert await service.model() == "gpt-4o-mini"
    await service.close()


async def test_the_address_may_come_late_and_change(provider: Provider) -> None:
    """As the embedded model's does, whose server may be started again on another port."""
    addresses = ["http://127.0.0.1:1/v1", provider.base_url]

    async def address() -> str:
        return addresses.pop(0)

    service = OpenAIService(base_url=address, model="bench")
    with pytest.raises(ProviderError):
        await answer(service, ask(tokens=1))
    assert text(await answer(service, ask(tokens=1))) == "tok0 "
    await service.close()


# Histories that are too long


def conversation(exchanges: int, chars: int = 100) -> list[ChatMessage]:
    """Questions and answers of that length, each recognisable by its number."""
    lines = [f"{n} ".ljust(chars, "x") for n in range(2 * exchanges)]
    return [user(line) if n % 2 == 0 else assistant(line) for n, line in enumerate(lines)]


async def test_a_history_that_the_provider_finds_too_long_is_trimmed_from_its_oldest_end(
    service: OpenAIService, provider: Provider
) -> None:
    history = [*conversation(10), *ask(tokens=2, context_limit=600)]
    assert text(await answer(service, history)) == numbered(2)
    sent = [request["body"]["messages"] for request in chat_requests(provider)]
    assert sent[0] == history
    for longer, shorter in pairwise(sent):
        assert len(shorter) < len(longer)
        assert longer[-len(shorter) :] == shorter
    assert all(messages[0]["role"] == "user" for messages in sent)
    assert len(sent[-1]) > 1


async def test_the_system_prompt_stays_when_the_history_is_trimmed(provider: Provider) -> None:
    service = OpenAIService(base_url=provider.base_url, model="bench", system_prompt="Be brief.")
    long = [*conversation(10), *ask(tokens=2, context_limit=600)]
    await answer(service, long)
    assert {request["body"]["messages"][0]["content"] for request in chat_requests(provider)} == {"Be brief."}
    provider.clear()
    await answer(service, [{"role": "system", "content": "Be long."}, *long])
    assert {request["body"]["messages"][0]["content"] for request in chat_requests(provider)} == {"Be long."}
    await service.close()
    service = OpenAIService(base_url=provider.base_url, model="bench", context_tokens=200)
    provider.clear()
    await answer(service, [{"role": "system", "content": "Be long."}, *long])
    await service.close()
    [request] = chat_requests(provider)
    first, second, *_ = request["body"]["messages"]
    assert (first["content"], second["role"]) == ("Be long.", "user")
    assert len(request["body"]["messages"]) < len(long)


async def test_a_message_that_is_too_long_by_itself_is_context_too_long(
    service: OpenAIService, provider: Provider
) -> None:
    pieces, error = await pieces_and_error(service, [*conversation(10), *ask(context_limit=10)])
    assert pieces == []
    assert type(error) is ContextTooLong
    assert not error.retryable
    assert "Shorten" in str(error)
    assert len(chat_requests(provider)[-1]["body"]["messages"]) == 1


@pytest.mark.parametrize("context_tokens", [1, 40, 41, 100, 200, 333, 1_000, 100_000])
@pytest.mark.parametrize("exchanges", [0, 1, 5, 20])
async def test_what_is_sent_fits_begins_with_a_question_and_ends_with_the_last(
    provider: Provider, context_tokens: int, exchanges: int
) -> None:
    prompt = "Be brief."
    service = OpenAIService(
        base_url=provider.base_url, model="bench", system_prompt=prompt, context_tokens=context_tokens
    )
    history = [*conversation(exchanges), *ask(tokens=1)]
    await answer(service, history)
    await service.close()
    [request] = chat_requests(provider)
    _, *sent = request["body"]["messages"]
    assert sent == history[-len(sent) :]
    assert sent[0]["role"] == "user"
    room = context_tokens * CHARS_PER_TOKEN * 3 // 4
    size = len(prompt) + sum(len(message["content"]) for message in sent)
    assert size <= room or len(sent) == 1
    if len(sent) < len(history):
        # Not one exchange less than fits.
        assert size + sum(len(message["content"]) for message in history[-len(sent) - 2 : -len(sent)]) > room


async def test_without_a_known_context_everything_is_sent(service: OpenAIService, provider: Provider) -> None:
    history = [*conversation(50), *ask(tokens=1)]
    await answer(service, history)
    assert chat_requests(provider)[0]["body"]["messages"] == history
