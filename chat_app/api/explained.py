"""What each route of the API may answer, with examples: read by `openapi.py`, shown by `docs.py`.

What can go wrong is given as the errors themselves: their code, status and sentence are in one place.
"""

from dataclasses import dataclass
from typing import Any

from chat_app.api import sse
from chat_app.api.examples import (
    CHAT,
    CHAT_ID,
    EXPORTED,
    FILE,
    IMPORTED,
    MESSAGE,
    PROGRESS,
    QUESTION,
    RESUMED,
    SELFTEST,
    STOPPED,
    STREAM,
    TIME,
    TURN_ID,
)
from chat_app.errors import (
    BodyTooLarge,
    ChatError,
    ContextTooLong,
    ForeignRequest,
    Interrupted,
    InvalidRequest,
    ModelMissing,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderSilent,
    ShuttingDown,
    StreamingOff,
    TurnRunning,
    no_answer,
    no_chat,
    no_turn,
)

SAY_HELLO = {"content": "Say hello"}

BAD = InvalidRequest("content: Field required.")
NO_CHAT, NO_TURN, NO_ANSWER = no_chat(), no_turn(), no_answer()
BUSY = TurnRunning(TURN_ID)
FOREIGN = ForeignRequest(
    "Pages of https://example.org may not use this app. Add it to CORS_ALLOWED_ORIGINS to allow it."
)
LARGE = BodyTooLarge("The body is too large; at most 400,384 bytes are read. Shorten the message.")
START = (BAD, NO_CHAT, BUSY, ShuttingDown())
PROVIDER = (
    ProviderError("The model's server cannot be reached. Check OPENAI_BASE_URL and the network, then try again."),
    ProviderRefused("The model's server does not accept the key. Check OPENAI_API_KEY, then restart."),
    ContextTooLong("The message is too long for the model. Shorten it, or choose a model that reads more."),
    ProviderBusy("The model's server is busy. Try again in 20 seconds.", retry_after=20),
    Interrupted(),
    ModelMissing("The embedded model cannot be started."),
    ProviderSilent("The model was silent for too long. Try again, or choose a faster model."),
)

HEADERS = {
    "X-Turn-Id": ("The turn; resume it or stop it by this id.", TURN_ID),
    "X-Chat-Id": ("The chat, also a new one.", CHAT_ID),
    "X-Message-Id": ("The reply's message; the same as the turn's id.", TURN_ID),
    "X-Stream-Version": ("The version of the event stream's contract.", "1"),
    "Cache-Control": ("Asks what is on the way to hold nothing back.", "no-cache, no-transform"),
    "X-Accel-Buffering": ("The same, for nginx.", "no"),
    "Content-Disposition": (
        "The file's name.",
        "attachment; filename=\"Say hello.json\"; filename*=UTF-8''Say%20hello.json",
    ),
}
OF_TURN = ("X-Turn-Id", "X-Chat-Id", "X-Message-Id")
OF_STREAM = ("X-Stream-Version", "Cache-Control", "X-Accel-Buffering")
EVENT_STREAM, JSON, LINES, MARKDOWN = "text/event-stream", "application/json", "application/x-ndjson", "text/markdown"


@dataclass(frozen=True)
class Route:
    """What FastAPI cannot know: the name, what may go wrong, and examples of what comes and goes, by media type."""

    summary: str
    errors: tuple[ChatError, ...] = ()
    gives: tuple[tuple[str, Any], ...] = ()
    takes: Any = None
    headers: tuple[str, ...] = ()
    says: str = "Done."
    links: tuple[tuple[str, str, str], ...] = ()
    """What may be asked next: the operation, its parameter, and where in this answer that is."""


ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/stream/"): Route(
        "Send a message, stream the reply",
        (*START, StreamingOff()),
        ((EVENT_STREAM, STREAM),),
        SAY_HELLO,
        OF_STREAM + OF_TURN,
        "The event stream. A failure of the model is an `error` event in it; it always ends with `[DONE]`.",
        (
            ("resume_turn", "turn_id", "$response.header.X-Turn-Id"),
            ("stop_turn", "turn_id", "$response.header.X-Turn-Id"),
            ("read_history", "chat_id", "$response.header.X-Chat-Id"),
        ),
    ),
    ("post", "/stream/{turn_id}/continue"): Route(
        "Go on with an answer, stream it",
        (BAD, NO_ANSWER, BUSY, ShuttingDown(), StreamingOff()),
        ((EVENT_STREAM, STREAM),),
        None,
        OF_STREAM + OF_TURN,
        "The event stream of the new version; the text so far is its first delta.",
        (("resume_turn", "turn_id", "$response.header.X-Turn-Id"),),
    ),
    ("get", "/stream/selftest"): Route(
        "See whether a proxy buffers",
        (StreamingOff(),),
        ((EVENT_STREAM, SELFTEST),),
        None,
        OF_STREAM,
        "Five frames, 200 ms apart.",
    ),
    ("get", "/stream/{turn_id}"): Route(
        "Replay and follow a turn",
        (
            InvalidRequest(f"Last-Event-ID 'x' is not of this turn. It looks like {TURN_ID}:42."),
            NO_TURN,
            StreamingOff(),
        ),
        ((EVENT_STREAM, RESUMED),),
        None,
        OF_STREAM + OF_TURN,
        "The event stream, every block with its id.",
    ),
    ("post", "/stream/{turn_id}/stop"): Route(
        "Stop a turn",
        (NO_TURN, StreamingOff()),
        ((JSON, STOPPED),),
        says="The reply with its text so far.",
    ),
    ("post", "/messages/"): Route(
        "Send a message, get the whole reply",
        (*START, *PROVIDER),
        ((JSON, MESSAGE),),
        SAY_HELLO,
        OF_TURN,
        "The reply.",
        (
            ("resume_turn", "turn_id", "$response.body#/id"),
            ("rate_message", "message_id", "$response.body#/id"),
            ("read_history", "chat_id", "$response.body#/chat_id"),
        ),
    ),
    ("post", "/messages/{message_id}/continue"): Route(
        "Go on with an answer, get it whole",
        (BAD, NO_ANSWER, BUSY, ShuttingDown(), *PROVIDER),
        ((JSON, MESSAGE),),
        None,
        OF_TURN,
        "The new version, with all its text.",
    ),
    ("get", "/messages/"): Route(
        "Read the history",
        (InvalidRequest("chat_id: Field required."), NO_CHAT),
        (
            (
                JSON,
                {
                    "chat_id": CHAT_ID,
                    "messages": [QUESTION, MESSAGE],
                    "next": None,
                },
            ),
        ),
        says="A page of messages.",
    ),
    ("post", "/messages/{message_id}/stop"): Route(
        "Stop a reply",
        (NO_TURN,),
        ((JSON, STOPPED),),
        says="The reply with its text so far.",
    ),
    ("post", "/messages/{message_id}/rating"): Route(
        "Rate an answer",
        (InvalidRequest("rating: Input should be -1, 0 or 1."), NO_ANSWER),
        ((JSON, MESSAGE | {"rating": 1, "remark": "Just right"}),),
        {"rating": 1, "remark": "Just right"},
        says="The answer, rated.",
    ),
    ("get", "/chats/"): Route(
        "List the chats",
        (InvalidRequest("limit: Input should be less than or equal to 500."),),
        ((JSON, {"chats": [CHAT], "next": f"{TIME},{CHAT_ID}"}),),
        says="A page of chats.",
    ),
    ("post", "/chats/"): Route(
        "Create a chat",
        (InvalidRequest("title: Input should be a valid string."),),
        ((JSON, CHAT | {"title": "Plans", "named": True, "leaf_id": None}),),
        {"title": "Plans"},
        says="The new chat.",
    ),
    ("post", "/chats/import"): Route(
        "Import chats",
        (InvalidRequest("This is no exported chat. Choose the JSON file of an export."),),
        ((JSON, IMPORTED), (LINES, f"{sse.dumps(PROGRESS)}\n{sse.dumps(IMPORTED)}\n")),
        FILE,
        says="The first of the new chats, and what came in all.",
    ),
    ("get", "/chats/export"): Route(
        "Export all chats",
        gives=((JSON, {"version": 1, "chats": [EXPORTED]}),),
        headers=("Content-Disposition",),
        says="The file.",
    ),
    ("get", "/chats/{chat_id}"): Route(
        "Read a chat",
        (NO_CHAT,),
        ((JSON, CHAT),),
        says="The chat.",
    ),
    ("patch", "/chats/{chat_id}"): Route(
        "Change a chat",
        (InvalidRequest("temperature: Input should be less than or equal to 2."), NO_CHAT),
        ((JSON, CHAT | {"pinned": True, "temperature": 0.2}),),
        {"pinned": True, "temperature": 0.2},
        says="The chat as it is now.",
    ),
    ("delete", "/chats/{chat_id}"): Route(
        "Delete a chat",
        (NO_CHAT,),
        says="It is gone, with all its messages.",
    ),
    ("get", "/chats/{chat_id}/export"): Route(
        "Export a chat",
        (InvalidRequest("format: Input should be 'json' or 'markdown'."), NO_CHAT),
        ((JSON, EXPORTED), (MARKDOWN, "# Say hello\n\n## You\n\nSay hello\n\n## Assistant\n\nHello\n")),
        None,
        ("Content-Disposition",),
        "The file.",
    ),
    ("get", "/search/"): Route(
        "Search",
        (InvalidRequest("q: Field required."),),
        (
            (
                JSON,
                {
                    "hits": [
                        {
                            "chat_id": CHAT_ID,
                            "title": "Say hello",
                            "message_id": TURN_ID,
                            "role": "assistant",
                            "snippet": [{"text": "Hello", "match": True}],
                            "when": TIME,
                        }
                    ]
                },
            ),
        ),
        says="What was found.",
    ),
}
PARAMETERS: dict[str, Any] = {
    "chat_id": CHAT_ID,
    "turn_id": TURN_ID,
    "message_id": TURN_ID,
    "q": "hello",
    "after": 3,
    "Last-Event-ID": f"{TURN_ID}:3",
    "Idempotency-Key": "my-key-1",
    "include": "reasoning",
}
