"""What a client gets while it reads a turn: events and errors, and how they are read from the stream. Pure: no I/O."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What a proxy says while the server behind it restarts.
GATEWAY = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: the turn runs, or ran. `message_id` is the reply's.

    `content` is the user's message; None where reading began after a number, since it is not sent again then.
    """

    turn_id: str
    chat_id: str
    message_id: str
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer; `seq` is the number to go on after: the characters of the turn up to the piece's end."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what a model thinks aloud; only where it was asked for."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A whole part of the answer, such as a `tool` or a `file`, as the server gives it; only where it was asked for."""

    seq: int
    kind: str
    data: Any


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. `finish_reason` is the model's ("stop", "length", …), or "stopped" after a stop.

    `usage` is the provider's count of tokens (`prompt_tokens`, `completion_tokens`, …), where it is known.
    """

    finish_reason: str
    usage: dict[str, Any] | None = None


Event = Started | Text | Reasoning | Part | Finished


class ClientError(Exception):
    """Why there is no answer, or no more of it; `str(error)` is a sentence for people.

    `code` is stable: the server's ("provider_refused", "not_found", "turn_running", "interrupted", …), or one of this
    client: "unreachable", "connection_lost", "redirected", "bad_address", "bad_key", "bad_proxy", "bad_answer".
    `retryable`: the same may succeed later.
    `status` is the HTTP status (200 inside a stream, None without an answer), `retry_after` in seconds. `turn_id` names
    the turn where one is known, and `text` is the answer's text so far, as far as it was read.
    """

    def __init__(
        self,
        code: str,
        message: str,
        retryable: bool = False,
        status: int | None = None,
        *,
        retry_after: float | None = None,
        turn_id: str | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.status = status
        self.retry_after = retry_after
        self.turn_id = turn_id
        self.text = text


def not_ours(body: str, status: int = 200) -> ClientError:
    """The error for an answer that no Rill server gives."""
    start = " ".join(body[:80].split())
    sentence = f"The answer ({status}) is not that of a Rill server: {start!r}."
    return ClientError("bad_answer", sentence, status in GATEWAY, status)


def parse_error(body: str, status: int) -> ClientError:
    """The error in a JSON body, with the text that a failed reply keeps."""
    try:
        value = json.loads(body)
        reply = value.get("message") or {}
        return error_of(value["error"], status, reply.get("id"), reply.get("content", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        return not_ours(body, status)


def error_of(error: dict[str, Any], status: int, turn_id: str | None, text: str) -> ClientError:
    return ClientError(
        error["code"],
        error["message"],
        error.get("retryable", False),
        status,
        retry_after=error.get("retry_after"),
        turn_id=error.get("turn_id") or turn_id,
        text=text,
    )


class Reading:
    """How far a turn has been read: blocks in, events out, none of them twice however often it is begun again.

    `after` is the number of the last event; -1: nothing yet, the user's message is to come as well. `whole`: the server
    has nothing newer, so that only a replay of it all can tell how the turn ended. `timing` is what the server said of
    its share when it was `told`, `took` how long the first response took to begin, `breaks` how often one was lost.
    """

    def __init__(self, turn_id: str = "", after: int = -1) -> None:
        self.turn_id = turn_id
        self.after = after
        self.whole = False
        self.started: Started | None = None
        self.timing: dict[str, float] | None = None
        self.told: float | None = None
        self.took = 0.0
        self.breaks = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def opened(self, headers: Mapping[str, str]) -> Started | None:
        """A response began; the event is there where no user's message will follow."""
        self.turn_id = headers["X-Turn-Id"]
        if self.started or self.after < 0:
            return None
        return self._start(headers, None)

    def event(self, headers: Mapping[str, str], name: str, data: str, id: str) -> Event | None:
        """The event in a block of a stream, if it is a new one. Raises ClientError where it tells of a failure."""
        if data in ("", "[DONE]"):
            return None
        try:
            value = json.loads(data)
            if name == "timing":
                self.timing, self.told = value["timing"], time.monotonic()
                return None
            if name not in ("message", "reasoning", "error"):
                return self._part(name, value, id)
            if "error" in value:
                raise error_of(value["error"], 200, self.turn_id, self.text)
            if value["role"] == "user":
                return None if self.started else self._start(headers, value["delta"])
            if "finish_reason" in value:
                return Finished(str(value["finish_reason"]), value.get("usage"))
            return self._piece(name, value["delta"], int(id.rpartition(":")[2]))
        except (ValueError, TypeError, KeyError) as error:
            raise not_ours(data) from error

    def _start(self, headers: Mapping[str, str], content: str | None) -> Started:
        self.after = max(self.after, 0)
        self.started = Started(self.turn_id, headers["X-Chat-Id"], headers["X-Message-Id"], content)
        return self.started

    def _part(self, kind: str, value: dict[str, Any], id: str) -> Part | None:
        seq = int(id.rpartition(":")[2] or 0)
        if kind not in value or seq <= self.after:
            return None
        self.after = seq
        return Part(seq, kind, value[kind])

    def _piece(self, name: str, text: str, seq: int) -> Text | Reasoning | None:
        # A replay from the start may reach back, also in the middle of a piece.
        text = text[max(self.after - (seq - len(text)), 0) :]
        self.after = max(self.after, seq)
        if not text:
            return None
        if name == "reasoning":
            return Reasoning(seq, text)
        self._pieces.append(text)
        return Text(seq, text)
