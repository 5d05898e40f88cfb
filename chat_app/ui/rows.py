"""The rows of a transcript: messages as the page shows them. Pure; no state."""

from collections.abc import Sequence
from typing import TypedDict

from chat_app.errors import Interrupted
from chat_app.models import Message, Role, Status
from chat_app.parts import parts_of
from chat_app.service import PathItem
from chat_app.ui.reply_text import layout

AT_LIMIT = "The answer was cut off at the model's limit."


class Row(TypedDict):
    """A message as the page shows it; `figures` is its small print, `time` ISO 8601 in UTC.

    `problem` is a sentence where it did not end well, and `cut` whether there is text to go on from. `version` is
    `2 / 3` where there are several, `previous` and `next` the ids of those beside it; `key` the idempotency key with
    which an answer was asked for; `parts` the order of its parts, see `reply_text.layout`: a string, which React knows
    again.
    """

    id: str
    role: str
    content: str
    parts: str
    status: str
    problem: str
    figures: str
    time: str
    cut: bool
    version: str
    previous: str
    next: str
    key: str


Rows = tuple[Row, ...]


class Feedback(TypedDict):
    """What a person thinks of an answer: `rating` is 1 or -1, `remark` perhaps why."""

    rating: int
    remark: str


def path_rows(path: Sequence[PathItem]) -> Rows:
    rows = []
    for item in path:
        row = message_row(item.message)
        if item.of > 1:
            row["version"] = f"{item.number} / {item.of}"
            row["previous"], row["next"] = item.previous_id or "", item.next_id or ""
        rows.append(row)
    return tuple(rows)


def path_feedback(path: Sequence[PathItem]) -> dict[str, Feedback]:
    rated = (item.message for item in path if item.message.rating)
    return {message.id: Feedback(rating=message.rating, remark=message.remark) for message in rated}


def message_row(message: Message) -> Row:
    return Row(
        id=message.id,
        role=message.role,
        content=message.content,
        parts=layout(parts_of(message)),
        status=message.status,
        problem=_problem(message),
        figures=_figures(message),
        time=message.created_at.isoformat(timespec="seconds"),
        cut=bool(message.content) and (message.status != Status.complete or _at_limit(message)),
        version="",
        previous="",
        next="",
        key=message.key,
    )


def followed_row(loaded: Row, ended: Row) -> Row:
    """The row of a message that was followed to its end, without the text that came on the way."""
    # What was loaded in mid-answer may have turned out to be thoughts.
    if not ended["content"].startswith(loaded["content"]):
        return ended
    return Row(**ended | {"content": loaded["content"]})


def _problem(message: Message) -> str:
    if message.status == Status.stopped:
        return "Stopped"
    told = (message.error or {}).get("message")
    if message.status == Status.interrupted:
        return str(told or Interrupted().message)
    if message.status == Status.failed:
        return str(told or "The answer failed. Try again.")
    return AT_LIMIT if _at_limit(message) else ""


def _at_limit(message: Message) -> bool:
    return message.finish_reason == "length"


def _figures(message: Message) -> str:
    """Model, time to first token, tokens a second."""
    if message.role != Role.assistant or message.first_token_ms is None:
        return ""
    parts = [message.model or "", f"first token {_duration(message.first_token_ms)}"]
    tokens = (message.usage or {}).get("completion_tokens")
    writing_ms = (message.duration_ms or 0) - message.first_token_ms
    if tokens and writing_ms > 0:
        parts.append(f"{tokens / writing_ms * 1000:.0f} tokens/s")
    return " · ".join(part for part in parts if part)


def _duration(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
