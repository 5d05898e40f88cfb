"""Whatever the provider does, every door tells the same: the same text, the same end, the same stored message."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from tests.app import App
from tests.forked import Api
from tests.provider import EMOJI, SEPARATORS
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of, value
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio


def numbered(count: int) -> str:
    return "".join(f"tok{n} " for n in range(count))


@dataclass(frozen=True)
class Case:
    """What the provider is told to do, and what a reader must then get."""

    name: str
    script: dict[str, Any]
    text: str
    end: str = "stop"
    """The finish reason, or the code of the error."""
    status: int = 200
    """Of `POST /messages/`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of `POST /messages/`."""
    cut: bool = False
    """The end of the text may be lost: a reset throws away what the reader's kernel still holds."""


REFUSED, BROKEN, BUSY, SILENT = "provider_refused", "provider_error", "provider_busy", "provider_silent"
NONE, FILTERED, TOOL = "no_answer", "content_filtered", "tool_called"
CALL = {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "get_weather", "arguments": "{}"}}]}

CASES = [
    Case("normal", {"tokens": 8}, numbered(8)),
    Case("cut by the model's limit", {"tokens": 8, "finish_reason": "length"}, numbered(8), "length"),
    Case("slow first token", {"tokens": 3, "first_ms": 300}, numbered(3)),
    Case("slow headers", {"tokens": 3, "headers_ms": 300}, numbered(3)),
    Case("401", {"status": 401}, "", REFUSED, 502),
    Case("404", {"status": 404}, "", REFUSED, 502),
    Case("429", {"status": 429, "retry_after": 7}, "", BUSY, 503, {"Retry-After": "7"}),
    Case("500", {"status": 500}, "", BROKEN, 502),
    Case("too long for the model", {"context_limit": 10}, "", "context_too_long", 502),
    Case("reset in mid-chunk", {"tokens": 8, "reset_after": 4, "interval_ms": 20}, numbered(4), BROKEN, 502, cut=True),
    Case("drop", {"tokens": 8, "drop_after": 4}, numbered(4), BROKEN, 502),
    Case("drop before the first token", {"drop_after": 0}, "", BROKEN, 502),
    Case("malformed JSON", {"tokens": 8, "malformed_after": 4}, numbered(4), BROKEN, 502),
    Case("error in mid-stream", {"tokens": 8, "error_after": 4}, numbered(4), BROKEN, 502),
    Case("no [DONE]", {"tokens": 8, "no_done": True}, numbered(8)),
    Case("empty choices", {"tokens": 8, "empty_choices": True}, numbered(8)),
    Case("null content", {"tokens": 8, "null_content": True}, numbered(8)),
    Case("reasoning", {"tokens": 8, "reasoning": ["hm, ", "so"]}, numbered(8)),
    Case("no token at all", {"tokens": 0}, "", NONE, 502),
    Case("white space alone", {"text": " \n\n "}, " \n\n ", NONE, 502),
    Case("thoughts in the text", {"pieces": ["<thi", "nk>\nhm", "</", "think>\n\n", "Hello"]}, "Hello"),
    Case("thoughts and no answer", {"reasoning": ["hm"], "tokens": 0}, "", NONE, 502),
    Case("thoughts in the text and no answer", {"text": "<think>hm, so</think>\n"}, "", NONE, 502),
    Case("thoughts up to the limit", {"text": "<think>hm, so", "finish_reason": "length"}, "", NONE, 502),
    Case("thoughts broken off", {"pieces": ["<think>hm", "."], "drop_after": 1}, "", BROKEN, 502),
    Case("half a tag at the end", {"pieces": ["a <thi"]}, "a <thi"),
    Case("half a tag broken off", {"pieces": ["<thi", "nk>"], "drop_after": 1}, "<thi", BROKEN, 502),
    Case("cut by the limit in Gemini's words", {"tokens": 8, "finish_reason": "MAX_TOKENS"}, numbered(8), "length"),
    Case("cut by the limit in Anthropic's words", {"tokens": 8, "finish_reason": "max_tokens"}, numbered(8), "length"),
    Case("the limit before any text", {"tokens": 0, "finish_reason": "length"}, "", NONE, 502),
    Case("a refusal", {"deltas": [{"refusal": "I'm sorry."}]}, "I'm sorry."),
    Case(
        "a filtered refusal",
        {"deltas": [{"refusal": "No."}], "finish_reason": "content_filter"},
        "No.",
        "content_filter",
    ),
    Case("a filter", {"tokens": 0, "finish_reason": "content_filter"}, "", FILTERED, 502),
    Case("a filter after text", {"tokens": 2, "finish_reason": "SAFETY"}, numbered(2), FILTERED, 502),
    Case("a tool", {"deltas": [CALL], "finish_reason": "tool_calls"}, "", TOOL, 502),
    Case("a tool after text", {"deltas": [{"content": "Let me look."}, CALL]}, "Let me look.", TOOL, 502),
    Case("a function", {"deltas": [{"function_call": {"name": "f"}}], "finish_reason": "function_call"}, "", TOOL, 502),
    Case("a tool in name only", {"tokens": 2, "finish_reason": "tool_calls"}, numbered(2), "tool_calls"),
    Case(
        "broken off in other words",
        {"tokens": 2, "finish_reason": "insufficient_system_resource"},
        numbered(2),
        BROKEN,
        502,
    ),
    Case("separators", {"separators": True}, SEPARATORS),
    Case("split emoji", {"split_emoji": True}, EMOJI),
    Case("one chunk of 1 MB", {"big": 1_000_000}, "x" * 1_000_000),
    Case("10,000 tokens flat out", {"tokens": 10_000, "interval_ms": 0}, numbered(10_000)),
]
SILENCES = [
    Case("silent from the start", {"headers_ms": 60_000}, "", SILENT, 504),
    Case("silent before the first token", {"first_ms": 60_000}, "", SILENT, 504),
]
# In one write: between two of them a busy machine is silent too.
MID_ANSWER = {"pieces": [numbered(4), "more"], "stall_after": 1}
SILENCE_IN_MID_ANSWER = Case("silent in mid-answer", MID_ANSWER, numbered(4), SILENT, 504)


@dataclass(frozen=True)
class Seen:
    """What a reader got."""

    text: str
    end: str
    turn_id: str
    chat_id: str


# The doors

Door = Callable[[httpx.AsyncClient, Case], Awaitable[Seen]]


def seen(frames: list[ServerSentEvent], turn_id: str, chat_id: str) -> Seen:
    """The outcome in a stream's frames, of which the last two are the end and `[DONE]`; only a failure has a name."""
    *before, end, done = frames
    assert done.data == "[DONE]"
    assert all(one.event == "message" and value(one).keys() == {"role", "delta"} for one in before)
    last = value(end)
    assert (last["role"], last["delta"]) == ("assistant", "")
    if end.event == "error":
        return Seen(text_of(before), last["error"]["code"], turn_id, chat_id)
    assert end.event == "message"
    return Seen(text_of(before), last["finish_reason"], turn_id, chat_id)


async def post_stream(client: httpx.AsyncClient, case: Case) -> Seen:
    async with streaming(client, "POST", "/stream/", json={"content": script(**case.script)}) as stream:
        frames = await stream.rest()
        assert value(frames[0]) == {"role": "user", "delta": script(**case.script)}
        assert not any(one.id for one in frames)
        return seen(frames, stream.turn_id, stream.chat_id)


async def post_stream_with_ids(client: httpx.AsyncClient, case: Case) -> Seen:
    async with streaming(client, "POST", "/stream/?ids=1", json={"content": script(**case.script)}) as stream:
        frames = await stream.rest()
        assert value(frames[0]) == {"role": "user", "delta": script(**case.script)}
        assert {one.id.rpartition(":")[0] for one in frames} == {stream.turn_id}
        numbers = [int(one.id.rpartition(":")[2]) for one in frames]
        assert numbers[0] == 0
        assert all(one < other for one, other in pairwise(numbers[:-1]))
        return seen(frames, stream.turn_id, stream.chat_id)


async def resumed(client: httpx.AsyncClient, case: Case) -> Seen:
    """A reader that is cut off after its second delta (or the end, if that is sooner), and comes back."""
    async with streaming(client, "POST", "/stream/?ids=1", json={"content": script(**case.script)}) as stream:
        first = [await stream.next(), await stream.next()]
        if not is_end(first[-1]):
            first.append(await stream.next())
        turn_id, chat_id = stream.turn_id, stream.chat_id
    if is_end(first[-1]):
        first.pop()
    headers = {"Last-Event-ID": first[-1].id}
    async with streaming(client, "GET", f"/stream/{turn_id}", headers=headers) as stream:
        return seen(first + await stream.rest(), turn_id, chat_id)


def is_end(frame: ServerSentEvent) -> bool:
    return not value(frame).keys().isdisjoint({"finish_reason", "error"})


async def post_messages(client: httpx.AsyncClient, case: Case) -> Seen:
    response = await client.post("/messages/", json={"content": script(**case.script)})
    assert response.status_code == case.status
    assert case.headers.items() <= {name.title(): text for name, text in response.headers.items()}.items()
    body = response.json()
    message = body if response.is_success else body["message"]
    assert message.keys() >= {"id", "chat_id", "role", "content", "created_at", "status"}
    assert message["role"] == "assistant"
    if response.is_success:
        return Seen(message["content"], message["finish_reason"], message["id"], message["chat_id"])
    assert body["error"].keys() >= {"code", "message", "retryable"}
    return Seen(message["content"], body["error"]["code"], message["id"], message["chat_id"])


async def websocket(client: httpx.AsyncClient, case: Case) -> Seen:
    async with Socket(f"{client.base_url}/stream/ws".replace("http", "ws", 1)) as socket:
        await socket.send({"content": script(**case.script)})
        objects = [await socket.receive()]
        while not objects[-1].keys() & {"finish_reason", "error"}:
            objects.append(await socket.receive())
    user, *deltas, end = objects
    assert (user["role"], user["delta"], user["seq"]) == ("user", script(**case.script), 0)
    assert all(one["seq"] < other["seq"] for one, other in pairwise(objects))
    assert {one["turn_id"] for one in objects} == {end["turn_id"]}
    code = end["error"]["code"] if "error" in end else end["finish_reason"]
    return Seen("".join(one["delta"] for one in deltas), code, end["turn_id"], end["chat_id"])


DOORS = [post_stream, post_stream_with_ids, resumed, post_messages, websocket]


# The one test


@pytest.fixture(scope="module")
def impatient(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An API that gives the provider little time for the first token."""
    with Api(tmp_path_factory.mktemp("impatient"), openai_base_url=provider.base_url, first_token_timeout="0.5") as app:
        yield app


@pytest.fixture(scope="module")
def impatient_later(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An API that gives it little time for every other token."""
    with Api(tmp_path_factory.mktemp("later"), openai_base_url=provider.base_url, next_token_timeout="0.3") as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with app.client() as client:
        yield client


async def same_through(door: Door, client: httpx.AsyncClient, case: Case) -> Seen:
    outcome = await door(client, case)
    assert outcome.end == case.end
    if case.cut:
        assert outcome.text and case.text.startswith(outcome.text)
    else:
        # Not `==`, whose report on a difference in a megabyte takes minutes.
        assert len(outcome.text) == len(case.text) and hash(outcome.text) == hash(case.text)
    history = (await client.get("/messages/", params={"chat_id": outcome.chat_id})).raise_for_status().json()
    question, answer = history["messages"]
    assert (question["role"], question["content"], question["status"]) == ("user", script(**case.script), "complete")
    assert (answer["id"], answer["role"], answer["parent_id"]) == (outcome.turn_id, "assistant", question["id"])
    assert len(answer["content"]) == len(outcome.text) and hash(answer["content"]) == hash(outcome.text)
    if case.status == 200:
        assert (answer["status"], answer["finish_reason"], answer["error"]) == ("complete", case.end, None)
    else:
        assert (answer["status"], answer["error"]["code"]) == ("failed", case.end)
    return outcome


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_every_door_tells_the_same(door: Door, case: Case, client: httpx.AsyncClient) -> None:
    await same_through(door, client, case)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("case", SILENCES, ids=lambda case: case.name)
async def test_every_door_gives_up_on_a_silent_provider(door: Door, case: Case, impatient: App) -> None:
    async with impatient.client() as client:
        await same_through(door, client, case)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_every_door_gives_up_on_silence_in_mid_answer(door: Door, impatient_later: App) -> None:
    async with impatient_later.client() as client:
        await same_through(door, client, SILENCE_IN_MID_ANSWER)
