"""The JSON objects in the body of an answer, whatever shape it has: an event stream, or one whole completion."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import httpx2
import jiter

from chat_app.errors import ProviderError
from chat_app.replies.chunk import finish_reason, first_choice
from chat_app.replies.event_stream import BOM, DONE, MAX_EVENT_BYTES, EventDecoder, EventTooLong, ServerEvent
from chat_app.replies.problem import (
    BASE_URL_LOOKS_WRONG,
    Reported,
    is_page,
    problem_in,
    problem_of_event,
)

WHOLE = 4
"""How many times as long as one event an answer may be that comes whole."""
# How long a response may stay open after its `[DONE]` before its connection is given up.
RESPONSE_END_S = 0.1
# How long a response may say nothing after its finish reason.
LATE_S = 5.0
HEARTBEATS = ("ping", "heartbeat", "keepalive", "keep-alive")
ANSWERS = ("", "message")
SHAPES = (b"{", b"[", b"<", b'"')
"""How JSON and web pages begin, and no event stream does."""
LONGEST_FIELD = 6
FIELDS = (b":", b"data", b"event", b"id", b"retry")

# What JSON does not allow and servers send all the same: raw controls within texts, numbers without end.
_lenient = json.JSONDecoder(strict=False, parse_int=float)


Chunks = list[dict[str, Any]]


async def completion_batches(
    body: AsyncIterator[bytes], max_event_bytes: int = MAX_EVENT_BYTES
) -> AsyncGenerator[Chunks, None]:
    """The chunks of an answer as they come, all of one read together; of one that came whole, the completion itself.

    Raises:
        Reported: the provider told an error in its place, or in mid-answer.
        ProviderError: it is no answer, or it broke off before its end.
    """
    head = await _head(body)
    if head[:1] in SHAPES:
        yield _whole(await _read(head, body, WHOLE * max_event_bytes))
        return
    batches, told = _events(head, body, max_event_bytes), _Told()
    try:
        while batch := await (_late(batches) if told.finished else anext(batches, None)):
            chunks, problem = told.chunks(batch)
            if chunks:
                yield chunks
            if problem:
                raise problem
            if told.done:
                await _to_end(batches)
                break
    except (httpx2.HTTPError, Reported, ProviderError):
        # What comes after the end changes nothing any more.
        if not told.finished:
            raise
    if told.begun and not told.answered:
        raise _no_completion()
    if not told.finished:
        raise _broken_off() if told.begun or head.startswith(FIELDS) else _no_completion(head)


class _Told:
    """What the events of an answer have told so far."""

    def __init__(self) -> None:
        self.begun = self.answered = self.finished = self.done = False

    def chunks(self, events: Sequence[ServerEvent]) -> tuple[Chunks, Reported | ProviderError | None]:
        """The chunks of these events, and the error that ends them."""
        chunks: Chunks = []
        try:
            for event in events:
                if _is_done(event.data):
                    self.finished = self.done = True
                    break
                if value := _chunk(event):
                    chunks.append(value)
                    self.begun = True
                    self.answered = self.answered or "choices" in value
                    self.finished = self.finished or finish_reason(first_choice(value)) is not None
        except (Reported, ProviderError) as problem:
            return chunks, problem
        return chunks, None


async def _head(body: AsyncIterator[bytes]) -> bytes:
    """The first bytes, up to one that tells the shape: white space and a byte order mark may come before."""
    head = b""
    async for data in body:
        head = (head + data).removeprefix(BOM).lstrip()
        if head[:1] in (*SHAPES, b":") or len(head) >= LONGEST_FIELD:
            break
    return head


async def _read(head: bytes, body: AsyncIterator[bytes], max_bytes: int) -> bytes:
    whole = bytearray(head)
    async for data in body:
        whole += data
        if len(whole) > max_bytes:
            break
    if len(whole) > max_bytes:
        raise _too_long(max_bytes)
    return bytes(whole)


async def _events(head: bytes, body: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[list[ServerEvent], None]:
    """Those of each read that ends some."""
    decoder = EventDecoder(max_bytes)
    try:
        if events := decoder.feed(head):
            yield events
        async for data in body:
            if events := decoder.feed(data):
                yield events
        if events := decoder.close():
            yield events
    except EventTooLong as problem:
        if problem.events:
            yield problem.events
        raise _too_long(max_bytes) from None


async def _late(batches: AsyncIterator[list[ServerEvent]]) -> list[ServerEvent] | None:
    """What comes after the finish reason, such as the usage; None where nothing comes, not even the end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_S):
            return await anext(batches, None)
    return None


async def _to_end(batches: AsyncIterator[list[ServerEvent]]) -> None:
    """Read to the end of the response, which is due at once: only then can the next turn use the connection."""
    with suppress(TimeoutError, httpx2.HTTPError, ProviderError):
        async with asyncio.timeout(RESPONSE_END_S):
            async for _ in batches:
                pass


def _is_done(data: str) -> bool:
    return data[:1] in ("[", '"') and data.strip('"').upper() == DONE


def _chunk(event: ServerEvent) -> dict[str, Any] | None:
    """The object of an event; None where it has none to give: a heartbeat, `null`, a number."""
    if not event.data or event.name in HEARTBEATS:
        return None
    try:
        value = parsed(event.data)
    except ValueError:
        if event.name == "error":
            raise Reported(problem_of_event(event.data)) from None
        if event.name in ANSWERS:
            raise _no_json() from None
        return None
    if event.name == "error":
        raise Reported(problem_of_event(value))
    if problem := problem_in(value):
        raise Reported(problem)
    return value if isinstance(value, dict) else None


def parsed(data: str | bytes) -> Any:
    """Raises ValueError."""
    try:
        # Quicker, and stricter: it takes no half of a surrogate pair, whose other half may come with the next chunk.
        return jiter.from_json(data.encode() if isinstance(data, str) else data)
    except ValueError:
        return _parsed_anyhow(data)


def _parsed_anyhow(data: str | bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            return _lenient.decode(text)
        except RecursionError:
            raise ValueError("nested too deep") from None


def whole_completion(body: bytes) -> dict[str, Any]:
    """The completion in a body that is one. Raises Reported, ProviderError."""
    return _whole(body)[0]


def _whole(body: bytes) -> list[dict[str, Any]]:
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if is_page(text):
        raise ProviderError(f"The model's server answered with a web page. {BASE_URL_LOOKS_WRONG}")
    if not text:
        raise _no_completion(b"")
    values = _values(text)
    if problem := next((problem for value in values if (problem := problem_in(value))), None):
        raise Reported(problem)
    if not _are_completions(values):
        raise _no_completion()
    return values


def _values(text: str) -> list[Any]:
    """What is in one JSON value, which may be a list, or in one a line."""
    try:
        value = parsed(text)
        return value if isinstance(value, list) else [value]
    except ValueError:
        pass
    try:
        return [parsed(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        raise _no_json() from None


def _are_completions(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, dict) and isinstance(value.get("choices"), list) for value in values)


def _no_completion(body: bytes = b"-") -> ProviderError:
    what = "something else than a completion" if body else "nothing at all"
    return ProviderError(f"The model's server answered with {what}. {BASE_URL_LOOKS_WRONG}")


def _no_json() -> ProviderError:
    return ProviderError("The model's server sent something that is not JSON. Try again, or check OPENAI_BASE_URL.")


def _too_long(max_bytes: int) -> ProviderError:
    return ProviderError(
        f"The model's server sent more than {max_bytes:,} bytes in one piece. If that is right, raise MAX_EVENT_BYTES; "
        "else check OPENAI_BASE_URL."
    )


def _broken_off() -> ProviderError:
    return ProviderError("The model's answer broke off before its end. Try again.")
