"""How an answer came to who reads it, by this machine's clock alone; what is reported of it. Pure: no I/O.

The server says for how long it had the first token, and half of the quickest way there and back is added.
"""

from typing import Any

from .events import Finished, Part, Reading, Reasoning, Started, Text


class Measure:
    """Of one answer. Times are in seconds; `asked` is when the question was sent."""

    def __init__(self, asked: float) -> None:
        self._asked = asked
        self._first: float | None = None
        self._last = 0.0
        self._gap: float | None = None
        self._lag: float | None = None
        self._started: Started | None = None
        self._ended = False

    def seen(self, event: object, reading: Reading, at: float) -> None:
        """An event is about to be given to who reads."""
        if isinstance(event, Started):
            self._started = event
        elif isinstance(event, Finished):
            self._ended = True
        elif isinstance(event, (Text, Reasoning, Part)):
            if self._first is None:
                self._first = at
                self._lag = _lag(reading, at)
            else:
                self._gap = max(self._gap or 0.0, at - self._last)
            self._last = at

    def report(self, reading: Reading, session: str, whole: bool) -> dict[str, Any] | None:
        """What `POST /measures/` takes; None where no answer began."""
        if self._started is None:
            return None
        first = None if self._first is None else self._first - self._asked
        return {
            "turn_id": self._started.turn_id,
            "session": session,
            "door": "client",
            "whole": whole,
            "reason": "off" if whole else "",
            "resumed": reading.breaks,
            "closed": not self._ended,
            "first_ms": _ms(first),
            "lag_ms": _ms(self._lag),
            "gap_ms": _ms(self._gap),
        }


def _lag(reading: Reading, at: float) -> float | None:
    """From the first token's arrival at the server."""
    if reading.timing is None or reading.told is None:
        return None
    way = max(reading.took - reading.timing["started_ms"] / 1000, 0) / 2
    return at - reading.told + reading.timing["held_ms"] / 1000 + way


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(max(seconds, 0) * 1000)
