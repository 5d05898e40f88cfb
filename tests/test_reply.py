"""The reply seam: whatever a provider or a user's function yields, what gets past it can be stored, sent and shown."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_app.api.bodies import message_out
from chat_app.errors import BadReply, ChatError, ProviderError
from chat_app.models import Message, Status
from chat_app.replies.chunk import ChunkReader
from chat_app.replies.completion import completion_batches
from chat_app.replies.problem import Reported
from chat_app.reply import Piece, checked
from chat_app.store.store import Store
from chat_app.turns.log import Ended
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.usage import clean_usage


@pytest.mark.parametrize(
    ("given", "piece"),
    [
        ("a", Piece("a")),
        ("", None),
        (None, None),
        (Piece("a"), Piece("a")),
        (Piece(text=None, reasoning=None), Piece()),
        (Piece("a", usage=5), Piece("a")),
        (Piece("a", usage={"completion_tokens": "12", "x": None, 3: 4}), Piece("a", usage={"completion_tokens": 12})),
        (Piece("a", model={"id": "m"}), Piece("a")),
        (Piece("a", model="m\0\x1b[31m" + "x" * 500), Piece("a", model="m[31m" + "x" * 193)),
        (Piece("a", finish_reason=7), Piece("a")),
        (Piece("a", finish_reason=""), Piece("a")),
        (Piece("a", finish_reason="stop"), Piece("a", finish_reason="stop")),
        (Piece("a", recast=1), Piece("a")),
    ],
    ids=repr,
)
def test_what_is_odd_is_left_out(given: Any, piece: Piece | None) -> None:
    assert checked(given) == piece


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"delta": "a"}, "REPLIES yielded a dict; yield str or a part."),
        (b"a", "REPLIES yielded a bytes; yield str or a part."),
        (5, "REPLIES yielded an int; yield str or a part."),
        (["a"], "REPLIES yielded a list; yield str or a part."),
        (Piece(text=b"a"), "REPLIES yielded a Piece whose text is a bytes; give it a str."),
        (Piece(reasoning=5), "REPLIES yielded a Piece whose reasoning is an int; give it a str."),
    ],
    ids=repr,
)
def test_what_is_wrong_is_named(given: Any, words: str) -> None:
    with pytest.raises(BadReply) as caught:
        checked(given)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2}, {"prompt_tokens": 1, "completion_tokens": 2}),
        ({"completion_tokens": "12", "prompt_tokens": 3.0}, {"completion_tokens": 12, "prompt_tokens": 3}),
        ({"a": None, "b": "x", "c": True, "d": -1, "e": 1.5, "f": 2**60, "g": float("inf"), "h": [1]}, None),
        ({"a": {"b": 1, "c": None, "d": {"e": 1}}}, {"a": {"b": 1}}),
        ({"completion_tokens": 2, "estimated": True}, {"completion_tokens": 2, "estimated": True}),
        ({"x_tokens": {"a": 1}, "a\0": 1, "é": 1, "x" * 100: 1}, None),
        (None, None),
        (5, None),
        ("x", None),
        ([], None),
        ({}, None),
        (True, None),
    ],
    ids=repr,
)
def test_usage_is_whole_numbers(value: Any, usage: dict[str, Any] | None) -> None:
    assert clean_usage(value) == usage
    assert clean_usage(clean_usage(value)) == usage


# Any JSON at all

NAMES = [
    "choices",
    "delta",
    "message",
    "content",
    "text",
    "reasoning",
    "thinking",
    "reasoning_details",
    "type",
    "index",
]
NAMES += ["finish_reason", "usage", "model", "error", "code", "object", "detail", "completion_tokens", "refusal"]
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["stop", "text"])
)
JSON: Any = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
CHOICE = st.fixed_dictionaries({}, optional={"delta": JSON, "message": JSON, "index": JSON, "finish_reason": JSON})
TOKEN = [{"index": 0, "delta": {"content": "tok "}}]
CHUNKS = st.lists(
    JSON
    | st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=2)})
    | st.fixed_dictionaries({"choices": st.just(TOKEN)}, optional={"usage": JSON, "model": JSON}),
    max_size=6,
)


async def read(body: bytes, cuts: list[int]) -> tuple[list[Any], ChatError | Reported | None]:
    async def pieces_of_body() -> Any:
        at = 0
        for size in cuts:
            yield body[at : at + size]
            at += size
        yield body[at:]

    reader, pieces = ChunkReader(), []
    try:
        async for chunks in completion_batches(pieces_of_body()):
            pieces += [piece for chunk in chunks for given in reader.pieces(chunk) if (piece := checked(given))]
    except (ProviderError, Reported) as problem:
        return pieces, problem
    return pieces, None


@pytest.mark.anyio
async def test_what_comes_in_one_read_goes_on_in_one_list() -> None:
    def event(text: str) -> bytes:
        return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"".join(event(str(number)) for number in range(100))
        yield event("a") + event("b")[:9]
        yield event("b")[9:]
        yield b": nothing but a comment\n\n"
        yield event("c") + b'data: {"error": {"message": "broken"}}\n\n' + event("d")

    lists = []
    with pytest.raises(Reported):
        async for chunks in completion_batches(body()):
            lists += [[chunk["choices"][0]["delta"]["content"] for chunk in chunks]]
    assert lists == [[str(number) for number in range(100)], ["a"], ["b"], ["c"]]


@given(
    chunks=CHUNKS, done=st.booleans(), line_end=st.sampled_from(["\n", "\r\n", "\r"]), cuts=st.lists(st.integers(1, 40))
)
def test_arbitrary_chunks_end_once_and_everything_in_them_can_be_sent(
    chunks: list[Any], done: bool, line_end: str, cuts: list[int]
) -> None:
    events = [f"data: {json.dumps(chunk)}" for chunk in chunks] + ["data: [DONE]"] * done
    body = "".join(event + 2 * line_end for event in events).encode()
    pieces, problem = asyncio.run(read(body, cuts))
    # The same, however the bytes are cut.
    again, problem_again = asyncio.run(read(body, []))
    assert (pieces, str(problem)) == (again, str(problem_again))
    for piece in pieces:
        assert type(piece.text) is type(piece.reasoning) is str
        assert piece.model is None or (piece.model.isprintable() and len(piece.model) <= 200)
        assert piece.finish_reason is None or (piece.finish_reason.isprintable() and len(piece.finish_reason) <= 200)
        json.dumps(piece.usage, allow_nan=False)
    plain = [chunk for chunk in chunks if chunk and isinstance(chunk, dict)]
    if problem is None and all(chunk.get("choices") == TOKEN for chunk in plain):
        assert "".join(piece.text for piece in pieces) == "tok " * len(plain)


@given(
    body=st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | JSON.map(lambda value: json.dumps(value).encode())
)
@settings(max_examples=150)
def test_arbitrary_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    asyncio.run(read(body, [1]))


# Through a turn


async def turn_of(store: Store, *steps: Any) -> tuple[Ended, Message]:
    """What readers of a turn are told at its end, and what is stored of it, where its source yields these."""

    async def source(messages: Any, **options: Any) -> Any:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step

    turns = Turns(store, MemoryBackplane(), source)
    turn = await turns.start("Hi")
    async with asyncio.timeout(20):
        ended = await turn.end()
    message = await store.message(turn.id)
    await turns.close()
    assert message
    return ended, message


@pytest.mark.anyio
@pytest.mark.parametrize(
    "odd",
    [
        Piece(usage=5),
        Piece(usage={"completion_tokens": "x", "a": float("nan"), "b": 2**80, "\0": 1}),
        Piece(model={"id": "m"}),
        Piece(model="m\0\ud800"),
        Piece(finish_reason=7),
        Piece(finish_reason="\0"),
        Piece(text=None),
        None,
        "",
    ],
    ids=repr,
)
async def test_odd_pieces_cost_an_answer_nothing(store: Store, odd: Any) -> None:
    ended, message = await turn_of(store, "Hel", odd, "lo")
    assert (ended.status, message.status, message.content) == (Status.complete, Status.complete, "Hello")
    assert message_out(message).model_dump_json()
    json.dumps(ended.usage, allow_nan=False)


@pytest.mark.anyio
@pytest.mark.parametrize("odd", [{"delta": "a"}, 5, b"a", Piece(text=5), object()], ids=lambda odd: type(odd).__name__)
async def test_a_wrong_yield_is_named_and_the_text_so_far_is_kept(store: Store, odd: Any) -> None:
    ended, message = await turn_of(store, "Hel", odd, "lo")
    assert (ended.status, message.status, message.content) == (Status.failed, Status.failed, "Hel")
    assert message.error and message.error == ended.error
    assert message.error["code"] == "bad_reply"
    assert message.error["message"].startswith("REPLIES yielded a")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "message", ["a\0b\ud800", 5, None, {"a": 1}, "x" * 100_000], ids=lambda value: repr(value)[:20]
)
async def test_an_error_of_any_shape_is_told(store: Store, message: Any) -> None:
    ended, stored = await turn_of(store, "Hel", ChatError(message, retry_after=float("inf")))
    assert (stored.status, stored.content) == (Status.failed, "Hel")
    assert ended.error and stored.error == ended.error
    assert type(ended.error["message"]) is str
    ended.error["message"].encode()
    json.dumps(ended.error, allow_nan=False)


@pytest.mark.anyio
async def test_a_final_write_that_is_refused_is_tried_again_with_text_and_state(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tried = store.end_turn, []

    async def strict(reply_id: str, values: dict[str, Any]) -> None:
        tried.append(values)
        await write(reply_id, values | ({"model": {"id": "m"}} if "model" in values else {}))

    monkeypatch.setattr(store, "end_turn", strict)
    ended, message = await turn_of(store, "Hello", Piece(finish_reason="stop", model="m"))
    assert (ended.status, message.status, message.content) == (Status.complete, Status.complete, "Hello")
    assert ["model" in values for values in tried] == [True, False]
