"""The numbered log of a turn: `Delta` and `Whole` …, then exactly one `Ended`; any reader replays it after a number and
follows.

An event's number is the place in the reply up to its end: characters, and one for each whole part. So a reader can also
go on from the stored reply, when the log is long gone. This module holds the protocol and its home in memory; nothing
else knows where a log lives.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from chat_app.alarm import Alarm
from chat_app.models import Status


# Not frozen, though nobody changes one: a frozen one takes ten times as long to make, and one is made for each token.
@dataclass(slots=True)
class Delta:
    """Some text of the reply, of the kind `text` or `reasoning`; each character (code point) has a number.

    `recast` is there where text turned out to be reasoning: all of it after that number, this piece's too. `ms`: how
    long the thoughts that it belongs to took up to here, in milliseconds.
    """

    seq: int
    text: str
    kind: str = "text"
    recast: int | None = None
    ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Whole:
    """A part that comes at once and has one number: `kind` is `tool`, `file` or whatever else, `data` is JSON."""

    seq: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the turn, its number is beyond the last character's; `error` is a `ChatError.as_dict()`."""

    seq: int
    status: Status
    finish_reason: str
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


Event = Delta | Whole | Ended
Rest = Callable[[], Awaitable[object]]


class Log(Protocol):
    """Where the events of running turns live."""

    async def create(self, turn_id: str) -> None:
        """Begin an empty log."""
        ...

    async def append(self, turn_id: str, *events: Event) -> None:
        """Add the next events; readers are woken once."""
        ...

    def follow(
        self, turn_id: str, after: int = 0, idle: float | None = None, rest: Rest | None = None
    ) -> AsyncIterator[list[Event]]:
        """Yield all that is newer than `after` as one list, then each further batch, until `Ended` was among them.

        A slow reader gets longer lists, never a queue of its own. After `idle` seconds with nothing new it gets an
        empty list. Where there is something, `rest` is awaited before it is taken: what comes meanwhile is in the same
        list. Raises KeyError for a log that is not there.
        """
        ...

    async def end(self, turn_id: str, events: Sequence[Event]) -> None:
        """Add the end, the last of `events`; those who come from now on get all of these in place of what there was."""
        ...


def newer(events: Sequence[Event], after: int) -> list[Event]:
    """The events with text or an end beyond the number `after`; a delta that straddles it is cut."""
    batch = list(events[bisect_right(events, after, key=lambda event: event.seq) :])
    if batch and isinstance(first := batch[0], Delta) and first.seq - len(first.text) < after:
        batch[0] = replace(first, text=first.text[after - first.seq :])
    return batch


def _begins(event: Event) -> int:
    """The number before its first place."""
    return event.seq - (len(event.text) if isinstance(event, Delta) else 1)


class _Entry:
    """The events of one turn, and the readers that wait for more."""

    __slots__ = ("events", "waiting")

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events: list[Event] = list(events)
        self.waiting: set[_Waiter] = set()

    def append(self, events: Sequence[Event]) -> None:
        self.events += events
        waiting, self.waiting = self.waiting, set()
        for waiter in waiting:
            waiter.wake(True)


class _Waiter:
    """A reader that waits for more, at most `idle` seconds at a time."""

    __slots__ = ("_alarm", "_entry", "_idle", "_more")

    def __init__(self, entry: _Entry, idle: float | None) -> None:
        self._entry = entry
        self._idle = idle
        self._alarm = Alarm(lambda: self.wake(False))
        self._more: asyncio.Future[bool]

    async def more(self) -> bool:
        """Whether there is more; False after `idle` seconds without."""
        self._more = asyncio.get_running_loop().create_future()
        self._entry.waiting.add(self)
        if self._idle is not None:
            self._alarm.set(self._idle)
        try:
            return await self._more
        finally:
            self._alarm.off()
            self._entry.waiting.discard(self)

    def wake(self, more: bool) -> None:
        if not self._more.done():
            self._more.set_result(more)

    def close(self) -> None:
        self._alarm.close()


class MemoryLog:
    """The default home: nothing to install, gone with the process (the text is also in the database)."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    async def create(self, turn_id: str) -> None:
        self._entries[turn_id] = _Entry()

    async def append(self, turn_id: str, *events: Event) -> None:
        self._entries[turn_id].append(events)

    def follow(
        self, turn_id: str, after: int = 0, idle: float | None = None, rest: Rest | None = None
    ) -> AsyncIterator[list[Event]]:
        return _follow(self._entries[turn_id], after, idle, rest)

    async def end(self, turn_id: str, events: Sequence[Event]) -> None:
        self._entries[turn_id].append(events[-1:])
        self._entries[turn_id] = _Entry(events)

    def drop(self, turn_id: str) -> None:
        """Forget the log; readers under way are not cut off."""
        self._entries.pop(turn_id, None)


async def _follow(
    entry: _Entry, after: int, idle: float | None, rest: Rest | None = None
) -> AsyncIterator[list[Event]]:
    batch = newer(entry.events, after)
    done = len(entry.events)
    waiter = _Waiter(entry, idle)
    try:
        while True:
            if rest is not None and len(entry.events) > done:
                await rest()
            fresh = entry.events[done:]
            # A reader may know more than the log does so far, if it lives elsewhere.
            batch += newer(fresh, after) if fresh and _begins(fresh[0]) < after else fresh
            done = len(entry.events)
            if batch:
                yield batch
                batch = []
            elif entry.events and isinstance(entry.events[-1], Ended):
                return
            elif not await waiter.more():
                yield []
    finally:
        waiter.close()
