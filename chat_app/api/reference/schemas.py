"""JSON Schemas, for the OpenAPI, of what has no model: errors, usage, and the events of a stream."""

from typing import Any

from pydantic import WithJsonSchema

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(name: str) -> WithJsonSchema:
    """For a field whose value is a component or null."""
    return WithJsonSchema({"anyOf": [reference(name), {"type": "null"}]})


def text(says: str, **more: Any) -> Schema:
    return {"type": "string", "description": says} | more


PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong. Unknown keys are to be ignored.",
    "required": ["code", "message", "retryable"],
    "properties": {
        "code": text("Stable, for programs."),
        "message": text("A sentence for people; it says what to do."),
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "retry_after": {"type": "number", "description": "Seconds, where they are known."},
        "turn_id": text("With `turn_running`: the turn that runs."),
    },
}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": reference("Problem"),
        "message": reference("MessageOut") | {"description": "Where a reply failed: the message with the text so far."},
    },
}
USAGE: Schema = {
    "type": "object",
    "description": "What the answer cost, as the provider counts it; it may add more. `estimated`: we counted.",
    "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
    },
    "additionalProperties": True,
}
FRAME: Schema = {
    "type": "object",
    "description": "A piece of a message; a reply's last one has `finish_reason` and `usage`, or `error`.",
    "required": ["role", "delta"],
    "properties": {
        "role": {"enum": ["user", "assistant"]},
        "delta": text("To be appended to the text so far. The user's message comes in one piece."),
        "finish_reason": text("`stop`, `length`, `stopped`, or another one of the provider's."),
        "usage": {"anyOf": [reference("Usage"), {"type": "null"}]},
        "error": reference("Problem"),
    },
}
SELFTEST_FRAME: Schema = {
    "type": "object",
    "required": ["frame", "sent_ms"],
    "properties": {
        "frame": {"type": "integer", "minimum": 0, "maximum": 4},
        "sent_ms": {"type": "integer", "description": "The server's clock, in milliseconds since 1970."},
    },
}


def event_stream(frame: str) -> Schema:
    """Of the whole text: OpenAPI 3.1 has no word for the items of a stream (3.2 has, and few tools read that yet), and
    a generated client takes the schema of an event for that of the body."""
    return text(
        f"Server-Sent Events. `data` is a `{frame}` as JSON, at the end `[DONE]`; `event` is left out, or `error`, or "
        "what `?include=` asked for; `id` is the turn and the number to resume after.",
        **{"x-data": reference(frame)},
    )


SCHEMAS = {
    "Problem": PROBLEM,
    # No name of a property of its own: generated Python would mix the two up.
    "ErrorBody": ERROR,
    "Usage": USAGE,
    "Frame": FRAME,
    "SelftestFrame": SELFTEST_FRAME,
}
