"""What a route declares of its bodies, responses and errors, in the form that FastAPI's decorators take.

Errors are declared as themselves, so that their code, status and sentence stay in one place.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from chat_app.api import sse
from chat_app.api.reference.examples import CHAT_ID, EVENT_STREAM, JSON, TURN_ID, Stream
from chat_app.api.reference.schemas import event_stream, reference
from chat_app.errors import (
    BodyTooLarge,
    ChatError,
    ContextTooLong,
    ForeignRequest,
    InternalError,
    Interrupted,
    ModelMissing,
    NotSignedIn,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderSilent,
    ReadOnly,
    ShuttingDown,
    StreamingOff,
    TurnRunning,
    no_answer,
    no_chat,
    no_message,
    no_turn,
)

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's `responses=`."""
Link = dict[str, Any]

NO_CHAT, NO_TURN, NO_ANSWER, STREAMING_OFF = no_chat(), no_turn(), no_answer(), StreamingOff()
NO_MESSAGE = no_message()
FOREIGN = ForeignRequest(
    "Pages of https://example.org may not use this app. Add it to CORS_ALLOWED_ORIGINS to allow it."
)
LARGE = BodyTooLarge("The body is too large; at most 400,384 bytes are read. Shorten the message.")
# A turn that cannot start, and the reply of one that fails.
CANNOT_START = (TurnRunning(TURN_ID), ShuttingDown())
PROVIDER_FAILS = (
    ProviderError("The model's server cannot be reached. Check OPENAI_BASE_URL and the network, then try again."),
    ProviderRefused("The model's server does not accept the key. Check OPENAI_API_KEY, then restart."),
    ContextTooLong("The message is too long for the model. Shorten it, or choose a model that reads more."),
    ProviderBusy("The model's server is busy. Try again in 20 seconds.", retry_after=20),
    Interrupted(),
    ModelMissing("The embedded model cannot be started."),
    ProviderSilent("The model was silent for too long. Try again, or choose a faster model."),
)

REASONS = {
    401: "Nobody is signed in, on a server with accounts",
    403: "A page of another origin, a host that is not ours, or a caller who may not",
    404: "It is not there",
    409: "The chat's answer is still being written",
    413: "The body is too large",
    422: "The input cannot be used",
    429: "Too much in a short time",
    500: "A fault of the server's",
    502: "The model's server failed or refused",
    503: "Busy, or about to restart",
    504: "The model was silent for too long",
}
RETRY_AFTER = {
    "description": "Seconds after which the same request may succeed, where that is known.",
    "schema": {"type": "integer"},
    "example": 5,
}


def header(says: str, example: str) -> dict[str, Any]:
    return {"description": says, "required": True, "schema": {"type": "string"}, "example": example}


OF_TURN = {
    "X-Turn-Id": header("The turn; resume it or stop it by this id.", TURN_ID),
    "X-Chat-Id": header("The chat, also a new one.", CHAT_ID),
    "X-Message-Id": header("The reply's message; the same as the turn's id.", TURN_ID),
}
OF_STREAM = {
    "X-Stream-Version": header("The version of the event stream's contract.", sse.HEADERS["X-Stream-Version"]),
    "Cache-Control": header("Asks what is on the way to hold nothing back.", sse.HEADERS["Cache-Control"]),
    "X-Accel-Buffering": header("The same, for nginx.", sse.HEADERS["X-Accel-Buffering"]),
}
OF_FILE = {
    "Content-Disposition": header(
        "The file's name.", "attachment; filename=\"Say hello.json\"; filename*=UTF-8''Say%20hello.json"
    )
}


def takes(model: type[BaseModel], example: Any, *, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body by itself."""
    content = {JSON: {"schema": reference(model.__name__), "example": example}}
    return {"requestBody": {"required": required, "content": content}}


def gives(
    example: Any,
    *,
    status: int = 200,
    schema: str | None = None,
    also: Mapping[str, str] | None = None,
    headers: Mapping[str, Any] | None = None,
    links: Iterable[Link] = (),
) -> Responses:
    """A success as JSON. FastAPI adds the schema where the route returns a model. `also`: by media type, as text."""
    described = {"example": example} | ({"schema": reference(schema)} if schema else {})
    texts = {media: {"schema": {"type": "string"}, "example": text} for media, text in (also or {}).items()}
    return {status: {"content": {JSON: described} | texts} | _beside(headers, links)}


def streams(stream: Stream, *, headers: Mapping[str, Any] | None = None, links: Iterable[Link] = ()) -> Responses:
    """A success as an event stream."""
    described = {"schema": event_stream(stream.frame), "example": stream.text}
    return {200: {"content": {EVENT_STREAM: described}} | _beside(headers, links)}


def link(operation: str, **parameters: str) -> Link:
    """What can be asked next: the operation, and where in this response each of its parameters is."""
    return {operation: {"operationId": operation, "parameters": parameters}}


def fails(*errors: ChatError) -> Responses:
    """The errors of a route by status, with those that every route has."""
    by_status: dict[int, list[ChatError]] = defaultdict(list)
    for error in (*errors, NotSignedIn(), FOREIGN, ReadOnly(), InternalError()):
        by_status[error.status].append(error)
    return {status: _failure(status, by_status[status]) for status in sorted(by_status)}


def _failure(status: int, errors: list[ChatError]) -> dict[str, Any]:
    examples = {error.code: {"value": {"error": error.as_dict()}} for error in errors}
    reason = REASONS[status]
    if any(isinstance(error, StreamingOff) for error in errors):
        reason += ", or streaming is off for this session"
    content = {JSON: {"schema": reference("ErrorBody"), "examples": examples}}
    response = {"description": f"{reason}.", "content": content}
    return response | ({"headers": {"Retry-After": RETRY_AFTER}} if status in (429, 503) else {})


def _beside(headers: Mapping[str, Any] | None, links: Iterable[Link]) -> dict[str, Any]:
    described = {"headers": headers, "links": {name: one for link in links for name, one in link.items()}}
    return {name: value for name, value in described.items() if value}
