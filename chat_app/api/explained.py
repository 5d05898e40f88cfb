"""What each route of the API may answer, with examples: read by `openapi.py`, shown by `docs.py`.

What can go wrong is given as the errors themselves: their code, status and sentence are in one place.
"""

from dataclasses import dataclass
from typing import Any

from chat_app.errors import (
    BodyTooLarge,
    ChatError,
    ContextTooLong,
    ForeignRequest,
    Interrupted,
    InvalidRequest,
    ModelMissing,
    NotFound,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderSilent,
    ShuttingDown,
    StreamingOff,
    TurnRunning,
)

CHAT_ID = "019b0000-0000-7000-8000-00000000c4a7"
TURN_ID = "019b0000-0000-7000-8000-0000000074a2"
QUESTION_ID = "019b0000-0000-7000-8000-000000004065"
TIME = "2026-01-31T12:00:00Z"

USAGE = {"prompt_tokens": 31, "completion_tokens": 2, "total_tokens": 33}
CHAT = {
    "id": CHAT_ID,
    "title": "Say hello",
    "created_at": TIME,
    "updated_at": TIME,
    "pinned": False,
    "named": False,
    "model": None,
    "system_prompt": None,
    "temperature": None,
    "leaf_id": None,
}
MESSAGE = {
    "id": TURN_ID,
    "chat_id": CHAT_ID,
    "parent_id": QUESTION_ID,
    "role": "assistant",
    "content": "Hello",
    "created_at": TIME,
    "status": "complete",
    "finish_reason": "stop",
    "model": "gpt-4o-mini",
    "usage": USAGE,
    "error": None,
    "first_token_ms": 180,
    "duration_ms": 240,
    "rating": 0,
    "remark": "",
}
STOPPED = MESSAGE | {
    "content": "Hel",
    "status": "stopped",
    "finish_reason": "stopped",
    "usage": {"completion_tokens": 1, "estimated": True},
}
FILE = {
    "version": 1,
    "chat": {"title": "Say hello", "created_at": TIME, "updated_at": TIME},
    "messages": [
        {"id": QUESTION_ID, "role": "user", "content": "Say hello", "created_at": TIME},
        {"id": TURN_ID, "parent_id": QUESTION_ID, "role": "assistant", "content": "Hello", "created_at": TIME},
    ],
}
STREAM = """data:{"role":"user","delta":"Say hello"}

data:{"role":"assistant","delta":"Hel"}

data:{"role":"assistant","delta":"lo"}

data:{"role":"assistant","delta":"","finish_reason":"stop","usage":{"prompt_tokens":31,"completion_tokens":2,"total_tokens":33}}

data:[DONE]

"""


def _with_ids(stream: str) -> str:
    """The same stream as `GET /stream/{turn_id}` sends it: a number counts the characters so far."""
    numbers = ["0", "3", "5", "6", "6"]
    blocks = stream.strip().split("\n\n")
    return "".join(f"id:{TURN_ID}:{number}\n{block}\n\n" for number, block in zip(numbers, blocks, strict=True))


SELFTEST = (
    'data:{"frame":0,"sent_ms":1769860800000}\n\ndata:{"frame":1,"sent_ms":1769860800200}\n\n…\n\ndata:[DONE]\n\n'
)
SAY_HELLO = {"content": "Say hello"}

BAD = InvalidRequest("content: Field required.")
NO_CHAT = NotFound("There is no such chat. It may have been deleted.")
NO_TURN = NotFound("There is no such turn. Its chat may have been deleted.")
NO_ANSWER = NotFound("There is no such answer. Its chat may have been deleted.")
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
    "Retry-After": ("Seconds after which the same request may succeed, where that is known.", "5"),
}
OF_TURN = ("X-Turn-Id", "X-Chat-Id", "X-Message-Id")
OF_STREAM = ("X-Stream-Version", "Cache-Control", "X-Accel-Buffering")
EVENTS, JSON, MARKDOWN = "text/event-stream", "application/json", "text/markdown"


@dataclass(frozen=True)
class Route:
    """What FastAPI cannot know: the name, what may go wrong, and examples of what comes and goes, by media type."""

    summary: str
    errors: tuple[ChatError, ...] = ()
    gives: tuple[tuple[str, Any], ...] = ()
    takes: Any = None
    headers: tuple[str, ...] = ()
    says: str = "Done."


ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/stream/"): Route(
        "Send a message, stream the reply",
        (*START, StreamingOff()),
        ((EVENTS, STREAM),),
        SAY_HELLO,
        OF_STREAM + OF_TURN,
        "The event stream. A failure of the model is an `error` event in it; it always ends with `[DONE]`.",
    ),
    ("get", "/stream/selftest"): Route(
        "See whether a proxy buffers",
        (StreamingOff(),),
        ((EVENTS, SELFTEST),),
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
        ((EVENTS, _with_ids(STREAM)),),
        None,
        OF_STREAM + OF_TURN,
        "The event stream, every block with its id.",
    ),
    ("post", "/stream/{turn_id}/stop"): Route(
        "Stop a turn",
        (InvalidRequest("turn_id: Input should be a valid string."), NO_TURN, StreamingOff()),
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
    ),
    ("get", "/messages/"): Route(
        "Read the history",
        (InvalidRequest("chat_id: Field required."), NO_CHAT),
        (
            (
                JSON,
                {
                    "chat_id": CHAT_ID,
                    "messages": [
                        MESSAGE
                        | {
                            "id": QUESTION_ID,
                            "parent_id": None,
                            "role": "user",
                            "content": "Say hello",
                            "finish_reason": None,
                            "model": None,
                            "usage": None,
                            "first_token_ms": None,
                            "duration_ms": None,
                        },
                        MESSAGE,
                    ],
                    "next": None,
                },
            ),
        ),
        says="A page of messages.",
    ),
    ("post", "/messages/{message_id}/stop"): Route(
        "Stop a reply",
        (InvalidRequest("message_id: Input should be a valid string."), NO_TURN),
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
        ((JSON, CHAT | {"title": "Plans", "named": True}),),
        {"title": "Plans"},
        says="The new chat.",
    ),
    ("post", "/chats/import"): Route(
        "Import a chat",
        (InvalidRequest("This is no exported chat. Choose the JSON file of an export."),),
        ((JSON, CHAT),),
        FILE,
        says="The new chat, with all its messages.",
    ),
    ("get", "/chats/{chat_id}"): Route(
        "Read a chat",
        (InvalidRequest("chat_id: Input should be a valid string."), NO_CHAT),
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
        (InvalidRequest("chat_id: Input should be a valid string."), NO_CHAT),
        says="It is gone, with all its messages.",
    ),
    ("get", "/chats/{chat_id}/export"): Route(
        "Export a chat",
        (InvalidRequest("format: Input should be 'json' or 'markdown'."), NO_CHAT),
        ((JSON, FILE), (MARKDOWN, "# Say hello\n\n## You\n\nSay hello\n\n## Assistant\n\nHello\n")),
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
    "last-event-id": f"{TURN_ID}:3",
    "idempotency-key": "my-key-1",
    "include": "reasoning",
}
