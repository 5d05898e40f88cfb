"""A reply in the shapes of OpenAI's chat completions, as chunks and whole. Pure."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat_app.errors import Interrupted
from chat_app.models import Status
from chat_app.parts import REASONING, TEXT
from chat_app.reply import Piece
from chat_app.turns.log import Delta, Ended, Event
from chat_app.turns.turn import Turn


@dataclass(frozen=True, slots=True)
class Step:
    """What comes at once: a `delta` of choice `index`, that choice's end, the usage, or the error that ends all."""

    delta: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    error: dict[str, Any] | None = None
    index: int = 0


class Head:
    """What all chunks of one answer have in common. `turn` is there where the answer is one."""

    def __init__(self, model: str, turn: Turn | None = None) -> None:
        self.model = model
        self.id = f"chatcmpl-{turn.id if turn else uuid.uuid4().hex}"
        self.created = int(time.time())
        self.more = {"metadata": {"chat_id": turn.chat_id, "turn_id": turn.id}} if turn else {}

    def first(self) -> dict[str, Any]:
        return self._chunk([_choice({"role": "assistant", "content": ""})])

    def chunk(self, step: Step) -> dict[str, Any] | None:
        """None where there is nothing to say before the end, such as the usage."""
        self.model = step.model or self.model
        if not step.delta and step.finish_reason is None:
            return None
        return self._chunk([_choice(step.delta, step.finish_reason, step.index)])

    def last(self, usage: Mapping[str, Any] | None) -> dict[str, Any]:
        """The chunk that `stream_options.include_usage` asks for."""
        return self._chunk([]) | {"usage": usage}

    def named(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model} | self.more

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self.named("chat.completion.chunk") | {"choices": choices}


def completion(head: Head, steps: Sequence[Step]) -> dict[str, Any]:
    """The whole answer from its steps."""
    for step in steps:
        head.model = step.model or head.model
    indexes = sorted({step.index for step in steps if step.delta or step.finish_reason}) or [0]
    choices = [_whole_choice(index, [step for step in steps if step.index == index]) for index in indexes]
    usage = next((step.usage for step in reversed(steps) if step.usage), None)
    return head.named("chat.completion") | {"choices": choices, "usage": usage}


def event_step(event: Event) -> Step | None:
    """Of a turn's event; None for parts that these shapes have no place for."""
    if isinstance(event, Delta):
        return Step(_text(event.kind, event.text))
    if not isinstance(event, Ended):
        return None
    if event.status in (Status.failed, Status.interrupted):
        return Step(error=event.error or Interrupted().as_dict())
    return Step(finish_reason="stop" if event.finish_reason == "stopped" else event.finish_reason, usage=event.usage)


def piece_steps(piece: Piece) -> list[Step]:
    """Of what a reply source yields, thoughts first."""
    texts = [(REASONING, piece.reasoning), (TEXT, piece.text)]
    steps = [Step(_text(kind, text)) for kind, text in texts if text]
    rest = Step(finish_reason=piece.finish_reason, usage=piece.usage, model=piece.model)
    return [*steps, rest] if rest != Step() else steps


def choice_step(choice: Mapping[str, Any], model: str | None) -> Step:
    """Of a provider's choice, also of one that came whole."""
    given = choice.get("delta") or choice.get("message") or {}
    delta = {name: value for name, value in given.items() if name != "role" and value is not None}
    return Step(delta, choice.get("finish_reason") or None, model=model, index=choice.get("index") or 0)


def _text(kind: str, text: str) -> dict[str, str]:
    return {"reasoning_content" if kind == REASONING else "content": text}


def _choice(delta: Mapping[str, Any], finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _whole_choice(index: int, steps: Sequence[Step]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, dict[str, Any]] = {}
    for step in steps:
        for name, value in step.delta.items():
            if name == "tool_calls":
                _join_calls(calls, value)
            elif isinstance(value, str):
                message[name] = (message.get(name) or "") + value
            else:
                message[name] = value
    if calls:
        message["tool_calls"] = [calls[number] for number in sorted(calls)]
    reason = next((step.finish_reason for step in reversed(steps) if step.finish_reason), "stop")
    return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


def _join_calls(calls: dict[int, dict[str, Any]], pieces: Sequence[Mapping[str, Any]]) -> None:
    """Tools' calls come in pieces: the name once, the arguments bit by bit."""
    for number, piece in enumerate(pieces):
        number = piece.get("index", number)
        call = calls.setdefault(number, {"type": "function", "function": {"name": "", "arguments": ""}})
        function = piece.get("function") or {}
        call.update({name: value for name, value in piece.items() if name not in ("index", "function") and value})
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""
