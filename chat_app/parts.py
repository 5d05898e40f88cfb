"""A reply as an ordered list of parts, and the columns that keep it. Pure.

A part of text (`text`, `reasoning`) grows, and each of its characters has a number; any other part (`tool`, `file`, …)
is one whole thing, and takes one number. A message keeps the text in `content` and `reasoning`, and in `parts` the
order: `{"type": "text", "chars": 5}`, `{"type": "reasoning", "chars": 10, "ms": 1200}`, `{"type": "tool", "tool": {}}`.
So no text is kept twice, and a message without `parts`, from before there were any, is its reasoning, then its text.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chat_app.models import JournalRow, Message

TEXT = "text"
REASONING = "reasoning"
GROWING = (TEXT, REASONING)
# A row of the journal that says: all text after the number that is its own text was reasoning.
RECAST = "recast"
COLUMNS = {TEXT: "content", REASONING: "reasoning"}
# Keys, or event names, that mean something else on the wire.
TAKEN = {
    "role",
    "delta",
    "seq",
    "turn_id",
    "chat_id",
    "finish_reason",
    "usage",
    "error",
    "message",
    "chars",
    "ms",
    "type",
}
MAX_DATA_CHARS = 200_000
_KIND = re.compile("[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a reply: some `text` of the kinds `text` and `reasoning`, else `data`, which is JSON.

    `ms`: how long the model thought, in milliseconds.
    """

    kind: str
    text: str = ""
    data: dict[str, Any] | None = None
    ms: int | None = None

    @property
    def places(self) -> int:
        """How many numbers it takes."""
        return len(self.text) if self.kind in GROWING else 1


def whole(kind: str, data: Any) -> Part:
    """A whole part that somebody's function made, as it is stored. Raises ValueError, TypeError."""
    if not isinstance(kind, str) or not _KIND.fullmatch(kind) or kind in TAKEN:
        raise ValueError(f"its kind is {kind!r}; use lower-case letters, such as tool or file")
    if not isinstance(data, dict):
        raise TypeError("its data is no dict")
    text = json.dumps(data, allow_nan=False)
    if len(text) > MAX_DATA_CHARS:
        raise ValueError(f"its data is longer than {MAX_DATA_CHARS:,} characters of JSON; give the address of a file")
    return Part(kind, data=json.loads(text))


def checked_layout(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The order of parts as a file has it. Raises ValueError."""
    for entry in parts:
        kind = entry.get("type")
        if kind not in GROWING:
            _whole_of(kind, entry)
        elif (
            set(entry) - {"type", "chars", "ms"}
            or not _is_count(entry.get("chars"))
            or not _is_count(entry.get("ms", 0))
        ):
            raise ValueError(f"a part of {kind} has a whole number of chars, and perhaps of ms")
    return parts


def _whole_of(kind: Any, entry: dict[str, Any]) -> None:
    try:
        whole(kind, entry.get(kind))
    except TypeError as problem:
        raise ValueError(str(problem)) from None
    if set(entry) != {"type", kind}:
        raise ValueError(f"a part of the kind {kind} has its type and its data, nothing else")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def columns(parts: Iterable[Part]) -> dict[str, Any]:
    """The values of `content`, `reasoning` and `parts`."""
    parts = list(parts)
    texts = {name: "".join(part.text for part in parts if part.kind == kind) for kind, name in COLUMNS.items()}
    return texts | {"parts": [_layout(part) for part in parts]}


def parts_of(message: Message) -> list[Part]:
    """The reply that a message keeps, whatever is in its columns."""
    rest = {TEXT: message.content, REASONING: message.reasoning}
    found = [_part(entry, rest) for entry in message.parts or []]
    found += [Part(kind, rest[kind]) for kind in (REASONING, TEXT)]
    return [part for part in found if part.places]


def folded(rows: Sequence[JournalRow], head: Sequence[Part] = ()) -> list[Part]:
    """The reply that the journal's rows of one turn hold, in the order of their numbers, behind what it began with."""
    parts = list(head)
    for row in rows:
        if row.kind == RECAST:
            parts = recast(parts, int(row.text))
        elif row.kind in GROWING:
            _join(parts, Part(row.kind, row.text))
        else:
            parts.append(Part(row.kind, data=json.loads(row.text)))
    return parts


def recast(parts: Iterable[Part], head: int) -> list[Part]:
    """The same with all text after the first `head` characters as reasoning."""
    changed: list[Part] = []
    for part in parts:
        if part.kind in GROWING:
            kept, head = part.text[:head], max(head - len(part.text), 0)
            _join(changed, Part(TEXT, kept))
            _join(changed, Part(REASONING, part.text[len(kept) :]))
        else:
            changed.append(part)
    return changed


def _join(parts: list[Part], part: Part) -> None:
    if parts and parts[-1].kind == part.kind:
        parts[-1] = Part(part.kind, parts[-1].text + part.text)
    elif part.text:
        parts.append(part)


def _layout(part: Part) -> dict[str, Any]:
    if part.kind not in GROWING:
        return {"type": part.kind, part.kind: part.data}
    return {"type": part.kind, "chars": len(part.text)} | ({} if part.ms is None else {"ms": part.ms})


def _part(entry: dict[str, Any], rest: dict[str, str]) -> Part:
    kind = entry["type"]
    if kind not in GROWING:
        return Part(kind, data=entry[kind])
    text, rest[kind] = rest[kind][: entry["chars"]], rest[kind][entry["chars"] :]
    return Part(kind, text, ms=entry.get("ms"))
