"""Examples for the API: one chat, one message and its reply, as all routes show them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chat_app.api import sse
from chat_app.insights import Beside, figures_of
from chat_app.models import Status
from chat_app.store.chatfile import FileChat, FileMessage
from chat_app.turns.log import Delta, Ended

EVENT_STREAM, JSON, LINES, MARKDOWN = "text/event-stream", "application/json", "application/x-ndjson", "text/markdown"

CHAT_ID = "019b0000-0000-7000-8000-00000000c4a7"
TURN_ID = "019b0000-0000-7000-8000-0000000074a2"
QUESTION_ID = "019b0000-0000-7000-8000-000000004065"
QUEUED_ID = "019b0000-0000-7000-8000-00000000a5ed"
TIME = "2026-01-31T12:00:00Z"

SAY_HELLO = {"content": "Say hello"}
USAGE = {"prompt_tokens": 31, "completion_tokens": 2, "total_tokens": 33}
CHAT: dict[str, Any] = {
    "id": CHAT_ID,
    "title": "Say hello",
    "created_at": TIME,
    "updated_at": TIME,
    "pinned": False,
    "named": False,
    "model": None,
    "system_prompt": None,
    "temperature": None,
    "leaf_id": TURN_ID,
}
MESSAGE: dict[str, Any] = {
    "id": TURN_ID,
    "chat_id": CHAT_ID,
    "parent_id": QUESTION_ID,
    "role": "assistant",
    "content": "Hello",
    "created_at": TIME,
    "status": "complete",
    "finish_reason": "stop",
    "model": "gpt-4o-mini",
    "usage": USAGE,
    "error": None,
    "first_token_ms": 180,
    "duration_ms": 240,
    "rating": 0,
    "remark": "",
}
QUESTION = MESSAGE | {
    "id": QUESTION_ID,
    "parent_id": None,
    "role": "user",
    "content": "Say hello",
    "finish_reason": None,
    "model": None,
    "usage": None,
    "first_token_ms": None,
    "duration_ms": None,
}
THOUGHTFUL = MESSAGE | {
    "parts": [{"type": "reasoning", "text": "A greeting.", "ms": 1200}, {"type": "text", "text": "Hello"}]
}
STOPPED = MESSAGE | {
    "content": "Hel",
    "status": "stopped",
    "finish_reason": "stopped",
    "usage": {"completion_tokens": 1, "estimated": True},
}
QUEUED = {"id": QUEUED_ID, "key": "7d1f", "content": "And at night?", "created_at": TIME, "error": None}
RATING = {"rating": 1, "remark": "Just right"}
HIT = {
    "chat_id": CHAT_ID,
    "title": "Say hello",
    "message_id": TURN_ID,
    "role": "assistant",
    "snippet": [{"text": "Hello", "match": True}],
    "when": TIME,
}
FILE = {
    "version": 1,
    "chat": {"title": "Say hello", "created_at": TIME, "updated_at": TIME},
    "messages": [
        {"id": QUESTION_ID, "role": "user", "content": "Say hello", "created_at": TIME},
        {"id": TURN_ID, "parent_id": QUESTION_ID, "role": "assistant", "content": "Hello", "created_at": TIME},
    ],
}
EXPORTED = {
    "version": 1,
    "chat": {name: CHAT[name] for name in FileChat.model_fields},
    "messages": [
        {name: (message | {"reasoning": "", "parts": None})[name] for name in FileMessage.model_fields}
        for message in (QUESTION, MESSAGE)
    ],
}

PROGRESS = {"progress": {"read": 412, "size": 412, "messages": 2}}
IMPORTED = CHAT | {
    "named": True,
    "leaf_id": None,
    "imported": {"chats": 1, "messages": 2, "left_out": {}, "summary": "1 chat with 2 messages."},
}

MEASURE = {
    "turn_id": TURN_ID,
    "session": "3f2a9c",
    "door": "embed",
    "whole": False,
    "reason": "",
    "resumed": 0,
    "hidden": False,
    "closed": False,
    "own_ms": 4,
    "first_ms": 190,
    "lag_ms": 9,
    "gap_ms": 35,
}
_SUMS: dict[str, dict[str, Any]] = {
    "ends": {"streaming|complete": 1},
    "token": {"180": 1},
    "first": {"streaming|190": 1},
    "lag": {"streaming|9": 1},
    "gap": {"streaming|35": 1},
    "sessions": {"streaming": 1, "streamed": 1},
    "tokens": {"answers|gpt-4o-mini": 1, "prompt_tokens|gpt-4o-mini": 31, "completion_tokens|gpt-4o-mini": 2},
}
_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIGURES: dict[str, Any] = figures_of(
    {_NOON: _SUMS}, _NOON, _NOON, Beside(turns={}, remarks=[], felt=[]), lambda _: True
).model_dump(mode="json")


@dataclass(frozen=True)
class Stream:
    """The example of an event stream: the schema of what its events hold, and its text."""

    frame: str
    text: str


END = Ended(6, Status.complete, "stop", USAGE)
# Each with its number, the characters so far.
EVENTS = [
    (0, sse.dumps(sse.user_object("Say hello"))),
    (3, sse.dumps(sse.event_object(Delta(3, "Hel")))),
    (5, sse.dumps(sse.event_object(Delta(5, "lo")))),
    (END.seq, sse.dumps(sse.event_object(END))),
    (END.seq, sse.DONE),
]
STREAM = Stream("Frame", "".join(f"data:{data}\n\n" for _, data in EVENTS))
RESUMED = Stream("Frame", "".join(f"id:{TURN_ID}:{number}\ndata:{data}\n\n" for number, data in EVENTS))
_SELFTEST = [sse.dumps({"frame": n, "sent_ms": 1769860800000 + 200 * n}) for n in range(5)]
SELFTEST = Stream("SelftestFrame", "".join(f"data:{data}\n\n" for data in [*_SELFTEST, sse.DONE]))
