"""The Python client and the terminal chat, against the real app: also cut off, killed and restarted in mid-answer."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import httpx
import pytest

from chat_app.client import ChatClient, ClientError, Event, Finished, Message, Reasoning, Started, Text, backoff
from chat_app.config import ROOT
from tests.app import App, free_port
from tests.forked import Api
from tests.listening import listening
from tests.provider_client import Provider, script

pytestmark = pytest.mark.slow

WAIT_S = 60.0
"""For what comes true sooner on any machine."""
ENDLESS = {"tokens": -1, "interval_ms": 5}
# What is shown of it is not there because a buffer was full.
STALLED = {"tokens": 20, "interval_ms": 20, "stall_after": 10}
NOBODY = "00000000-0000-7000-8000-000000000000"


def numbered(count: int) -> str:
    return "".join(f"tok{n} " for n in range(count))


def is_numbered(text: str) -> bool:
    """Whether the text is the beginning of the provider's answer: nothing lost, nothing twice."""
    return numbered(len(text)).startswith(text)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


async def collected(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


def stored(app: App, chat_id: str) -> list[dict[str, Any]]:
    response = app.http.get("/messages/", params={"chat_id": chat_id})
    messages: list[dict[str, Any]] = response.raise_for_status().json()["messages"]
    return messages


def chats(app: App) -> list[str]:
    """The ids of the chats, the most recently used first."""
    response = app.http.get("/chats/").raise_for_status()
    return [chat["id"] for chat in response.json()["chats"]]


async def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (value := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)
    return value


class Proxy:
    """Passes bytes on, and cuts the n-th connection once `cuts[n]` bytes of the answer's body have passed, or
    `-cuts[n]` of its head; 0: at once, None: never."""

    def __init__(self, port: int, cuts: list[int | None], *, reset: bool = False) -> None:
        self.target = port
        self.cuts = cuts
        self.reset = reset
        self.connections = 0
        self.refusing = False
        self.cut_now = asyncio.Event()
        self._serving: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Proxy":
        self._listening = listening(self._serve)
        self.url = f"http://127.0.0.1:{await self._listening.__aenter__()}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_now.set()
        await self._listening.__aexit__(kind, error, trace)
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        cut = self.cuts[self.connections] if self.connections < len(self.cuts) else None
        self.connections += 1
        upstream: asyncio.StreamWriter | None = None
        try:
            if not self.refusing:
                answer, upstream = await asyncio.open_connection("127.0.0.1", self.target)
                passing = [self._pass(answer, writer, cut), self._pass(reader, upstream, None), self.cut_now.wait()]
                tasks = [asyncio.create_task(one) for one in passing]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        for one in (writer, upstream):
            if one:
                one.transport.abort() if self.reset else one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        if limit:
            # How long the head is, is no matter of these tests.
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(head[: -limit if limit < 0 else None])
            await writer.drain()
        passed = 0
        while limit is None or passed < limit:
            data = await reader.read(1 << 16 if limit is None else min(limit - passed, 1 << 16))
            if not data:
                return
            passed += len(data)
            writer.write(data)
            await writer.drain()


@pytest.fixture
async def client(app: App) -> AsyncIterator[ChatClient]:
    async with ChatClient(app.url) as client:
        yield client


@pytest.fixture(scope="module")
def mortal(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The API of this module's own, to be killed and started again."""
    with Api(tmp_path_factory.mktemp("mortal"), openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


# The client


@pytest.mark.everyday
@pytest.mark.anyio
async def test_an_answer_streams_as_typed_events(client: ChatClient, app: App) -> None:
    question = script(tokens=5)
    first, *pieces, last = [event async for event in client.stream(question)]
    assert isinstance(first, Started)
    assert (first.content, first.message_id) == (question, first.turn_id)
    assert all(isinstance(piece, Text) for piece in pieces)
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == [f"tok{n} " for n in range(5)]
    assert [piece.seq for piece in pieces if isinstance(piece, Text)] == [5, 10, 15, 20, 25]
    assert isinstance(last, Finished)
    assert last.finish_reason == "stop"
    assert last.usage and last.usage["completion_tokens"] == 5
    assert [message["content"] for message in stored(app, first.chat_id)] == [question, numbered(5)]


@pytest.mark.everyday
@pytest.mark.anyio
async def test_a_chat_goes_on(client: ChatClient, app: App) -> None:
    first = await client.send(script(tokens=2))
    events = [event async for event in client.stream(script(tokens=3), first.chat_id)]
    assert text_of(events) == numbered(3)
    assert len(stored(app, first.chat_id)) == 4


@pytest.mark.anyio
async def test_thoughts_come_where_they_are_asked_for(client: ChatClient) -> None:
    question = script(tokens=2, reasoning=["hm, ", "so"])
    assert not [event async for event in client.stream(question) if isinstance(event, Reasoning)]
    events = [event async for event in client.stream(question, reasoning=True)]
    assert "".join(event.text for event in events if isinstance(event, Reasoning)) == "hm, so"
    assert text_of(events) == numbered(2)


@pytest.mark.everyday
@pytest.mark.anyio
async def test_send_waits_for_the_whole_answer(client: ChatClient) -> None:
    message = await client.send(script(tokens=4))
    assert isinstance(message, Message)
    assert (message.role, message.content, message.status) == ("assistant", numbered(4), "complete")
    assert (message.finish_reason, message.model) == ("stop", "bench")
    assert message.created_at.tzinfo is not None


@pytest.mark.anyio
async def test_the_same_key_gives_the_same_answer(client: ChatClient, app: App) -> None:
    message = await client.send(script(tokens=2), key="once")
    events = [event async for event in client.stream(script(tokens=2), key="once")]
    assert isinstance(events[0], Started)
    assert (events[0].turn_id, text_of(events)) == (message.id, message.content)
    assert len(stored(app, message.chat_id)) == 2


@pytest.mark.everyday
@pytest.mark.anyio
async def test_reading_goes_on_from_the_middle(client: ChatClient) -> None:
    whole = await client.send(script(text="One 👋 two"))
    first, *pieces, last = [event async for event in client.resume(whole.id, after=5)]
    assert first == Started(whole.id, whole.chat_id, whole.id, None)
    assert text_of(pieces) == " two"
    assert [piece.seq for piece in pieces if isinstance(piece, Text)][-1] == 9
    assert isinstance(last, Finished)
    again = [event async for event in client.resume(whole.id)]
    assert isinstance(again[0], Started)
    assert again[0].content == script(text="One 👋 two")
    assert text_of(again) == whole.content


@pytest.mark.anyio
@pytest.mark.parametrize("after", [9, 10, 1_000_000])
async def test_a_reader_who_knows_it_all_is_told_how_it_ended(client: ChatClient, after: int) -> None:
    whole = await client.send(script(text="One 👋 two"))
    first, last = [event async for event in client.resume(whole.id, after=after)]
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    assert last.finish_reason == "stop"


@pytest.mark.anyio
async def test_leaving_early_leaves_the_turn_running_and_stop_ends_it(client: ChatClient, app: App) -> None:
    turn_id = chat_id = ""
    seq = 0
    async with aclosing(client.stream(script(**ENDLESS))) as events:
        async for event in events:
            if isinstance(event, Started):
                turn_id, chat_id = event.turn_id, event.chat_id
            elif isinstance(event, Text):
                seq = event.seq
                break
    assert stored(app, chat_id)[1]["status"] == "streaming"
    rest = ""
    async for event in client.resume(turn_id, after=seq):
        if isinstance(event, Text):
            if not rest:
                await client.stop(turn_id)
            rest += event.text
        elif isinstance(event, Finished):
            assert event.finish_reason == "stopped"
    answer = stored(app, chat_id)[1]
    assert answer["status"] == "stopped"
    assert numbered(1) + rest == answer["content"]
    again = await client.stop(turn_id)
    assert (again.status, again.content) == ("stopped", answer["content"])


@pytest.mark.everyday
@pytest.mark.anyio
async def test_a_refusal_of_the_provider_is_an_error_with_its_code(client: ChatClient) -> None:
    with pytest.raises(ClientError) as streamed:
        [event async for event in client.stream(script(status=401))]
    assert (streamed.value.code, streamed.value.retryable, streamed.value.status) == ("provider_refused", False, 200)
    assert streamed.value.turn_id
    with pytest.raises(ClientError) as sent:
        await client.send(script(status=401))
    assert (sent.value.code, sent.value.status) == ("provider_refused", 502)
    assert str(sent.value) == str(streamed.value) == sent.value.message


@pytest.mark.anyio
async def test_the_error_of_a_broken_answer_has_its_text_so_far(client: ChatClient) -> None:
    with pytest.raises(ClientError) as streamed:
        [event async for event in client.stream(script(tokens=8, drop_after=3))]
    with pytest.raises(ClientError) as sent:
        await client.send(script(tokens=8, drop_after=3))
    assert streamed.value.text == sent.value.text == numbered(3)
    assert streamed.value.retryable and sent.value.retryable


@pytest.mark.anyio
async def test_what_the_server_refuses_is_an_error_with_its_sentence(client: ChatClient) -> None:
    with pytest.raises(ClientError, match="chat") as unknown_chat:
        [event async for event in client.stream("Hello", NOBODY)]
    assert (unknown_chat.value.code, unknown_chat.value.status) == ("not_found", 404)
    with pytest.raises(ClientError, match="no such turn"):
        [event async for event in client.resume(NOBODY)]
    with pytest.raises(ClientError, match="no such turn"):
        await client.stop(NOBODY)
    with pytest.raises(ClientError, match="empty") as empty:
        await client.send(" ")
    assert (empty.value.code, empty.value.status) == ("invalid_request", 422)
    with pytest.raises(ClientError, match=r"JSON|surrogate"):
        await client.send("\ud800")


@pytest.mark.anyio
async def test_a_busy_chat_names_the_turn_that_runs(client: ChatClient) -> None:
    async with aclosing(client.stream(script(**ENDLESS))) as events:
        started = await anext(events)
        assert isinstance(started, Started)
        with pytest.raises(ClientError) as busy:
            await client.send("And?", started.chat_id)
        assert (busy.value.code, busy.value.status, busy.value.turn_id) == ("turn_running", 409, started.turn_id)
        await client.stop(started.turn_id)


@pytest.mark.everyday
@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_told_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with ChatClient(url) as client:
        for ask in (client.send, client.stop, lambda text: anext(client.stream(text))):
            with pytest.raises(ClientError, match=f"no server at {url} .*make run") as missing:
                await ask("Hello")
            assert (missing.value.code, missing.value.status) == ("unreachable", None)


@pytest.mark.parametrize("address", ["", "localhost:3000", "ftp://localhost", "http://", "http://x:99999", "what?"])
def test_what_is_no_address_is_told_at_once(address: str) -> None:
    with pytest.raises(ClientError, match="is no address") as wrong:
        ChatClient(address)
    assert wrong.value.code == "bad_address"


@pytest.fixture(scope="module")
def unstreamed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An app with streaming turned off."""
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "feature_streaming": "false"}
    with Api(tmp_path_factory.mktemp("unstreamed"), **settings) as app:
        yield app


@pytest.mark.anyio
async def test_one_who_waits_for_a_whole_answer_stops_it_by_its_key(unstreamed: Api, provider: Provider) -> None:
    provider.clear()
    async with ChatClient(unstreamed.url) as client:
        reading = asyncio.create_task(collected(client.stream(script(**ENDLESS), key="mine")))
        await provider.until(lambda seen: len(seen) == 1)
        message = await client.stop("mine")
        started, *text, finished = await reading
    assert isinstance(started, Started) and isinstance(finished, Finished)
    assert (message.status, message.id, message.content) == ("stopped", started.turn_id, text_of(text))
    assert finished.finish_reason == "stopped"


# Broken connections


@pytest.mark.anyio
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_cut_connection_loses_and_repeats_nothing(app: App, reset: bool) -> None:
    """Cut in the headers, at any place of a block, and again on the second and third connection."""
    question = f"Reset: {reset}\n{script(tokens=150, interval_ms=10)}"
    cuts: list[int | None] = [0, -100, 50, 300, 600, 737, 900]
    async with Proxy(app.port, cuts, reset=reset) as proxy, ChatClient(proxy.url) as client:
        events = [event async for event in client.stream(question)]
    assert proxy.connections == len(cuts) + 1
    assert [type(event) for event in events if not isinstance(event, Text)] == [Started, Finished]
    assert text_of(events) == numbered(150)
    assert isinstance(events[0], Started)
    assert events[0].content == question
    assert [message["content"] for message in stored(app, events[0].chat_id)] == [question, numbered(150)]
    # The message was sent three times.
    assert [stored(app, chat)[0]["content"] for chat in chats(app)[:3]].count(question) == 1


@pytest.mark.anyio
async def test_a_message_that_got_no_answer_is_sent_again_and_answered_once(app: App, provider: Provider) -> None:
    provider.clear()
    async with Proxy(app.port, [0, -50, None]) as proxy, ChatClient(proxy.url) as client:
        message = await client.send(script(tokens=7))
    assert message.content == numbered(7)
    assert proxy.connections == 3
    assert len(stored(app, message.chat_id)) == 2
    assert len([one for one in provider.requests() if one["method"] == "POST"]) == 1


@pytest.mark.anyio
async def test_a_stop_survives_a_cut_connection(client: ChatClient, app: App) -> None:
    async with aclosing(client.stream(script(**ENDLESS))) as events:
        started = await anext(events)
        assert isinstance(started, Started)
        async with Proxy(app.port, [0]) as proxy, ChatClient(proxy.url) as other:
            assert (await other.stop(started.turn_id)).status == "stopped"


@pytest.mark.anyio
async def test_trying_again_has_an_end(client: ChatClient, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    monkeypatch.setattr(backoff, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(backoff, "time", SimpleNamespace(monotonic=lambda: clock))
    async with Proxy(app.port, [800]) as proxy, ChatClient(proxy.url, reconnect_for=0.5) as cut_off:
        proxy.cuts += [0] * 1000
        with pytest.raises(ClientError, match=r"did not come back within 0\.5 s") as lost:
            [event async for event in cut_off.stream(script(**ENDLESS))]
    assert (lost.value.code, lost.value.retryable) == ("connection_lost", True)
    assert lost.value.text and is_numbered(lost.value.text)
    # At once, and after pauses of at most 0.1 and 0.2 s.
    assert proxy.connections >= 1 + 3
    assert clock < 0.5
    assert lost.value.turn_id
    assert (await client.stop(lost.value.turn_id)).content.startswith(lost.value.text)


def answering(*answers: httpx.Response) -> tuple[ChatClient, list[httpx.Request]]:
    """A client whose server gives these answers in turn, and the requests it gets."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answers[len(requests) - 1]

    return ChatClient(transport=httpx.MockTransport(answer)), requests


def reply(**changes: str) -> dict[str, Any]:
    whole = {"id": "t", "chat_id": "c", "role": "assistant", "content": "Hi", "status": "complete"}
    return whole | {"created_at": "2026-01-01T00:00:00Z", "finish_reason": "stop", "new_key": "unknown"} | changes


def refusal(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "No.", "retryable": False}}


@pytest.mark.anyio
async def test_a_server_that_restarts_is_asked_again_with_the_same_key() -> None:
    busy = [httpx.Response(503, json=refusal("shutting_down")), httpx.Response(502, text="<html>Bad gateway</html>")]
    client, requests = answering(*busy, httpx.Response(200, json=reply()))
    async with client:
        assert (await client.send("Hello")).content == "Hi"
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1


@pytest.mark.anyio
async def test_where_streaming_is_off_the_answer_comes_whole() -> None:
    client, requests = answering(httpx.Response(404, json=refusal("streaming_off")), httpx.Response(200, json=reply()))
    async with client:
        events = [event async for event in client.stream("Hello")]
    assert events == [Started("t", "c", "t", "Hello"), Text(2, "Hi"), Finished("stop")]
    assert [request.url.path for request in requests] == ["/stream/", "/messages/"]


@pytest.mark.anyio
async def test_an_answer_that_was_interrupted_is_an_error_of_send_too() -> None:
    client, _ = answering(httpx.Response(200, json=reply(status="interrupted")))
    async with client:
        with pytest.raises(ClientError) as interrupted:
            await client.send("Hello")
    assert (interrupted.value.code, interrupted.value.text) == ("interrupted", "Hi")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Welcome</html>", headers={"Content-Type": "text/html"}),
        httpx.Response(404, text="<html>Not found</html>"),
        httpx.Response(200, text="data:hello\n\n", headers={"Content-Type": "text/event-stream"}),
        httpx.Response(405, json={"detail": "Method not allowed"}),
    ],
)
async def test_another_kind_of_server_is_told_as_such(answer: httpx.Response) -> None:
    client, _ = answering(answer, answer)
    async with client:
        with pytest.raises(ClientError, match="not that of a Rill server") as streamed:
            [event async for event in client.stream("Hello")]
        with pytest.raises(ClientError, match="not that of a Rill server"):
            await client.send("Hello")
    assert streamed.value.code == "bad_answer"


# A server that dies


async def killed(app: App, question: str, when: Callable[[str], bool]) -> tuple[str, ClientError, dict[str, Any]]:
    """What was read of an answer, how that ended, and what is stored: the server is killed at a piece of text."""
    events: list[Event] = []
    chat_id = ""
    restart: asyncio.Task[None] | None = None
    async with ChatClient(app.url) as client:
        with pytest.raises(ClientError) as ended:
            async for event in client.stream(question):
                events.append(event)
                if isinstance(event, Started):
                    chat_id = event.chat_id
                elif isinstance(event, Text) and not restart and when(chat_id):
                    app.kill()
                    restart = asyncio.create_task(asyncio.to_thread(app.start))
        assert restart
        await restart
    return text_of(events), ended.value, stored(app, chat_id)[1]


@pytest.mark.anyio
async def test_a_killed_server_is_found_again_and_tells_how_it_ended(mortal: App) -> None:
    """Text is saved a moment later than it is read: what is stored is shorter than what was read."""

    def some_is_saved(chat_id: str) -> bool:
        return bool(stored(mortal, chat_id)[1]["content"])

    text, error, answer = await killed(mortal, script(**ENDLESS), some_is_saved)
    assert (error.code, error.retryable, error.text) == ("interrupted", True, text)
    assert is_numbered(text)
    assert answer["status"] == "interrupted"
    assert text.startswith(answer["content"])
    assert answer["content"]


@pytest.mark.anyio
async def test_a_server_that_is_killed_before_it_saved_any_text_tells_how_it_ended(
    provider: Provider, tmp_path: Path
) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", beat_s="3600") as api:
        # More text than that would be held back until it is saved.
        text, error, answer = await killed(api, script(tokens=2, stall_after=1), lambda chat_id: True)
    assert (error.code, error.retryable, error.text) == ("interrupted", True, text)
    assert text == numbered(1)
    assert (answer["status"], answer["content"]) == ("interrupted", "")


@pytest.mark.anyio
async def test_what_was_saved_behind_a_cut_is_read_after_the_restart(mortal: App) -> None:
    """Cut first, killed a second later: the rest of the text comes from the database."""
    async with Proxy(mortal.port, [800]) as proxy, ChatClient(proxy.url) as client:
        events: list[Event] = []

        async def read() -> None:
            async for event in client.stream(script(**ENDLESS)):
                proxy.refusing = True
                events.append(event)

        reading = asyncio.create_task(read())
        await until(lambda: proxy.connections > 1 and text_of(events))
        started, seen = events[0], text_of(events)
        assert isinstance(started, Started)
        await until(lambda: len(stored(mortal, started.chat_id)[1]["content"]) > len(seen))
        mortal.kill()
        await asyncio.to_thread(mortal.start)
        proxy.refusing = False
        with pytest.raises(ClientError) as ended:
            await reading
    assert ended.value.code == "interrupted"
    assert ended.value.text == text_of(events) == stored(mortal, started.chat_id)[1]["content"]
    assert len(ended.value.text) > len(seen)
    assert is_numbered(ended.value.text)


# The terminal program

PROGRAM = [sys.executable, "-m", "chat_app.client"]
# Its own flushing is what is tested.
ENVIRONMENT = os.environ | {"TERM": "dumb", "PYTHONUNBUFFERED": ""}


def piped(app: App, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "--url", app.url, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        encoding="utf-8",
        timeout=WAIT_S,
    )


@pytest.mark.everyday
def test_a_pipe_gets_exactly_the_answer(app: App) -> None:
    text = "# Title\n\n- one 👋\n- \x1b[1mtwo\x1b[0m"
    run = piped(app, script(text=text))
    assert (run.returncode, run.stdout, run.stderr) == (0, text + "\n", "")


def test_the_question_may_come_through_a_pipe(app: App) -> None:
    question = f"Line one\n{script(tokens=3)}"
    run = piped(app, stdin=f"{question}\n")
    assert (run.returncode, run.stdout, run.stderr) == (0, numbered(3) + "\n", "")
    assert stored(app, chats(app)[0])[0]["content"] == question


def test_a_chat_goes_on_in_the_terminal(app: App) -> None:
    piped(app, script(tokens=1))
    chat_id = chats(app)[0]
    assert piped(app, "--chat", chat_id, script(tokens=2)).stdout == numbered(2) + "\n"
    assert len(stored(app, chat_id)) == 4


@pytest.mark.parametrize(
    ("arguments", "stdout", "sentence"),
    [
        ([script(status=401)], "", "OPENAI_API_KEY"),
        ([script(tokens=8, drop_after=3)], numbered(3) + "\n", "."),
        (["--chat", NOBODY, "Hello"], "", "chat"),
        (["--url", "http://127.0.0.1:1", "Hello"], "", "There is no server at http://127.0.0.1:1"),
        (["--url", "localhost:3000", "Hello"], "", "is no address"),
        ([], "", "There is no question."),
        (["\udcff"], "", "."),
    ],
    ids=["401", "broken off", "unknown chat", "no server", "no address", "no question", "no text"],
)
def test_a_failure_is_a_sentence_and_exit_code_1(app: App, arguments: list[str], stdout: str, sentence: str) -> None:
    run = piped(app, *arguments)
    assert (run.returncode, run.stdout) == (1, stdout)
    assert sentence in run.stderr
    assert run.stderr.count("\n") == 1 and "Traceback" not in run.stderr


def test_a_note_says_that_the_model_was_cut_off(app: App) -> None:
    run = piped(app, script(tokens=2, finish_reason="length"))
    assert (run.returncode, run.stdout) == (0, numbered(2) + "\n")
    assert "limit" in run.stderr


HALF = {"text": "Half an answer.", "finish_reason": "max_tokens"}
REST = "This is a short answer to: Go on exactly where your answer"


@pytest.mark.anyio
async def test_an_answer_that_was_cut_off_goes_on(client: ChatClient, app: App) -> None:
    half = await client.send(script(**HALF))
    assert half.finish_reason == "length"
    assert [message.id for message in await client.history(half.chat_id)][-1] == half.id
    started, *text, finished = [event async for event in client.continue_(half.id)]
    assert isinstance(started, Started) and isinstance(finished, Finished)
    assert (text_of(text), finished.finish_reason) == ("Half an answer." + REST, "stop")
    assert stored(app, half.chat_id)[1]["id"] == started.turn_id
    rest = [event async for event in client.continue_(half.id, after=len(half.content))]
    assert text_of(rest) == REST
    assert rest[0] == Started(rest[0].turn_id, half.chat_id, rest[0].turn_id, None)  # type: ignore[union-attr]
    with pytest.raises(ClientError, match="no such answer"):
        [event async for event in client.continue_(NOBODY)]


@pytest.mark.anyio
async def test_a_whole_answer_goes_on_too(unstreamed: Api) -> None:
    async with ChatClient(unstreamed.url) as client:
        half = await client.send(script(**HALF))
        events = [event async for event in client.continue_(half.id, after=len(half.content))]
        assert text_of(events) == REST


def test_the_terminal_goes_on_with_an_answer_that_was_cut_off(app: App) -> None:
    half = piped(app, script(**HALF))
    chat_id = chats(app)[0]
    assert f"--chat {chat_id} --continue" in half.stderr
    rest = piped(app, "--chat", chat_id, "--continue")
    assert (rest.returncode, rest.stdout, rest.stderr) == (0, REST + "\n", "")
    assert stored(app, chat_id)[1]["content"] == "Half an answer." + REST
    for arguments in (["--continue"], ["--chat", NOBODY, "--continue"]):
        run = piped(app, *arguments)
        assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)


def test_a_reader_who_has_enough_ends_it_quietly(app: App) -> None:
    command = [*PROGRAM, "--url", app.url, script(tokens=-1)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert os.read(process.stdout.fileno(), 4)
        process.stdout.close()
        assert process.wait(WAIT_S) == 1
        assert process.stderr.read() == b""
    app.http.post(f"/stream/{stored(app, chats(app)[0])[1]['id']}/stop").raise_for_status()


def test_a_restart_in_mid_answer_is_told_in_a_pipe(mortal: App) -> None:
    command = [*PROGRAM, "--url", mortal.url, script(**ENDLESS)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        seen = b""
        while b"tok3 " not in seen:
            seen += os.read(process.stdout.fileno(), 1 << 16)
        mortal.kill()
        notes = b""
        while b"The connection was lost" not in notes:
            notes += os.read(process.stderr.fileno(), 1 << 16)
        mortal.start()
        rest, more_notes = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1
    text = (seen + rest).decode()
    assert text.endswith("\n")
    assert is_numbered(text[:-1])
    told = (notes + more_notes).decode().splitlines()
    assert told[-1].startswith("The server ended while this answer was being written.")


def test_ctrl_c_stops_the_turn_in_a_pipe_too(app: App) -> None:
    command = [*PROGRAM, "--url", app.url, script(**STALLED)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        seen = b""
        while b"tok3 " not in seen:
            seen += os.read(process.stdout.fileno(), 1 << 16)
        process.send_signal(signal.SIGINT)
        rest, notes = process.communicate(timeout=WAIT_S)
        assert process.returncode == 130
    assert b"Stopped" in notes
    answer = stored(app, chats(app)[0])[1]
    assert answer["status"] == "stopped"
    assert (seen + rest).decode() == answer["content"] + "\n"


class Terminal:
    """The program in a pseudo-terminal of its own, on which Ctrl+C is a key."""

    def __init__(self, *arguments: str, term: str = "dumb") -> None:
        self.screen = ""
        self._fd, inner = os.openpty()
        # A session's first terminal that is opened becomes the one whose Ctrl+C it gets.
        shell = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(inner), *PROGRAM, *arguments]
        self.process = subprocess.Popen(shell, cwd=ROOT, env=ENVIRONMENT | {"TERM": term}, start_new_session=True)
        self._inner = inner

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)
        os.close(self._inner)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def until(self, pattern: str) -> str:
        """What is shown up to the end of the pattern, taken off the screen."""
        deadline = time.monotonic() + WAIT_S
        while not (found := re.search(pattern, self.screen)):
            assert time.monotonic() < deadline, f"{pattern!r} was never shown: {self.screen[-2000:]!r}"
            self._read()
        shown, self.screen = self.screen[: found.end()], self.screen[found.end() :]
        return shown

    def until_it_waits(self) -> None:
        """For a key: Python misses a Ctrl+C that comes after it has drawn the prompt, or a key, and before that."""
        ps = ["ps", "-o", "state=", "-p", str(self.process.pid)]
        deadline = time.monotonic() + WAIT_S
        while not subprocess.run(ps, capture_output=True, text=True, check=True).stdout.startswith("S"):
            assert time.monotonic() < deadline, "it is always busy"

    def rest(self) -> str:
        """What is still shown after its end."""
        self._read()
        return self.screen

    def end(self) -> int:
        return self.process.wait(WAIT_S)

    def _read(self) -> None:
        os.set_blocking(self._fd, False)
        with suppress(BlockingIOError):
            self.screen += os.read(self._fd, 1 << 16).decode()
            return
        time.sleep(0.005)


def test_an_answer_grows_in_the_terminal_and_ctrl_c_stops_it(app: App) -> None:
    with Terminal("--url", app.url, script(**STALLED)) as terminal:
        shown = terminal.until("tok9 ")
        # It is shown while it still grows.
        chat_id = chats(app)[0]
        assert stored(app, chat_id)[1]["status"] == "streaming"
        terminal.type("\x03")
        shown += terminal.until("Stopped; the text so far is kept.")
        assert terminal.end() == 130
    answer = stored(app, chat_id)[1]
    assert answer["status"] == "stopped"
    assert shown.replace("^C", "").startswith(answer["content"])


def test_ctrl_c_stops_a_whole_answer_too(unstreamed: Api, provider: Provider) -> None:
    """Of which the terminal knows nothing yet: neither the turn nor the chat."""
    provider.clear()
    with Terminal("--url", unstreamed.url, script(**ENDLESS)) as terminal:
        asyncio.run(provider.until(lambda seen: len(seen) == 1))
        terminal.type("\x03")
        shown = terminal.until("Stopped; the text so far is kept.")
        assert terminal.end() == 130
    answer = stored(unstreamed, chats(unstreamed)[0])[1]
    assert answer["status"] == "stopped"
    assert answer["content"] in shown


@pytest.mark.everyday
def test_a_conversation_in_the_terminal(app: App) -> None:
    with Terminal("--url", app.url) as terminal:
        terminal.until("> ")
        terminal.type(f"{script(tokens=3)}\n")
        assert numbered(3) in terminal.until("tok2 \r\n> ")
        terminal.type(f"{script(**ENDLESS)}\n")
        terminal.until("tok9 ")
        terminal.type("\x03")
        terminal.until("Stopped.*\r\n> ")
        terminal.type("/continue\n")
        terminal.until("This is a short answer to: Go on exactly where your answer\r\n> ")
        # On the prompt it only begins the line anew.
        terminal.type("never mind")
        terminal.until("never mind")
        terminal.until_it_waits()
        terminal.type("\x03")
        terminal.until("> ")
        terminal.type(f"{script(text='Two [31mred', tokens=None)}\n")
        terminal.until("Two .*\r\n> ")
        terminal.type("\x04")
        shown = terminal.until(r"--chat \S+\r\n")
        assert terminal.end() == 0
    chat_id = shown.split()[-1]
    # The stopped one went on.
    assert [one["status"] for one in stored(app, chat_id)[1::2]] == ["complete", "complete", "complete"]


def test_a_conversation_begins_with_the_brand(tmp_path: Path) -> None:
    brand = ROOT / "tests" / "examples" / "acme" / "brand.toml"
    with Api(tmp_path, brand=str(brand), replies="tests.examples.echo:reply") as api, Terminal("--url", api.url) as one:
        shown = one.until("> ").replace("\r\n", "\n")
        one.type("\x04")
        assert one.end() == 0
    named = tomllib.loads(brand.read_text())
    lines = [f"{named['name']}: {named['welcome']}", *(f"  {text}" for text in named["suggestions"]), named["footer"]]
    assert shown.startswith("\n".join([*lines, ""]))


def test_ctrl_c_gives_up_on_a_server_that_does_not_answer() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server, Terminal("--url", f"http://127.0.0.1:{server.getsockname()[1]}", "Hello") as terminal:
        connection, _ = server.accept()
        assert connection.recv(1)
        terminal.type("\x03")
        terminal.until("Ctrl\\+C again")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.rest()
        connection.close()


def test_an_empty_line_ends_a_conversation(app: App) -> None:
    with Terminal("--url", app.url) as terminal:
        terminal.until("> ")
        terminal.type("\n")
        assert terminal.end() == 0


def test_a_conversation_survives_a_failure_and_a_restart(mortal: App) -> None:
    with Terminal("--url", mortal.url) as terminal:
        terminal.until("> ")
        terminal.type(f"{script(**ENDLESS)}\n")
        terminal.until("tok3 ")
        mortal.kill()
        mortal.start()
        terminal.until("The server ended while this answer was being written.*\r\n> ")
        terminal.type(f"{script(tokens=3)}\n")
        terminal.until("tok0 tok1 tok2 \r\n> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert [one["status"] for one in stored(mortal, chats(mortal)[0])[1::2]] == ["interrupted", "complete"]


def test_an_answer_cannot_steer_the_terminal(app: App) -> None:
    text = "a\x1b]0;title\x07b\rc\td"
    with Terminal("--url", app.url, script(pieces=[json.dumps(text), text])) as terminal:
        shown = terminal.until("--chat")
    assert "a\ufffd]0;title\ufffdb\ufffdc" in shown
    assert "\x1b]" not in shown


@pytest.mark.everyday
def test_the_client_needs_nothing_of_the_server() -> None:
    modules = [f"chat_app.client.{path.stem}" for path in Path(ROOT, "chat_app", "client").glob("*.py")]
    code = f"import sys, {', '.join(modules)}; print(*(n for n in sys.modules if n.startswith('chat_app.')))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert set(modules) <= set(loaded)
    assert all(name.startswith("chat_app.client") for name in loaded)


# Pasted blocks

BLOCKS = ["one\n\ntwo\n", "\n\n one\n\n\n/continue\nthree", "\r\none\r\n\r\ntwo\r\n", "x = 1\n\n\nrm -rf it\n" * 300]


def one_question(app: App, block: str) -> None:
    """The newest chat has the block as its only question."""
    [question, answer] = until_ended(app)
    assert question["content"] == block.replace("\r\n", "\n").strip()
    assert answer["status"] == "complete"


def until_ended(app: App) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_S
    while (messages := stored(app, chats(app)[0]))[-1]["status"] == "streaming":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return messages


@pytest.mark.parametrize("block", BLOCKS)
def test_a_pasted_block_is_one_question(app: App, block: str) -> None:
    """In a terminal that does not say what is pasted, all comes at once."""
    with Terminal("--url", app.url) as terminal:
        terminal.until("> ")
        terminal.until_it_waits()
        terminal.type(block)
        terminal.until("This is a short answer.*\r\n> ")
        one_question(app, block)
        terminal.type("\x04")
        assert terminal.end() == 0


def test_a_block_that_the_terminal_marks_waits_for_enter(app: App) -> None:
    with Terminal("--url", app.url, term="xterm") as terminal:
        terminal.until(r"\x1b\[\?2004h> ")
        terminal.type("\x1b[200~one\n\ntwo\n\x1b[201~")
        terminal.until("two")
        terminal.type("three\n")
        terminal.until("This is a short answer.*\r\n.*> ")
        one_question(app, "one\n\ntwo\nthree")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_a_block_pasted_into_a_growing_answer_is_the_next_question(app: App) -> None:
    with Terminal("--url", app.url) as terminal:
        terminal.until("> ")
        terminal.type(f"{script(tokens=20, interval_ms=20)}\n")
        terminal.until("tok1 ")
        terminal.type("\none\n\ntwo\n")
        terminal.until("tok19 ")
        terminal.until("This is a short answer.*\r\n> ")
        assert [one["content"] for one in until_ended(app)][2] == "one\n\ntwo"
        terminal.type("\x04")
        assert terminal.end() == 0


def test_what_waits_at_the_end_never_reaches_the_shell(app: App) -> None:
    with Terminal("--url", app.url) as terminal:
        terminal.until("> ")
        terminal.until_it_waits()
        terminal.type("\x04echo from the shell\n")
        assert terminal.end() == 0
        os.set_blocking(terminal._inner, False)
        with pytest.raises(BlockingIOError):
            os.read(terminal._inner, 100)


ON_WINDOWS = """
import sys, types
import chat_app.client
keys = list("two\\r\\rthree")
fake = types.ModuleType("msvcrt")
fake.kbhit, fake.getwch = lambda: bool(keys), lambda: keys.pop(0)
sys.modules["msvcrt"], sys.platform = fake, "win32"
from chat_app.client import prompt
prompt.input = lambda *_: "one"
print(repr(prompt.Questions().next()))
"""


def test_on_windows_what_waits_is_read_from_its_console() -> None:
    run = subprocess.run([sys.executable, "-c", ON_WINDOWS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == repr("one\ntwo\n\nthree") + "\n"


def test_pipes_are_utf_8_whatever_the_system_thinks(app: App) -> None:
    """As on Windows, where a shell adds a byte order mark too."""
    question = script(text="Käse 🧀\n")
    run = subprocess.run(
        [*PROGRAM, "--url", app.url],
        cwd=ROOT,
        env=ENVIRONMENT | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        input=f"\ufeffÜber\n{question}".encode(),
        capture_output=True,
        timeout=WAIT_S,
    )
    assert run.stdout.decode() == "Käse 🧀\n\n"
    assert stored(app, chats(app)[0])[0]["content"] == f"Über\n{question}"


@pytest.mark.parametrize(("term", "dim"), [("xterm", "\x1b[2m{}\x1b[22m"), ("dumb", "{}")])
def test_thoughts_are_dim_in_a_terminal_and_apart_from_the_answer(app: App, term: str, dim: str) -> None:
    deltas = [{"reasoning_content": "hm \x1b[31m"}, {"content": "Hello "}, {"reasoning_content": "so"}]
    with Terminal("--url", app.url, script(deltas=deltas, pieces=["world"]), term=term) as terminal:
        shown = terminal.until("world\r\n").replace("\r\n", "\n")
        assert terminal.end() == 0
    assert shown == "\n\n".join([dim.format("hm \ufffd[31m"), "Hello ", dim.format("so"), "world\n"])


def test_a_pipe_gets_no_thoughts(app: App) -> None:
    run = subprocess.run(
        [*PROGRAM, "--url", app.url, script(reasoning=["hm, so"], pieces=["Hello"])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT | {"TERM": "xterm"},
        timeout=WAIT_S,
    )
    assert (run.returncode, run.stdout) == (0, "Hello\n")
