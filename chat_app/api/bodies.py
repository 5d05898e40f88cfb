"""The JSON bodies that come in and go out."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from chat_app.api.problems import invalid
from chat_app.models import Chat, Message

Body = TypeVar("Body", bound=BaseModel)
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="The same key gives the same turn, never a second one."),
]


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("leave out the NUL character, it is no text")
    return text


TitleText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable)
]


class Ask(BaseModel):
    """A message to send; without `chat_id` it begins a new chat."""

    model_config = ConfigDict(strict=True)

    content: str
    chat_id: str | None = None


class Title(BaseModel):
    model_config = ConfigDict(strict=True)

    title: TitleText


class NewChat(BaseModel):
    model_config = ConfigDict(strict=True)

    title: TitleText = "New chat"


class ChatOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    title: str
    created_at: datetime
    updated_at: datetime


class MessageOut(BaseModel):
    """A stored message; times are UTC, `first_token_ms` and `duration_ms` are milliseconds from the turn's start."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    chat_id: str
    parent_id: str | None
    role: str
    content: str
    created_at: datetime
    status: str
    finish_reason: str | None
    model: str | None
    usage: dict[str, Any] | None
    error: dict[str, Any] | None
    first_token_ms: int | None
    duration_ms: int | None


class ChatList(BaseModel):
    """A page of chats; `next` is the `before` of the following page, null on the last."""

    chats: list[ChatOut]
    next: datetime | None


class History(BaseModel):
    """A page of messages, oldest first; `next` is the `before` of the page with older ones, null on the last."""

    chat_id: str
    messages: list[MessageOut]
    next: str | None


def chat_out(chat: Chat) -> ChatOut:
    return ChatOut.model_validate(chat)


def message_out(message: Message) -> MessageOut:
    return MessageOut.model_validate(message)


def json_body(model: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads the body as JSON whatever its Content-Type says: `curl -d` sends a form's."""

    async def read(request: Request) -> Body:
        try:
            return model.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            raise invalid(error) from None

    return read


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body with `json_body`."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
