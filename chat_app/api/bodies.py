"""The JSON bodies that come in and go out."""

import json
from collections.abc import Awaitable, Callable, Container
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from chat_app.api.problems import invalid
from chat_app.api.reference.schemas import or_null
from chat_app.measures import Measure, Survey
from chat_app.models import Chat, Message, Role, Status
from chat_app.parts import Part, parts_of
from chat_app.store.chatfile import WORDS_PATTERN, ChatFile, ChatsFile, Name, Rating, Remark, SystemPrompt, Temperature
from chat_app.store.chatfiles.reading import Imported
from chat_app.store.search import Hit

Body = TypeVar("Body", bound=BaseModel)
MAX_METADATA_CHARS = 16_384


def bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        length = len(json.dumps(metadata, allow_nan=False))
    except (ValueError, RecursionError):
        raise ValueError("it holds what is no JSON, such as NaN") from None
    if length > MAX_METADATA_CHARS:
        raise ValueError(f"it has {length:,} characters as JSON; at most {MAX_METADATA_CHARS:,} are allowed")
    return metadata


Metadata = Annotated[
    dict[str, Any],
    AfterValidator(bounded),
    Field(description=f"An object for `REPLIES`, of at most {MAX_METADATA_CHARS:,} characters as JSON."),
]


Words = Annotated[
    str,
    Field(
        description="Not only white space, no NUL, at most MAX_MESSAGE_CHARS characters.",
        json_schema_extra={"pattern": WORDS_PATTERN},
    ),
]


class Ask(BaseModel):
    """A message to send; without `chat_id` it begins a new chat."""

    model_config = ConfigDict(strict=True)

    content: Words
    chat_id: str | None = None
    metadata: Metadata | None = None


class Question(BaseModel):
    """What is to be asked in a chat."""

    model_config = ConfigDict(strict=True)

    content: Words


class QueuedOut(BaseModel):
    """A question that waits. `key` is the one it was sent with, `error` says why it could not be asked."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    key: str
    content: str
    created_at: datetime
    error: Annotated[dict[str, Any] | None, or_null("Problem")]


class LineOut(BaseModel):
    """What waits in a chat, the first to be asked first, and the turn that runs there."""

    chat_id: str
    turn_id: str | None
    questions: list[QueuedOut]
    held: bool


class NewChat(BaseModel):
    """Without a title, the chat gets one from its first message."""

    model_config = ConfigDict(strict=True)

    title: Name = "New chat"


class ChatChange(BaseModel):
    """At least one of them; null gives `model`, `system_prompt` and `temperature` back to the app's default."""

    # A name that is not known is refused: with a misspelt one, nothing would change and nobody would notice.
    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"minProperties": 1})

    # They may be left out, but are never null.
    title: Name = Field(default_factory=str)
    pinned: bool = Field(default_factory=bool)
    model: Name | None = None
    system_prompt: SystemPrompt | None = None
    temperature: Temperature | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        return self


class Feedback(BaseModel):
    """Thumbs up (1), down (-1), or neither (0), and why."""

    model_config = ConfigDict(strict=True)

    rating: Rating
    remark: Remark = ""


class ChatOut(BaseModel):
    """A chat. `named`: a person or the model gave the title; null is the app's default; the shown path ends with
    `leaf_id`, null is the newest message."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    pinned: bool
    named: bool
    model: str | None
    system_prompt: str | None
    temperature: float | None
    leaf_id: str | None


class Arrived(BaseModel):
    """What an import brought; `left_out` counts, by its kind, what could not be kept, and `summary` says it all."""

    chats: int
    messages: int
    left_out: dict[str, int]
    summary: str


class ImportOut(ChatOut):
    """The first chat that was imported, and how many came."""

    imported: Arrived


class MessageOut(BaseModel):
    """A stored message; times are UTC, `first_token_ms` and `duration_ms` are milliseconds from the turn's start."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    chat_id: str
    parent_id: str | None
    role: Role
    content: str
    created_at: datetime
    status: Status
    finish_reason: str | None
    model: str | None
    usage: Annotated[dict[str, Any] | None, or_null("Usage")]
    error: Annotated[dict[str, Any] | None, or_null("Problem")]
    first_token_ms: int | None
    duration_ms: int | None
    rating: int
    remark: str


class MessageWithParts(MessageOut):
    """A message and its parts in their order: growing ones as `{"type": "reasoning", "text": "…", "ms": 1200}` (`ms` is
    how long the model thought, where that is known), whole ones as `{"type": "tool", "tool": {…}}`."""

    parts: list[dict[str, Any]]


class ChatList(BaseModel):
    """A page of chats; `next` is the `before` of the following page, null on the last."""

    chats: list[ChatOut]
    next: str | None


class SnippetPart(BaseModel):
    text: str
    match: bool


class HitOut(BaseModel):
    """A chat whose title matches (`message_id` and `role` are null), or a message; `when` it was last used, or sent."""

    chat_id: str
    title: str
    message_id: str | None
    role: Role | None
    snippet: list[SnippetPart]
    when: datetime


class HitList(BaseModel):
    hits: list[HitOut]


class History(BaseModel):
    """A page of messages, oldest first; `next` is the `before` of the page with older ones, null on the last."""

    chat_id: str
    messages: list[MessageWithParts | MessageOut]
    next: str | None


def chat_out(chat: Chat) -> ChatOut:
    return ChatOut.model_validate(chat)


def import_out(first: Chat, imported: Imported) -> ImportOut:
    arrived = Arrived(
        chats=len(imported.chat_ids),
        messages=imported.messages,
        left_out=dict(imported.left_out),
        summary=imported.sentence,
    )
    return ImportOut(**chat_out(first).model_dump(), imported=arrived)


def message_out(message: Message) -> MessageOut:
    return MessageOut.model_validate(message)


def message_with_parts(message: Message, kinds: Container[str]) -> MessageWithParts:
    """Its text, and the parts of these kinds."""
    parts = [_part(part) for part in parts_of(message) if part.kind in kinds]
    return MessageWithParts(**message_out(message).model_dump(), parts=parts)


def _part(part: Part) -> dict[str, Any]:
    if part.data is not None:
        return {"type": part.kind, part.kind: part.data}
    return {"type": part.kind, "text": part.text} | ({} if part.ms is None else {"ms": part.ms})


def hit_out(hit: Hit) -> HitOut:
    return HitOut(
        chat_id=hit.chat_id,
        title=hit.title,
        message_id=hit.message_id,
        role=Role(hit.role) if hit.role else None,
        snippet=[SnippetPart(text=text, match=match) for text, match in hit.snippet],
        when=hit.when,
    )


TAKEN: tuple[type[BaseModel], ...] = (
    Ask,
    Question,
    NewChat,
    ChatChange,
    Feedback,
    ChatFile,
    ChatsFile,
    Measure,
    Survey,
)
"""The bodies that come in."""


def json_body(model: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads the body as JSON whatever its Content-Type says: `curl -d` sends a form's."""

    async def read(request: Request) -> Body:
        try:
            return model.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            raise invalid(error) from None

    return read
