"""Events to the bytes of an event stream, and to the objects of the websocket. Pure: no I/O, no state.

The default stream is data-only, `data:` without a space and ASCII JSON, byte for byte as the wire contract has it.
"""

import json
from collections.abc import Container, Iterable
from json.encoder import encode_basestring_ascii
from typing import Any

from chat_app.errors import Interrupted
from chat_app.models import Status
from chat_app.parts import TEXT
from chat_app.turns.log import Delta, Ended, Event, Whole

# One line feed, no blank line: a comment must not end a block, since an empty block after an `id:` crashes the parsers
# of openai-python (#2722) and httpx-sse (#35).
PING = b": ping\n"
DONE = "[DONE]"
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "X-Stream-Version": "1",
}
MEDIA_TYPE = "text/event-stream; charset=utf-8"
TEXT_ONLY = frozenset({TEXT})


def user_object(content: str) -> dict[str, Any]:
    return {"role": "user", "delta": content}


def event_object(event: Event) -> dict[str, Any]:
    """What a client gets for an event: `role`, `delta`, and at the end `finish_reason` and `usage`, or `error`.

    A whole part has an empty delta, for clients that append every one, and itself under its kind.
    """
    if isinstance(event, Delta):
        return {"role": "assistant", "delta": event.text}
    if isinstance(event, Whole):
        return {"role": "assistant", "delta": "", event.kind: event.data}
    if event.status in (Status.complete, Status.stopped):
        return {"role": "assistant", "delta": "", "finish_reason": event.finish_reason, "usage": event.usage}
    return {"role": "assistant", "delta": "", "error": event.error or Interrupted().as_dict()}


def event_name(event: Event) -> str | None:
    """The `event:` of a block; None is the default stream's."""
    if isinstance(event, Ended):
        return None if event.status in (Status.complete, Status.stopped) else "error"
    return None if event.kind == TEXT else event.kind


def included(names: str) -> frozenset[str]:
    """The kinds of events that `?include=` asks for, as in `reasoning,tools`; the answer's text is always there."""
    asked = {name.strip() for name in names.split(",")}
    return frozenset(asked | {name.removesuffix("s") for name in asked} | {TEXT})


def wanted(event: Event, kinds: Container[str]) -> bool:
    return isinstance(event, Ended) or event.kind in kinds


def block(data: str, *, name: str | None = None, id: str | None = None) -> bytes:
    head = (f"id:{id}\n" if id else "") + _named(name)
    return f"{head}data:{data}\n\n".encode()


def dumps(value: Any) -> str:
    # ASCII only: raw U+2028, U+2029 and U+0085 break the line splitters of several clients.
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def user_block(content: str, turn_id: str | None = None) -> bytes:
    return block(dumps(user_object(content)), id=turn_id and f"{turn_id}:0")


def blocks(events: Iterable[Event], *, turn_id: str | None = None, kinds: Container[str] = TEXT_ONLY) -> bytes:
    """The blocks of a batch; `turn_id` adds ids, `kinds` are those of `included`. `[DONE]` follows the end."""
    parts: list[str] = []
    for event in events:
        # What only passes has no number.
        id = f"id:{turn_id}:{event.seq}\n" if turn_id and event.seq else ""
        if isinstance(event, Delta) and event.recast is not None and "recast" in kinds:
            parts.append(f"{id}event: recast\ndata:{dumps(_recast_object(event.recast))}\n\n")
        elif isinstance(event, Delta) and event.kind == TEXT:
            # The same as below, without what takes most of the time.
            parts.append(f'{id}data:{{"role":"assistant","delta":{encode_basestring_ascii(event.text)}}}\n\n')
        elif wanted(event, kinds):
            parts.append(f"{id}{_named(event_name(event))}data:{dumps(event_object(event))}\n\n")
        if isinstance(event, Ended):
            parts.append(f"{id}data:{DONE}\n\n")
    return "".join(parts).encode()


def _recast_object(after: int) -> dict[str, Any]:
    """Told on request: all text after that number was reasoning."""
    return {"role": "assistant", "delta": "", "recast": {"kind": "reasoning", "after": after}}


def _named(name: str | None) -> str:
    return f"event: {name}\n" if name else ""
