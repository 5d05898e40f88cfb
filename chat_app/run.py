"""A running turn as its task sees it: what has come so far, and from it the turn's numbered events."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Any

from chat_app.errors import ChatError
from chat_app.log import Delta, Ended, Event, Kind
from chat_app.models import Message, Status
from chat_app.reply import Piece, storable


@dataclass(slots=True)
class Run:
    """Times in milliseconds; `seq` counts characters, `deltas` what the reply source gave."""

    user: Message
    reply: Message
    began: float = field(default_factory=time.monotonic)
    seq: int = 0
    deltas: int = 0
    first_token_ms: int | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    events: list[Event] | None = None
    """All of them, text joined, once the turn has ended."""
    generation: asyncio.Task[None] = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    _stretches: list[tuple[Kind, list[str]]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.events is not None

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)

    def note(self, piece: Piece) -> None:
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.usage = piece.usage or self.usage
        self.model = piece.model or self.model

    def head(self, text: str) -> Delta:
        """What a version that goes on begins with; it is no token of the model's."""
        return self._grown("text", text)

    def delta(self, text: str, kind: Kind) -> Delta:
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()
        self.deltas += 1
        return self._grown(kind, storable(text))

    def recast(self, text: str) -> Delta:
        """All text since the head, and this piece, was reasoning. The numbers stay what readers know them as."""
        delta = self.delta(text, "text")
        head: list[tuple[Kind, list[str]]] = [("text", [self.reply.content])] if self.reply.content else []
        thoughts = "".join(piece for _, pieces in self._stretches for piece in pieces)[len(self.reply.content) :]
        self._stretches = [*head, ("reasoning", [thoughts])]
        return replace(delta, recast=len(self.reply.content))

    def content(self) -> dict[str, str]:
        """The columns that hold the text."""
        return {"content": self._joined("text"), "reasoning": self._joined("reasoning")}

    def ended(self, status: Status, error: ChatError | None) -> Ended:
        usage = self.usage
        if usage is None and self.deltas:
            # A stopped or broken answer has no bill from the provider; a delta is about a token.
            usage = {"completion_tokens": self.deltas, "estimated": True}
        reason = self.finish_reason or "stop" if status is Status.complete else status.value
        return Ended(self.seq + 1, status, reason, usage, error.as_dict() if error else None)

    def end(self, ended: Ended) -> None:
        """Keep the events for those who come late, a stretch of text in one piece: thousands of deltas would linger."""
        events: list[Event] = []
        seq = 0
        for kind, pieces in self._stretches:
            text = "".join(pieces)
            seq += len(text)
            events.append(Delta(seq, text, kind))
        self._stretches = []
        self.events = [*events, ended]

    def _grown(self, kind: Kind, text: str) -> Delta:
        if not self._stretches or self._stretches[-1][0] != kind:
            self._stretches.append((kind, []))
        self._stretches[-1][1].append(text)
        self.seq += len(text)
        return Delta(self.seq, text, kind)

    def _joined(self, kind: Kind) -> str:
        stretches = [pieces for of, pieces in self._stretches if of == kind]
        for pieces in stretches:
            # Joined for good: a checkpoint of a long answer must not take thousands of pieces together each time.
            pieces[:] = ["".join(pieces)]
        return "".join(piece for pieces in stretches for piece in pieces)
