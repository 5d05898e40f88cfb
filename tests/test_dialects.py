"""What a server refuses is asked once more without it; redirects, proxies, lists of models, the key. Over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat_app.errors import ChatError, ContextTooLong, ProviderError, ProviderRefused
from chat_app.replies.openai_service import OpenAIService
from tests.listening import listening
from tests.provider_client import Provider
from tests.test_openai_service import (
    answer,
    ask,
    assistant,
    chat_requests,
    numbered,
    pieces_and_error,
    raw_provider,
    service_of,
    text,
    user,
)

pytestmark = pytest.mark.anyio

KEY = "sk-test-0123456789abcdefghij"
NO_OPTIONS = {
    "part": "stream_options",
    "status": 422,
    "body": '{"detail": "Extra inputs are not permitted: stream_options"}',
}
NO_TEMPERATURE = {"part": "temperature", "body": '{"error": {"message": "Unsupported value: \'temperature\'"}}'}
NO_SYSTEM = {"part": "system", "status": 500, "body": '{"message": "System role not supported"}'}
NO_STREAM = {"part": "stream", "body": '{"error": {"message": "You must be verified to stream", "param": "stream"}}'}
TOO_LONG = '{"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}'
STREAMED = "text/event-stream"


@pytest.fixture
def provider(provider: Provider) -> Provider:
    provider.clear()
    return provider


@pytest.fixture
async def service(provider: Provider) -> AsyncIterator[OpenAIService]:
    async with service_of(provider.base_url, api_key=KEY, model="bench", system_prompt="Be brief.") as service:
        yield service


def bodies(provider: Provider) -> list[dict[str, Any]]:
    return [request["body"] for request in chat_requests(provider)]


async def pieces_of(service: OpenAIService, question: list[dict[str, str]], **options: Any) -> str:
    return text([piece async for piece in service.reply(question, **options)])


@pytest.mark.parametrize(
    "refusals",
    [
        [NO_OPTIONS],
        [NO_TEMPERATURE],
        [NO_SYSTEM],
        [NO_SYSTEM | {"status": 400}],
        [NO_STREAM],
        [NO_OPTIONS, NO_TEMPERATURE],
        [NO_SYSTEM, NO_OPTIONS, NO_TEMPERATURE],
        [NO_TEMPERATURE, NO_OPTIONS, NO_SYSTEM, NO_STREAM],
        [
            {
                "part": "temperature",
                "status": 200,
                "type": STREAMED,
                "body": 'data: {"error": "temperature is not supported"}\n\n',
            }
        ],
    ],
    ids=lambda refusals: "+".join(one["part"] for one in refusals),
)
async def test_what_is_refused_is_left_out_once_and_remembered(
    service: OpenAIService, provider: Provider, refusals: list[dict[str, Any]]
) -> None:
    question = ask(tokens=3, refusals=refusals)
    assert await pieces_of(service, question, temperature=0.5) == numbered(3)
    assert len(bodies(provider)) == len(refusals) + 1
    sent = bodies(provider)[-1]
    parts = {one["part"] for one in refusals}
    assert not parts & {name for name, value in sent.items() if value is not False}
    assert ("temperature" in sent, "stream" in sent) == ("temperature" not in parts, "stream" not in parts)
    if "system" in parts:
        assert [message["role"] for message in sent["messages"]] == ["user"]
        assert sent["messages"][0]["content"].startswith("Be brief.\n\n")
    # The next answer knows.
    assert await pieces_of(service, question, temperature=0.5) == numbered(3)
    assert len(bodies(provider)) == len(refusals) + 2
    assert bodies(provider)[-1] == sent
    # Another model may take it.
    await pieces_of(service, question, temperature=0.5, model="other")
    assert len(bodies(provider)) == 2 * len(refusals) + 3


async def test_a_whole_completion_leaves_it_out_too(service: OpenAIService, provider: Provider) -> None:
    messages = [{"role": "system", "content": "Name it."}, *ask(tokens=1, refusals=[NO_SYSTEM, NO_TEMPERATURE])]
    completion = await service.chat_completion(messages, temperature=1)
    assert completion["choices"][0]["message"]["content"] == "tok0 "
    assert len(bodies(provider)) == 3


async def test_what_is_refused_for_ever_is_told(service: OpenAIService, provider: Provider) -> None:
    always = NO_TEMPERATURE | {"part": "model"}
    with pytest.raises(ProviderRefused, match="temperature"):
        await pieces_of(service, ask(refusals=[always]), temperature=0.5)
    assert len(bodies(provider)) == 2
    # It did not help, so it is not remembered.
    await pieces_of(service, ask(tokens=1), temperature=0.5)
    assert bodies(provider)[-1]["temperature"] == 0.5


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
async def test_other_statuses_are_asked_once(service: OpenAIService, provider: Provider, status: int) -> None:
    with pytest.raises(ChatError):
        await pieces_of(service, ask(refusals=[NO_TEMPERATURE | {"status": status}]), temperature=0.5)
    assert len(bodies(provider)) == 1


# A full context


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 400, "body": TOO_LONG},
        {"status": 413, "body": "<html><title>413 Request Entity Too Large</title></html>", "type": "text/html"},
        {"status": 500, "body": '{"error": "Context size has been exceeded."}'},
        {"status": 200, "type": STREAMED, "body": f"data: {TOO_LONG}\n\n"},
        {
            "status": 200,
            "type": STREAMED,
            "body": f'data: {{"choices":[{{"delta":{{"role":"assistant"}}}}]}}\n\ndata: {TOO_LONG}\n\n',
        },
        {"status": 200, "body": TOO_LONG},
    ],
    ids=lambda refusal: f"{refusal['status']} {refusal['body'][:20]}",
)
async def test_a_history_that_does_not_fit_is_trimmed_and_asked_again(
    service: OpenAIService, provider: Provider, refusal: dict[str, Any]
) -> None:
    history = [message for n in range(6) for message in (user(f"{n}?"), assistant(f"{n}!"))]
    assert await pieces_of(service, [*history, *ask(tokens=2, refusals=[refusal | {"messages": 5}])]) == numbered(2)
    sent = [len(body["messages"]) for body in bodies(provider)]
    assert sent[0] == 14
    assert sent == sorted(sent, reverse=True)
    assert sent[-1] <= 5
    assert bodies(provider)[-1]["messages"][0]["content"] == "Be brief."


async def test_one_message_that_does_not_fit_is_told(service: OpenAIService, provider: Provider) -> None:
    with pytest.raises(ContextTooLong, match="Shorten"):
        await pieces_of(service, [user("a"), assistant("b"), *ask(refusals=[{"part": "model", "body": TOO_LONG}])])
    assert len(bodies(provider)) == 2


async def test_a_context_that_is_full_in_mid_answer_keeps_the_text(service: OpenAIService, provider: Provider) -> None:
    raw = [
        'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n',
        'data: {"error": "Context size has been exceeded."}\n\n',
    ]
    pieces, error = await pieces_and_error(service, [user("a"), assistant("b"), *ask(raw=raw)])
    assert text(pieces) == "Hel"
    assert type(error) is ProviderError
    assert "context was full" in str(error)
    assert len(bodies(provider)) == 1


# Lists of models


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ('{"data": [{"id": "nomic-embed-text"}, {"id": "llama3.2"}]}', "llama3.2"),
        ('[{"id": "m"}]', "m"),
        ('{"models": [{"name": "whisper-1"}, {"name": "m"}]}', "m"),
    ],
)
async def test_the_first_that_chats_is_asked(body: str, model: str) -> None:
    async with raw_provider(body) as raw, service_of(raw.base_url) as service:
        assert await service.model() == model


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ('{"data": []}', "200 OK", "OPENAI_MODEL"),
        ('{"data": [{"id": "text-embedding-3-small"}]}', "200 OK", "such as text-embedding-3-small. Set OPENAI_MODEL"),
        ("<html>Hi</html>", "200 OK", "OPENAI_BASE_URL"),
        ("<html>Hi</html>", "404 Not Found", "OPENAI_BASE_URL"),
        ('{"detail": "Not Found"}', "404 Not Found", "OPENAI_BASE_URL"),
        ("ok", "200 OK", "OPENAI_BASE_URL"),
        ("", "200 OK", "OPENAI_BASE_URL"),
        ('{"object": "x"}', "200 OK", "OPENAI_BASE_URL"),
        ('{"error": "x"}', "401 Unauthorized", "OPENAI_API_KEY"),
        ("5", "200 OK", "OPENAI_BASE_URL"),
    ],
)
async def test_a_list_that_helps_nobody_says_what_to_set(body: str, status: str, words: str) -> None:
    async with raw_provider(body, status=status) as raw, service_of(raw.base_url) as service:
        with pytest.raises(ProviderRefused) as caught:
            await service.model()
        assert words in str(caught.value)
        with pytest.raises(ProviderRefused):
            await anext(service.reply([user("Hi")]))


# Addresses


class Server:
    """Answers every request with one response, and keeps what was asked."""

    def __init__(self, response: str) -> None:
        self.response = response
        self.asked: list[str] = []

    async def __aenter__(self) -> "Server":
        self._listening = listening(self._serve)
        self.port = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listening.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
        )
        self.asked.append(head + (await reader.readexactly(length)).decode())
        writer.write(self.response.replace("PORT", str(self.port)).encode())
        await writer.drain()
        writer.close()


def response(status: str, body: str, *headers: str) -> str:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
    return "\r\n".join(lines)


COMPLETION = json.dumps({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]})


async def test_a_query_stays_behind_the_path_and_azure_gets_the_key_its_way() -> None:
    async with Server(response("200 OK", COMPLETION)) as server:
        address = f"http://127.0.0.1:{server.port}/openai/deployments/d?api-version=2024-10-21"
        async with service_of(address, api_key=KEY, model="m") as service:
            assert text(await answer(service, [user("Hi")])) == "Hello"
    assert server.asked[0].startswith("POST /openai/deployments/d/chat/completions?api-version=2024-10-21 HTTP/1.1")
    azure = OpenAIService(base_url="https://x.openai.azure.com/openai?api-version=1", api_key=KEY, model="m")
    assert azure._client.default_headers["api-key"] == KEY
    await azure.close()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_conversation_does_not_follow_to_another_server(status: str) -> None:
    async with (
        Server(response("200 OK", COMPLETION)) as other,
        Server(response(status, "", f"Location: http://127.0.0.1:{other.port}/v1/chat/completions")) as server,
        service_of(f"http://127.0.0.1:{server.port}/v1", api_key=KEY, model="m") as service,
    ):
        _, error = await pieces_and_error(service, [user("Hi")])
        assert type(error) is ProviderRefused
        assert f"http://127.0.0.1:{other.port}/v1" in str(error)
        assert "OPENAI_BASE_URL" in str(error)
        assert other.asked == []
        assert len(server.asked) == 1


async def test_a_redirect_within_the_server_is_followed_as_a_post(provider: Provider) -> None:
    async with (
        Server(response("307 Temporary Redirect", "", "Location: http://127.0.0.1:PORT/v2/x")) as server,
        service_of(f"http://127.0.0.1:{server.port}/v1", model="m") as service,
    ):
        _, error = await pieces_and_error(service, [user("Hi there")])
    assert error
    assert [request.split(" HTTP")[0] for request in server.asked[:2]] == ["POST /v1/chat/completions", "POST /v2/x"]
    assert "Hi there" in server.asked[1]
    # A circle ends.
    assert len(server.asked) < 10


# Proxies and the key


async def test_this_machine_is_asked_without_a_proxy(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "[::1],10.0.0.0/8")
    async with service_of(provider.base_url, model="bench") as service:
        assert text(await answer(service, ask(tokens=1))) == "tok0 "


async def test_a_server_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(response("200 OK", COMPLETION)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "10.0.0.0/8")
        async with service_of("http://model.example/v1", model="m") as service:
            assert text(await answer(service, [user("Hi")])) == "Hello"
    assert proxy.asked[0].startswith("POST http://model.example/v1/chat/completions")


async def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with service_of("http://model.example/v1", model="m") as service:
        _, error = await pieces_and_error(service, [user("Hi")])
    assert "proxy" in str(error)


@pytest.mark.parametrize("status", ["400 Bad Request", "402 X", "404 Not Found", "422 X", "500 X", "418 X"])
async def test_the_key_is_in_no_sentence(status: str) -> None:
    echo = json.dumps({"error": {"message": f"\x1b[31mBearer {KEY} {KEY[:15]} pass1234 \u202e model" + "x" * 9_000}})
    async with Server(response(status, echo)) as server:
        address = f"http://me:pass1234@127.0.0.1:{server.port}/v1"
        async with service_of(address, api_key=KEY, model="m") as service:
            _, error = await pieces_and_error(service, [user("Hi")])
    assert error
    assert not any(KEY[at : at + 8] in str(error) for at in range(len(KEY) - 7))
    assert "pass1234" not in str(error)
    assert len(str(error)) < 600
    assert str(error).isprintable()
