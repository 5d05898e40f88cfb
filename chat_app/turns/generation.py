"""A running turn as its task sees it: what has come so far, and from it the turn's numbered events."""

import asyncio
import json
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from chat_app.caller import LOCAL, Caller
from chat_app.errors import ChatError
from chat_app.models import Message, Status
from chat_app.parts import REASONING, RECAST, TEXT, Part, recast
from chat_app.reply import Given, Piece, checked, storable
from chat_app.turns.allowance import Allowance
from chat_app.turns.journal import Page
from chat_app.turns.log import Delta, Ended, Event, Whole
from chat_app.turns.turn import numbered


@dataclass(slots=True)
class Growing:
    """A part as it grows: its texts, and since when."""

    kind: str
    since: float
    texts: list[str] = field(default_factory=list)
    data: dict[str, Any] | None = None
    ms: int | None = None

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.since) * 1000)

    def part(self) -> Part:
        return Part(self.kind, "".join(self.texts), self.data, self.ms)


@dataclass(slots=True, eq=False)
class Generation:
    """Times in milliseconds; `deltas` counts what the reply source gave. `page` is the turn's in the journal.

    No text gets a number beyond `limit`. `stopped` is done once somebody asks for the end.
    """

    user: Message
    reply: Message
    page: Page
    limit: int
    caller: Caller = LOCAL
    began: float = field(default_factory=time.monotonic)
    deltas: int = 0
    first_token_ms: int | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    stopped: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    unseen: list[Event] = field(default_factory=list)
    """What is not in the log yet."""
    showing: asyncio.Lock = field(default_factory=asyncio.Lock)
    source: AsyncGenerator[Any, None] | None = None
    allowance: Allowance | None = None
    task: asyncio.Task[None] = field(init=False)
    on_first: Callable[[], None] = lambda: None
    """Called with the first of what the source gives."""
    _parts: list[Growing] = field(default_factory=list)

    @property
    def stopping(self) -> bool:
        return self.stopped.done()

    def stop(self) -> None:
        if not self.stopped.done():
            self.stopped.set_result(None)

    @property
    def seq(self) -> int:
        return self.page.seq

    @property
    def full(self) -> bool:
        return self.page.seq >= self.limit

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)

    def seen(self, reach: float) -> list[Event]:
        """Take what was not seen up to that number."""
        if self.page.seq <= reach:
            events, self.unseen = self.unseen, []
            return events
        count = bisect_right(self.unseen, reach, key=lambda event: event.seq)
        events, self.unseen = self.unseen[:count], self.unseen[count:]
        return events

    def head(self, text: str) -> Delta:
        """What a version that goes on begins with; it is stored, and no token of the model's."""
        self._part(TEXT).texts.append(text)
        return Delta(self.page.seq, text)

    def take(self, given: Given) -> list[Event]:
        """What a reply source gave, as events. Raises BadReply."""
        events: list[Event] = []
        for one in given if isinstance(given, list) else (given,):
            if self.full:
                break
            piece = one if type(one) is str else checked(one)
            if isinstance(piece, str):
                if piece:
                    events.append(self._grown(TEXT, piece))
            elif isinstance(piece, Part):
                events.append(self._added(piece))
            elif piece:
                events += self._noted(piece)
        return events

    @property
    def answered(self) -> bool:
        """Whether anything has come but white space."""
        return any(part.data is not None or "".join(part.texts).strip() for part in self._parts)

    def parts(self) -> list[Part]:
        return [growing.part() for growing in self._parts]

    def ended(self, status: Status, error: ChatError | None) -> Ended:
        usage = self.usage
        if usage is None and self.deltas:
            # A stopped or broken answer has no bill from the provider; a delta is about a token.
            usage = {"completion_tokens": self.deltas, "estimated": True}
        reason = self.finish_reason or "stop" if status is Status.complete else status.value
        self._end_part()
        return Ended(self.seq + 1, status, reason, usage, error.as_dict() if error else None)

    def events(self, ended: Ended) -> list[Event]:
        """All of them for those who come late, a part in one piece: thousands of deltas would linger."""
        return [*numbered(self.parts()), ended]

    def _noted(self, piece: Piece) -> Iterable[Event]:
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.usage = piece.usage or self.usage
        self.model = piece.model or self.model
        if piece.reasoning:
            yield self._grown(REASONING, piece.reasoning)
        if piece.recast and (piece.text or self._parts):
            yield self._recast(piece.text)
        elif piece.text and not self.full:
            yield self._grown(TEXT, piece.text)

    def _recast(self, text: str) -> Delta:
        """All text since the head, and this piece, was reasoning. The numbers stay what readers know them as."""
        delta = self._grown(TEXT, text)
        head = len(self.reply.content)
        since = self._parts[0].since
        self._parts = [Growing(part.kind, since, [part.text], part.data) for part in recast(self.parts(), head)]
        self.page.add(len(self._parts), RECAST, str(head), 0)
        return replace(delta, recast=head, ms=self._parts[-1].elapsed_ms)

    def _added(self, part: Part) -> Whole:
        self._counted()
        self._end_part()
        self._parts.append(Growing(part.kind, time.monotonic(), data=part.data))
        self.page.add(len(self._parts) - 1, part.kind, json.dumps(part.data), 1)
        return Whole(self.page.seq, part.kind, part.data or {})

    def _grown(self, kind: str, text: str) -> Delta:
        self._counted()
        text = storable(text[: self.limit - self.page.seq])
        part = self._part(kind)
        part.texts.append(text)
        self.page.add(len(self._parts) - 1, kind, text, len(text))
        return Delta(self.page.seq, text, kind, ms=part.elapsed_ms if kind == REASONING else None)

    def _counted(self) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()
            self.on_first()
        self.deltas += 1

    def _part(self, kind: str) -> Growing:
        """The last part if it is of that kind, else a new one."""
        if not self._parts or self._parts[-1].kind != kind:
            self._end_part()
            self._parts.append(Growing(kind, time.monotonic()))
        return self._parts[-1]

    def _end_part(self) -> None:
        if self._parts and (last := self._parts[-1]).kind == REASONING and last.ms is None:
            last.ms = last.elapsed_ms
