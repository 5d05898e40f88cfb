"""A reply as one string that only grows, for the page: so its thoughts and whole parts are sent once, as its text is.

What stands between two NULs, which no text has, is a header of JSON; all else is text. `{"type":"reasoning","ms":900}`
begins thoughts that were so old when it was sent, a header without a type ends them after `ms` milliseconds, and any
other is a whole part. With `recast`, all text after so many UTF-16 units was thoughts. `reply_text.js` reads it.
"""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from chat_app.parts import GROWING, REASONING, RECAST, TEXT, Part
from chat_app.turns.log import Delta, Ended, Event

NUL = "\0"
END = ""


class ReplyText:
    """Turns the batches of one reader into what they add to the string. `head` is what the reply began with."""

    def __init__(self, head: str = "") -> None:
        self._head = utf16_length(head)
        # On the clock, since when it thinks.
        self._since: float | None = None

    def added(self, batch: Sequence[Event]) -> str:
        """What a batch adds."""
        return "".join(piece for kind, events in groupby(batch, _kind) for piece in self._pieces(kind, list(events)))

    def _pieces(self, kind: str, events: list[Any]) -> Iterator[str]:
        if kind in (REASONING, RECAST):
            yield from self._thoughts(kind, events)
            return
        yield from self._end_of_thoughts()
        if kind == TEXT:
            yield from (event.text for event in events)
        elif kind != END:
            yield from (_header({"type": kind, kind: event.data}) for event in events)

    def _thoughts(self, kind: str, events: list[Delta]) -> Iterator[str]:
        begun, ms = self._since is not None, events[-1].ms or 0
        self._since = time.monotonic() - ms / 1000
        if kind == RECAST:
            yield _header({"type": REASONING, "ms": ms, "recast": self._head})
        elif not begun:
            yield _header({"type": REASONING, "ms": ms})
        yield from (event.text for event in events)

    def _end_of_thoughts(self) -> Iterator[str]:
        if self._since is not None:
            yield _header({"ms": round((time.monotonic() - self._since) * 1000)})
            self._since = None


def layout(parts: Sequence[Part]) -> str:
    """The order of a stored reply's parts as JSON, its growing ones with their length in UTF-16 units; "" where there
    is nothing but text. Thoughts are not in it: they may be long, and few are opened."""
    if all(part.kind == TEXT for part in parts):
        return ""
    return json.dumps([_entry(part) for part in parts], separators=(",", ":"))


def utf16_length(text: str) -> int:
    """As JavaScript counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _entry(part: Part) -> dict[str, Any]:
    if part.kind not in GROWING:
        return {"type": part.kind, part.kind: part.data}
    return {"type": part.kind, "chars": utf16_length(part.text)} | ({} if part.ms is None else {"ms": part.ms})


def _kind(event: Event) -> str:
    if isinstance(event, Ended):
        return END
    return RECAST if isinstance(event, Delta) and event.recast is not None else event.kind


def _header(value: dict[str, Any]) -> str:
    return f"{NUL}{json.dumps(value, separators=(',', ':'))}{NUL}"
