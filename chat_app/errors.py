"""Every error that a user may see, each with its code, its HTTP status and a sentence that says what to do."""

import math
from collections.abc import Mapping
from typing import Any

SHOWN_CHARS = 100
SENTENCE_CHARS = 2_000


class ChatError(Exception):
    """Base of all; `str(error)` is the sentence shown to the user.

    `code` is stable and machine-readable, `status` the HTTP status of `/messages/` and `/chats/`, `retryable` says
    whether the same request may succeed later, `retry_after` (seconds) becomes the header of that name.
    """

    code = "internal_error"
    status = 500
    retryable = False
    provider_status: int | None = None
    """What the model's server answered with, HTTP's number, for the log."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after

    @property
    def told(self) -> str:
        """The sentence for a person at the page, where it is another than the one for programs."""
        return self.message

    def as_dict(self) -> dict[str, Any]:
        """`{"code": str, "message": str, "retryable": bool}`, and `retry_after` (seconds) where it is known; the
        `status` of an error from outside, whose code does not tell it."""
        known = {"code": self.code, "message": self._sentence(), "retryable": bool(self.retryable)}
        if self._own_status() != status_of(known):
            known["status"] = self._own_status()
        wait = self.retry_after if isinstance(self.retry_after, int | float) and math.isfinite(self.retry_after) else 0
        return known | ({"retry_after": wait} if wait > 0 else {})

    def _own_status(self) -> int:
        """Of a class that is not ours: whatever it says, if that is an error's."""
        return self.status if isinstance(self.status, int) and 400 <= self.status < 600 else ChatError.status

    def _sentence(self) -> str:
        """What a user's function raises may be no text, or one that no database takes."""
        text = self.message if isinstance(self.message, str) else str(self.message)
        return shown(text.encode("utf-8", "replace").decode().replace("\0", "\ufffd"), SENTENCE_CHARS)


class InternalError(ChatError):
    """A fault of ours; the details are in the server's log only."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("Something went wrong on the server. Try again; the server's log has the details.")


class SettingsError(ChatError):
    """A setting that cannot be used; it stops the start."""

    code = "bad_setting"


class CannotStart(ChatError):
    """Something outside the settings that is to be mended before a start."""

    code = "cannot_start"


class InvalidRequest(ChatError):
    """Malformed, empty or over-long input."""

    code = "invalid_request"
    status = 422


class Refused(InvalidRequest):
    """A question that is not to be asked here: for hooks to raise, with a sentence for the person."""

    code = "refused"


class KeyReused(InvalidRequest):
    """An idempotency key that began another turn than the one that is asked for."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another message. Send a new message under a new key; "
            "a message that is sent again keeps its key, its content and its chat_id."
        )


class NotFound(ChatError):
    """A chat, message or turn that does not exist."""

    code = "not_found"
    status = 404


class NoChat(NotFound):
    """A chat that was deleted, or never was."""

    told = "This chat is not here any more: it was deleted. Begin a new one."

    def __init__(self) -> None:
        super().__init__("There is no such chat. It may have been deleted; leave out chat_id to begin a new one.")


def no_chat() -> NotFound:
    return NoChat()


def too_long(length: str, limit: int) -> InvalidRequest:
    """`length` as it is to be shown: the page writes its own into the sentence."""
    return InvalidRequest(f"The message has {length} characters; at most {limit:,} are allowed. Shorten it.")


def no_message() -> NotFound:
    return NotFound("There is no such message. Its chat may have been deleted.")


def no_answer() -> NotFound:
    return NotFound("There is no such answer. Its chat may have been deleted.")


def not_queued() -> NotFound:
    return NotFound("This question does not wait any more: it was asked, or removed.")


def no_turn() -> NotFound:
    return NotFound("There is no such turn. Its chat may have been deleted.")


class StreamingOff(NotFound):
    """`FEATURE_STREAMING` leaves this session out."""

    code = "streaming_off"

    def __init__(self) -> None:
        super().__init__("Streaming is turned off for this session. Use POST /messages/, which gives the whole reply.")


class TurnRunning(ChatError):
    """A second turn in a chat whose answer still grows."""

    code = "turn_running"
    status = 409
    retryable = True

    def __init__(self, turn_id: str) -> None:
        super().__init__("An answer is still being written in this chat. Wait for it, or stop it first.")
        self.turn_id = turn_id

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"turn_id": self.turn_id}


class QueueFull(ChatError):
    """More questions than may wait in one chat."""

    code = "queue_full"
    status = 409
    retryable = True

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} questions wait in this chat already. Wait for an answer, or remove one of them.")


class LimitReached(ChatError):
    """More than one may have of something; it is there again after a while."""

    code = "limit_reached"
    status = 429
    retryable = True


class TooManyTurns(LimitReached):
    """As many answers are being written as may be at a time."""

    code = "too_many_turns"

    def __init__(self, most: int, whose: str) -> None:
        super().__init__(
            f"{most:,} answers are being written {whose} already. Try again when one of them has ended.", retry_after=5
        )


class TooManyFollowers(LimitReached):
    """More turns than one websocket may follow at the same time."""

    code = "too_many_followers"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"At most {most:,} answers are followed by one websocket. Wait for one, or open another.", retry_after=5
        )


class TooManyConnections(LimitReached):
    """More requests and websockets at the same time than an address may have."""

    code = "too_many_connections"

    def __init__(self, most: int) -> None:
        super().__init__(f"At most {most:,} connections of one address are served. Close some of them.", retry_after=5)


class SpendingLimit(LimitReached):
    """The tokens or the dollars of a day or a month are used up; it comes too while an answer is being written."""

    code = "spending_limit"

    def __init__(self, limit: str, seconds: float) -> None:
        super().__init__(f"The limit of {limit} is reached. {_comes_back(seconds)}", retry_after=seconds)


def _comes_back(seconds: float) -> str:
    hours = math.ceil(seconds / 3600)
    return f"Go on in {hours} h." if hours < 48 else f"Go on in {math.ceil(hours / 24)} days."


class BodyTooLarge(ChatError):
    """A request body over the limit."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(ChatError):
    """A body that does not come."""

    code = "request_timeout"
    status = 408
    retryable = True

    def __init__(self) -> None:
        super().__init__("The body of the request did not come in time. Send it again, without a pause.")


class ServerBusy(ChatError):
    """More at once than the server has file descriptors for."""

    code = "server_busy"
    status = 503
    retryable = True

    def __init__(self) -> None:
        super().__init__("The server has as many connections as it can take. Try again in a moment.", retry_after=5)


class TooManyRequests(LimitReached):
    """More of one kind in a short time than anybody needs."""

    code = "too_many_requests"


class MeasuresOff(NotFound):
    """The setting MEASURES."""

    code = "measures_off"

    def __init__(self) -> None:
        super().__init__("Measuring is turned off here (MEASURES=false). Nothing was kept.")


class ForeignRequest(ChatError):
    """A page of another origin, or a Host that is not ours."""

    code = "forbidden"
    status = 403


class NotSignedIn(ChatError):
    """Nobody that is known here asks for what has an owner."""

    code = "not_signed_in"
    status = 401

    def __init__(
        self, message: str = "Nobody is signed in here. Sign in, or send an API key: the page /account makes one."
    ) -> None:
        super().__init__(message)


class ReadOnly(ChatError):
    """A key of the scope `read` for what changes something."""

    code = "read_only"
    status = 403

    def __init__(self) -> None:
        super().__init__("This key may only read. Use one of the scope `chat` to ask and to change chats.")


class AdministratorsOnly(ChatError):
    """What is about all people of a server, and asked by somebody who does not run it."""

    code = "administrators_only"
    status = 403

    def __init__(self) -> None:
        super().__init__("Only an administrator may see this. Ask the one who runs this server.")


class VisitorsElsewhere(ChatError):
    """A visitor of the chat in somebody's page, at another door than that chat uses."""

    code = "visitors_elsewhere"
    status = 403

    def __init__(self) -> None:
        super().__init__("This is for people with an account. Visitors have the chat at /embed.")


class NoKeyHere(ChatError):
    """An API key for what is a person's alone. Else one that may only read could make one that may do more."""

    code = "no_key_here"
    status = 403

    def __init__(self) -> None:
        super().__init__("An account is its person's: sign in with a browser. API keys open the API alone.")


class BadHost(ChatError):
    """A request with two hosts, or with one that is no host at all."""

    code = "bad_host"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "The request does not say for which host it is. Send one Host header, with a name or an address."
        )


class ProviderError(ChatError):
    """The model's server failed or could not be reached."""

    code = "provider_error"
    status = 502
    retryable = True


class ProviderRefused(ProviderError):
    """The provider will not serve this request as it is configured (key, model, address)."""

    code = "provider_refused"
    retryable = False


class ProviderBusy(ProviderError):
    """The provider said 429."""

    code = "provider_busy"
    status = 503


class ProviderSilent(ProviderError):
    """The provider sent nothing for too long."""

    code = "provider_silent"
    status = 504


class ContextTooLong(ProviderError):
    """The messages do not fit the model's context."""

    code = "context_too_long"
    retryable = False


class NoAnswer(ProviderError):
    """The model ended without an answer: nothing at all, or thoughts alone."""

    code = "no_answer"


class ContentFiltered(ProviderError):
    """The provider's filter held the answer back, or the rest of it."""

    code = "content_filtered"


class ToolCalled(ProviderError):
    """The model asked for a tool that nobody offered."""

    code = "tool_called"


class BadReply(ChatError):
    """REPLIES' function yielded something that is no piece of a reply."""

    code = "bad_reply"
    status = 502


class ModelMissing(ChatError):
    """The embedded model cannot be started."""

    code = "model_missing"
    status = 503
    retryable = True


class DatabaseUnavailable(ChatError):
    """The database is down, does not answer in time, or cannot be written."""

    code = "database_unavailable"
    status = 503
    retryable = True

    def __init__(
        self, message: str = "The database does not answer at the moment. Nothing is lost; try again in a few seconds."
    ) -> None:
        super().__init__(message, retry_after=5)


class DiskFull(DatabaseUnavailable):
    """The database has no space left."""

    code = "disk_full"

    def __init__(self) -> None:
        super().__init__(
            "Nothing more can be saved: the disk of the server is full. Try again when there is room on it."
        )


class ShuttingDown(ChatError):
    """No new turns while the server ends."""

    code = "shutting_down"
    status = 503
    retryable = True

    def __init__(self) -> None:
        super().__init__("The server is about to restart. Try again in a moment.", retry_after=5)


class Interrupted(ChatError):
    """The server ended while the answer grew."""

    code = "interrupted"
    status = 503
    retryable = True

    def __init__(self) -> None:
        super().__init__("The server ended while this answer was being written. Its text so far is kept; try again.")


def shown(text: str, most: int = SHOWN_CHARS) -> str:
    """What a client sent, for a sentence: a short beginning of it."""
    return text if len(text) <= most else text[:most] + "…"


def http_status(code: str) -> int:
    """The HTTP status of an error's code, also of one that was read back from the database."""
    return _STATUS.get(code, InternalError.status)


def status_of(error: Mapping[str, Any]) -> int:
    """The HTTP status of a `ChatError.as_dict()`."""
    return int(error.get("status") or http_status(error["code"]))


def _kinds(kind: type[ChatError]) -> list[type[ChatError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _kinds(child))]


def is_code(code: str) -> bool:
    """Whether it is the code of one of ours."""
    return code in _STATUS


_STATUS = {kind.code: kind.status for kind in _kinds(ChatError)}
