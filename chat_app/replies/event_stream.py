"""An event stream as the WHATWG standard has it: bytes in, events out, in linear time and bounded memory. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html, with one addition: servers that leave out the blank line
between events are understood too. httpx-sse's decoder is not used: it splits at U+2028 and its like, which JSON may
hold.
"""

import json
from typing import NamedTuple

MAX_EVENT_BYTES = 8_000_000
BOM = b"\xef\xbb\xbf"
DONE = "[DONE]"


class EventTooLong(Exception):
    """One event, or one line, has more bytes than are allowed. `events` are those that the same bytes ended before."""

    def __init__(self, events: list["ServerEvent"]) -> None:
        super().__init__()
        self.events = events


class ServerEvent(NamedTuple):
    name: str
    data: str


class EventDecoder:
    """Of one stream. `feed` it the bytes as they come, then `close` it.

    An event, or a line, has at most `max_bytes`.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line: list[bytes] = []
        """The pieces of a line that has not ended."""
        self._line_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._name = b""
        self._first = True
        self._after_cr = False
        self._alone: bool | None = None

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that these bytes end. Raises EventTooLong."""
        if blocks := self._one_line_events(chunk):
            return blocks
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        if lines and self._line:
            lines[0] = b"".join([*self._line, lines[0]])
            self._line, self._line_size = [], 0
        events: list[ServerEvent] = []
        for line in lines:
            if event := self._take(line):
                events.append(event)
            if max(len(line), self._data_size) > self._max_bytes:
                raise EventTooLong(events)
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
            if self._line_size + self._data_size > self._max_bytes:
                raise EventTooLong(events)
        elif self._data and self._stands_alone():
            events.append(self._event())
        return events

    def _one_line_events(self, chunk: bytes) -> list[ServerEvent] | None:
        """Whole events of one line each, as nearly all are: in a third of the time. None: it is something else."""
        if self._line or self._data or self._name or self._after_cr or b"\r" in chunk or not chunk.endswith(b"}\n\n"):
            return None
        if not chunk.startswith(b"data: {"):
            return None
        found = chunk[6:-2].split(b"\n\ndata: ")
        if chunk.count(b"\n") != 2 * len(found) or chunk.count(b"\n\ndata: {") != len(found) - 1:
            return None
        if len(chunk) > self._max_bytes and any(len(data) + 6 > self._max_bytes for data in found):
            return None
        self._first = False
        return [ServerEvent("", data.decode("utf-8", "replace")) for data in found]

    def close(self) -> list[ServerEvent]:
        """The end of the bytes: unlike in a browser, an event without its blank line counts, for many leave it out."""
        events = [self._take(b"".join(self._line)), self._event() if self._data else None]
        return [event for event in events if event]

    def _take(self, line: bytes) -> ServerEvent | None:
        """A line; the event that it ends."""
        if self._first:
            self._first = False
            line = line.removeprefix(BOM)
        event = None
        if line.startswith(b"data:"):
            if self._data and self._stands_alone():
                event = self._event()
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            self._data_size += len(line)
            self._alone = None
        elif not line:
            event = self._event() if self._data else None
            self._name = b""
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif line == b"data":
            self._data.append(b"")
        return event

    def _event(self) -> ServerEvent:
        # Not strict: one broken byte must not cost the answer.
        data = b"\n".join(self._data).decode("utf-8", "replace").strip()
        name = self._name.decode("utf-8", "replace")
        self._data, self._data_size, self._name, self._alone = [], 0, b"", None
        return ServerEvent(name, data)

    def _stands_alone(self) -> bool:
        """Whether one line of data is an event by itself: then the next line is another one's."""
        if self._alone is None:
            self._alone = len(self._data) == 1 and _is_whole(self._data[0].strip())
        return self._alone


def _is_whole(data: bytes) -> bool:
    if not (data.startswith(b"{") and data.endswith(b"}")):
        return data == DONE.encode()
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
