"""Events to the bytes of an event stream, and to the objects of the websocket. Pure: no I/O, no state.

The default stream is data-only, `data:` without a space and ASCII JSON, byte for byte as the wire contract has it.
"""

import json
from collections.abc import Iterable
from typing import Any

from chat_app.errors import Interrupted
from chat_app.log import Delta, Ended, Event
from chat_app.models import Status

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


def user_object(content: str) -> dict[str, Any]:
    return {"role": "user", "delta": content}


def event_object(event: Event) -> dict[str, Any]:
    """What a client gets for an event: `role`, `delta`, and at the end `finish_reason` and `usage`, or `error`."""
    if isinstance(event, Delta):
        return {"role": "assistant", "delta": event.text}
    if event.status in (Status.complete, Status.stopped):
        return {"role": "assistant", "delta": "", "finish_reason": event.finish_reason, "usage": event.usage}
    return {"role": "assistant", "delta": "", "error": event.error or Interrupted().as_dict()}


def event_name(event: Event) -> str | None:
    """The `event:` of a block; None is the default stream's."""
    if isinstance(event, Delta):
        return "reasoning" if event.kind == "reasoning" else None
    return None if event.status in (Status.complete, Status.stopped) else "error"


def block(data: str, *, name: str | None = None, id: str | None = None) -> bytes:
    head = (f"id:{id}\n" if id else "") + (f"event: {name}\n" if name else "")
    return f"{head}data:{data}\n\n".encode()


def dumps(value: Any) -> str:
    # ASCII only: raw U+2028, U+2029 and U+0085 break the line splitters of several clients.
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def user_block(content: str, turn_id: str | None = None) -> bytes:
    return block(dumps(user_object(content)), id=turn_id and f"{turn_id}:0")


def recast_block(after: int, id: str | None) -> bytes:
    """Told on request: all text after that number was reasoning."""
    data = dumps({"role": "assistant", "delta": "", "recast": {"kind": "reasoning", "after": after}})
    return block(data, name="recast", id=id)


def blocks(
    events: Iterable[Event], *, turn_id: str | None = None, reasoning: bool = False, recasts: bool = False
) -> bytes:
    """The blocks of a batch; `turn_id` adds ids, `reasoning` the thoughts, `recasts` which text turned out to be some.

    `[DONE]` follows the end.
    """
    parts = []
    for event in events:
        if not reasoning and isinstance(event, Delta) and event.kind == "reasoning":
            continue
        id = turn_id and f"{turn_id}:{event.seq}"
        if recasts and isinstance(event, Delta) and event.recast is not None:
            parts.append(recast_block(event.recast, id))
            continue
        parts.append(block(dumps(event_object(event)), name=event_name(event), id=id))
        if isinstance(event, Ended):
            parts.append(block(DONE, id=id))
    return b"".join(parts)
