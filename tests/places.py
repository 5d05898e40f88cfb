"""A reply as its readers see it: what is at each number, and of which kind, so that a list's head is a reply's head."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from httpx_sse import ServerSentEvent

from tests.provider import Script, answer_tokens, token_kind

Places = list[tuple[str, Any]]
"""`("text" | "reasoning", character)`, and `(kind, data)` of a whole part."""

END = {"finish_reason", "error"}
NAMES = {"role", "delta", "seq", "turn_id", "chat_id"}


def of_part(kind: str, said: Any) -> Places:
    """Of text, or of a whole part's data."""
    return [(kind, character) for character in said] if isinstance(said, str) else [(kind, said)]


def of_object(one: Mapping[str, Any], event: str = "message") -> Places:
    """What an object of the assistant's adds; `event` is the name of its block in an event stream."""
    if one.keys() & END:
        return []
    for kind in one.keys() - NAMES:
        return of_part(kind, one[kind])
    return of_part("text" if event == "message" else event, one["delta"])


def of_frames(frames: Iterable[ServerSentEvent]) -> Places:
    """What the assistant's blocks of an event stream add."""
    objects = [(json.loads(frame.data), frame.event) for frame in frames if frame.data != "[DONE]"]
    return [place for one, event in objects if one["role"] == "assistant" for place in of_object(one, event)]


def of_parts(parts: Iterable[Mapping[str, Any]]) -> Places:
    """Of a stored message's `parts`, as `GET /messages/{id}?include=…` gives them."""
    return [place for part in parts for place in of_part(part["type"], part.get("text", part.get(part["type"])))]


def of_script(script: Script, question: str, tokens: int) -> Places:
    """Of so many of the tokens with which `tests.provider` answers."""
    found: Places = []
    for number, token in zip(range(tokens), answer_tokens(script, question), strict=False):
        found += of_part("text" if token_kind(script, number) == "content" else "reasoning", token)
    return found


def same(one: object, other: object) -> bool:
    """To be asserted in place of `==`, whose report on a long difference takes minutes."""
    return one == other


def begins(whole: Places, head: Places) -> bool:
    return whole[: len(head)] == head
