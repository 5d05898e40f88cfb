"""What the server stores, as a client gets it: messages, chats, and what a search finds. Pure: no I/O."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self, TypeVar

from .events import ClientError, not_ours

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """Made from the object in an answer of the server's; keys that are not known here are left out."""

    @classmethod
    def of(cls, value: dict[str, Any]) -> Self:
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        times = {
            name: datetime.fromisoformat(known[name]) for name in ("created_at", "updated_at", "when") if name in known
        }
        return cls(**known | times)


@dataclass(frozen=True, slots=True)
class Message(Record):
    """A stored message; times are UTC, `*_ms` are milliseconds from the start of the turn.

    `status` is "streaming", "complete", "stopped", "failed" or "interrupted" (the server ended). `rating` is 1, -1
    or 0. `parts` are there where they were asked for.
    """

    id: str
    chat_id: str
    role: str
    content: str
    status: str
    created_at: datetime
    parent_id: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    rating: int = 0
    remark: str = ""
    parts: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Chat(Record):
    """A chat; times are UTC. `model`, `system_prompt` and `temperature` are None where they are the app's."""

    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    pinned: bool = False
    model: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Hit(Record):
    """A chat whose title matches (`message_id` and `role` are None), or a message; `when` it was last used, or sent.

    `snippet` is some text around the words: `{"text": …, "match": bool}` in their order.
    """

    chat_id: str
    title: str
    message_id: str | None
    role: str | None
    snippet: list[dict[str, Any]]
    when: datetime

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.snippet)


@dataclass(frozen=True, slots=True)
class Imported(Record):
    """What an import brought; `chat_id` is the first of the new chats, `summary` says it all in a sentence."""

    chat_id: str
    chats: int
    messages: int
    left_out: dict[str, int]
    summary: str


def imported(value: dict[str, Any]) -> Imported:
    return Imported.of(value["imported"] | {"chat_id": value["id"]})


def parsed(body: str, read: Callable[[Any], T]) -> T:
    """What `read` makes of a JSON body. Raises ClientError."""
    try:
        return read(json.loads(body))
    except (ValueError, TypeError, KeyError) as error:
        raise not_ours(body) from error


def interrupted(message: Message) -> ClientError:
    """The error for a reply that `/messages/` gives with that status."""
    sentence = "The server ended while this answer was being written. Its text so far is kept; try again."
    return ClientError("interrupted", sentence, True, 200, turn_id=message.id, text=message.content)
