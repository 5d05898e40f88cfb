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


def _event(frame: str, **more: Schema) -> Schema:
    # OpenAPI 3.1 has no word for the items of a stream (3.2 has, and few tools read that yet): as usual, the schema is
    # that of one event.
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": reference(frame)}
    return {
        "type": "object",
        "description": "One event of the stream.",
        "required": ["data"],
        "properties": {"data": {"anyOf": [data, {"const": "[DONE]"}]}} | more,
    }


SCHEMAS = {
    "Problem": PROBLEM,
    "Error": ERROR,
    "Usage": USAGE,
    "Frame": FRAME,
    "StreamEvent": _event(
        "Frame",
        event=text("`message` where it is left out; `error`; what `?include=` asked for."),
        id=text("The turn and the number to resume after.", pattern="^[^:]+:[0-9]+$"),
    ),
    "SelftestFrame": SELFTEST_FRAME,
    "SelftestEvent": _event("SelftestFrame"),
}
