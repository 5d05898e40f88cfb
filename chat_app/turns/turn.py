"""A turn as its readers see it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from chat_app.caller import LOCAL, Caller
from chat_app.models import Message, Status
from chat_app.parts import Part, parts_of
from chat_app.turns.log import Delta, Ended, Event, Rest, Whole, newer

END_OF_INTERRUPTED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    """The two messages as they were when it was looked up, and its events."""

    user: Message
    reply: Message
    ended_at: int | None
    """The number of the end, where the turn had ended when it was looked up."""
    _follow: Callable[[int, float | None, Rest | None], AsyncIterator[list[Event]]]
    caller: Caller = LOCAL
    """Who asked; where the turn is read from the database, who reads it: both have the same owner."""

    @property
    def id(self) -> str:
        return self.reply.id

    @property
    def chat_id(self) -> str:
        return self.reply.chat_id

    def batches(
        self, after: int = 0, idle: float | None = None, rest: Rest | None = None
    ) -> AsyncIterator[list[Event]]:
        """All that is newer than the number `after` at once, then what comes, in lists; a slow reader gets longer ones.

        The place in the log is taken now: whoever asks for a turn that has ended gets its text in one piece.
        After `idle` seconds of silence comes an empty list. Before each later list is taken, `rest` is awaited: what
        comes meanwhile is in it.
        """
        return self._follow(after, idle, rest)

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """The same, one by one; the last is always an `Ended`, unless that was not newer either."""
        return _one_by_one(self.batches(after))

    async def end(self) -> Ended:
        """Wait for the end."""
        async for batch in self.batches():
            if batch and isinstance(ended := batch[-1], Ended):
                return ended
        raise AssertionError("a log always ends with Ended")


async def _one_by_one(batches: AsyncIterator[list[Event]]) -> AsyncIterator[Event]:
    async for batch in batches:
        for event in batch:
            yield event


def stored_turn(user: Message, reply: Message, caller: Caller = LOCAL) -> Turn:
    """A turn that nobody runs any more, from its messages."""
    events = _stored_events(reply)
    return Turn(user, reply, events[-1].seq, lambda after, idle, rest: replay(events, after), caller)


async def replay(events: Sequence[Event], after: int) -> AsyncIterator[list[Event]]:
    """What is newer than the number `after` of a turn that has ended."""
    if batch := newer(events, after):
        yield batch


def numbered(parts: Sequence[Part]) -> list[Event]:
    """The events of parts that are complete, one for each."""
    events: list[Event] = []
    seq = 0
    for part in parts:
        seq += part.places
        if part.data is not None:
            events.append(Whole(seq, part.kind, part.data))
        else:
            events.append(Delta(seq, part.text, part.kind, ms=part.ms))
    return events


def _stored_events(reply: Message) -> list[Event]:
    events = numbered(parts_of(reply))
    # Nobody runs what is no longer in memory, whatever its row says.
    status = Status.interrupted if reply.status == Status.streaming else Status(reply.status)
    end = events[-1].seq + 1 if events else 1
    if status is Status.interrupted:
        # A reader may have got text that was never saved: its number is beyond the stored text, and it is to be told
        # the end all the same.
        end = END_OF_INTERRUPTED
    return [*events, Ended(end, status, reply.finish_reason or status.value, reply.usage, reply.error)]
