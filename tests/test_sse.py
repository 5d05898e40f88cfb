"""The encoder writes the bytes of the wire contract, and the parsers that clients use read them back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import httpx_sse
import pytest
from openai._streaming import SSEDecoder

from chat_app.api import sse, stream
from chat_app.metrics import Metrics
from chat_app.models import Message, Role, Status
from chat_app.turns.log import Delta, Ended, Event, MemoryLog, Whole
from chat_app.turns.turn import Turn

pytestmark = pytest.mark.anyio

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
ERROR = {"code": "provider_error", "message": "It broke.", "retryable": True}
GOOD: list[Event] = [Delta(3, "Hel"), Delta(5, "lo"), Ended(6, Status.complete, "stop", USAGE)]
THOUGHTFUL: list[Event] = [Delta(2, "hm", "reasoning"), Delta(7, "Hello"), Ended(8, Status.complete, "stop", USAGE)]
FAILED: list[Event] = [Delta(3, "Hel"), Ended(4, Status.failed, "failed", None, ERROR)]


def test_the_default_stream_is_data_only() -> None:
    assert sse.user_block("Hi") + sse.blocks(GOOD) == (
        b'data:{"role":"user","delta":"Hi"}\n\n'
        b'data:{"role":"assistant","delta":"Hel"}\n\n'
        b'data:{"role":"assistant","delta":"lo"}\n\n'
        b'data:{"role":"assistant","delta":"","finish_reason":"stop",'
        b'"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
        b"data:[DONE]\n\n"
    )


def test_every_block_has_its_id() -> None:
    assert sse.user_block("Hi", "t1") + sse.blocks(GOOD[1:], turn_id="t1") == (
        b'id:t1:0\ndata:{"role":"user","delta":"Hi"}\n\n'
        b'id:t1:5\ndata:{"role":"assistant","delta":"lo"}\n\n'
        b'id:t1:6\ndata:{"role":"assistant","delta":"","finish_reason":"stop",'
        b'"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
        b"id:t1:6\ndata:[DONE]\n\n"
    )


def test_a_failure_is_an_error_block_and_then_done() -> None:
    assert sse.blocks(FAILED) == (
        b'data:{"role":"assistant","delta":"Hel"}\n\n'
        b'event: error\ndata:{"role":"assistant","delta":"",'
        b'"error":{"code":"provider_error","message":"It broke.","retryable":true}}\n\n'
        b"data:[DONE]\n\n"
    )


def test_an_answer_that_the_server_left_is_an_error_that_says_so() -> None:
    data = sse.blocks([Ended(1, Status.interrupted, "interrupted")])
    assert data.startswith(b'event: error\ndata:{"role":"assistant","delta":"","error":{"code":"interrupted",')
    assert data.endswith(b"data:[DONE]\n\n")


def test_a_stopped_answer_ends_well() -> None:
    assert sse.blocks([Ended(4, Status.stopped, "stopped", None)]) == (
        b'data:{"role":"assistant","delta":"","finish_reason":"stopped","usage":null}\n\ndata:[DONE]\n\n'
    )


def test_reasoning_comes_only_where_it_is_asked_for() -> None:
    thought = b'event: reasoning\ndata:{"role":"assistant","delta":"hm"}\n\n'
    without, with_it = sse.blocks(THOUGHTFUL), sse.blocks(THOUGHTFUL, kinds=sse.included("reasoning"))
    assert with_it == thought + without
    assert b"hm" not in without
    assert sse.blocks(THOUGHTFUL[:1]) == b""


def test_that_text_was_reasoning_is_told_where_it_is_asked_for() -> None:
    events = [Delta(2, "hm"), Delta(4, "\n\n", recast=0), Delta(6, "Hi")]
    told = b'id:t:4\nevent: recast\ndata:{"role":"assistant","delta":"","recast":{"kind":"reasoning","after":0}}\n\n'
    assert told in sse.blocks(events, turn_id="t", kinds=sse.included("recast"))
    assert sse.blocks(events) == sse.blocks([Delta(2, "hm"), Delta(4, "\n\n"), Delta(6, "Hi")])


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\u2028b\u2029c\u0085d", rb"a\u2028b\u2029c\u0085d"),
        ("👋", rb"\ud83d\udc4b"),
        ("é", rb"\u00e9"),
        ("one\ntwo\r\nthree\0", rb"one\ntwo\r\nthree\u0000"),
        ('"\\', rb"\"\\"),
    ],
)
def test_all_but_ascii_is_escaped(text: str, escaped: bytes) -> None:
    for data in (sse.user_block(text), sse.blocks([Delta(len(text), text)])):
        assert b'"delta":"' + escaped + b'"}\n\n' in data
        assert data.isascii()
        assert data.count(b"\n") == 2 and b"\r" not in data


def test_a_ping_is_one_comment_line_and_no_block() -> None:
    assert sse.PING == b": ping\n"


# Read back

Block = tuple[str, str, str]
"""Its id, its event and its data; empty where there is none."""


def by_httpx_sse(data: bytes, size: int) -> list[Block]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    response = httpx.Response(200, headers={"Content-Type": sse.MEDIA_TYPE}, content=iter(pieces))
    source = httpx_sse.EventSource(response)
    return [(one.id, one.event, one.data) for one in source.iter_sse()]


def by_openai(data: bytes, size: int) -> list[Block]:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [(one.id or "", one.event or "message", one.data) for one in SSEDecoder().iter_bytes(pieces)]


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("read", [by_httpx_sse, by_openai])
@pytest.mark.parametrize("turn_id", [None, "t1"])
def test_parsers_of_clients_read_the_stream_with_its_pings(
    read: Callable[[bytes, int], list[Block]], size: int, turn_id: str | None
) -> None:
    text = "two\u2028lines\n\n👋"
    ended = Ended(21, Status.failed, "failed", None, ERROR)
    events: list[Event] = [Delta(2, "hm", "reasoning"), Delta(20, text), ended]
    # A ping before the first block, between all, several in a row, and before the end.
    parts = [
        sse.user_block("Hi", turn_id),
        *(sse.blocks([one], turn_id=turn_id, kinds=sse.included("reasoning")) for one in events),
    ]
    data = sse.PING + (sse.PING * 3).join(parts)
    user, thought, answer, error, done = read(data, size)
    ids = [one[0] for one in (user, thought, answer, error, done)]
    assert ids == (["t1:0", "t1:2", "t1:20", "t1:21", "t1:21"] if turn_id else [""] * 5)
    assert [one[1] or "message" for one in (user, thought, answer, error, done)] == [
        "message",
        "reasoning",
        "message",
        "error",
        "message",
    ]
    assert json.loads(user[2]) == {"role": "user", "delta": "Hi"}
    assert json.loads(answer[2])["delta"] == text
    assert json.loads(error[2])["error"] == ERROR
    assert done[2] == "[DONE]"


# The heartbeat


def running_turn(log: MemoryLog) -> Turn:
    user = Message(id="u1", chat_id="c1", role=Role.user, content="Hi")
    reply = Message(id="t1", chat_id="c1", role=Role.assistant, status=Status.streaming)
    return Turn(user, reply, None, lambda after, idle, rest: log.follow("t1", after, idle, rest))


async def body(turn: Turn, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """What `POST /stream/` sends, with a heartbeat that a test can wait for."""
    monkeypatch.setattr(stream, "PING_S", 0.01)
    monkeypatch.setattr(stream, "get_service", lambda: SimpleNamespace(metrics=Metrics()))
    return aiter(stream._event_stream(turn, after=-1, ids=False, include="").body_iterator)


async def test_silence_is_filled_with_pings_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    await log.create("t1")
    sent = await body(running_turn(log), monkeypatch)
    assert await anext(sent) == sse.user_block("Hi")
    assert [await anext(sent), await anext(sent)] == [sse.PING, sse.PING]
    await log.append("t1", GOOD[0])
    while (data := await anext(sent)) == sse.PING:
        pass
    assert data == sse.blocks(GOOD[:1])
    assert await anext(sent) == sse.PING
    await log.append("t1", GOOD[-1])
    rest = b"".join([data async for data in sent])
    assert rest.replace(sse.PING, b"") == sse.blocks(GOOD[-1:])


async def test_thoughts_that_nobody_asked_for_do_not_silence_the_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    await log.create("t1")
    sent = await body(running_turn(log), monkeypatch)
    await anext(sent)

    async def think() -> None:
        for seq in range(1, 1_000_000):
            await log.append("t1", Delta(seq, "x", "reasoning"))
            await asyncio.sleep(0.001)

    thinking = asyncio.create_task(think())
    try:
        assert await asyncio.wait_for(anext(sent), 60) == sse.PING
    finally:
        thinking.cancel()


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ("", []),
        ("nonsense", []),
        ("tools", ["tool"]),
        ("tool", ["tool"]),
        ("reasoning, files", ["reasoning", "file"]),
        ("reasoning,steps,sources,tools,files", ["reasoning", "tool", "file"]),
    ],
)
def test_other_parts_come_only_where_they_are_asked_for(asked: str, kinds: list[str]) -> None:
    events: list[Event] = [
        Delta(2, "hm", "reasoning"),
        Whole(3, "tool", {"id": "1", "state": "\u2028"}),
        Delta(5, "Hi"),
        Whole(6, "file", {"url": "/f"}),
        Ended(7, Status.complete, "stop", USAGE),
    ]
    blocks = {
        "reasoning": b'id:t:2\nevent: reasoning\ndata:{"role":"assistant","delta":"hm"}\n\n',
        "tool": b'id:t:3\nevent: tool\ndata:{"role":"assistant","delta":"","tool":{"id":"1","state":"\\u2028"}}\n\n',
        "text": b'id:t:5\ndata:{"role":"assistant","delta":"Hi"}\n\n',
        "file": b'id:t:6\nevent: file\ndata:{"role":"assistant","delta":"","file":{"url":"/f"}}\n\n',
    }
    got = sse.blocks(events[:-1], turn_id="t", kinds=sse.included(asked))
    assert got == b"".join(block for kind, block in blocks.items() if kind == "text" or kind in kinds)


def test_the_quick_way_to_encode_a_delta_is_the_same_as_the_other() -> None:
    for text in ("", 'a"\\/\n\t\b', "\u2028\u2029\u0085", "\U0001f44b é", "\x00\x1f\x7f"):
        assert sse.blocks([Delta(1, text)]) == sse.block(sse.dumps({"role": "assistant", "delta": text}))
