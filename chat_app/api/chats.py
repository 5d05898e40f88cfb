"""`/chats/`: list, create, read, change, delete, and one as a file; `files` has what is about many."""

import json
import re
import unicodedata
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from chat_app.api.bodies import ChatChange, ChatList, ChatOut, NewChat, chat_out, json_body
from chat_app.api.own import Own
from chat_app.api.parameters import ChatId, Left
from chat_app.api.reference import examples
from chat_app.api.reference.responses import LARGE, NO_CHAT, OF_FILE, fails, gives, takes
from chat_app.errors import InvalidRequest
from chat_app.models import Chat
from chat_app.store.chatfile import Time

router = APIRouter(prefix="/chats", tags=["chats"])

FILE_NAME_CHARS = 80

_PLACE = re.compile(r"(?:(pinned),)?([^,]+)(?:,([0-9a-f-]+))?")
_TIME: TypeAdapter[datetime] = TypeAdapter(Time)


def _next(chat: Chat) -> str:
    """A place in the list as text: `[pinned,]TIME,ID`. The time alone would leave out a chat used at the same time."""
    time = chat.updated_at.isoformat().replace("+00:00", "Z")
    return f"{'pinned,' if chat.pinned else ''}{time},{chat.id}"


def _place(before: str) -> tuple[bool, datetime, str]:
    """A `next`, or a time alone."""
    match = _PLACE.fullmatch(before)
    try:
        if match is None:
            raise ValueError
        return match[1] is not None, _TIME.validate_python(match[2]), match[3] or ""
    except (ValidationError, ValueError):
        raise InvalidRequest(
            "before: give the `next` of the page before, or a time with its zone such as 2026-01-31T12:00:00Z."
        ) from None


@router.get(
    "/",
    summary="List the chats",
    response_description="A page of chats.",
    responses=gives({"chats": [examples.CHAT], "next": f"{examples.TIME},{examples.CHAT_ID}"})
    | fails(InvalidRequest("limit: Input should be less than or equal to 500.")),
)
async def list_chats(
    own: Own,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str | Left, Query(description="The `next` of the page before, or a time.")] = None,
) -> ChatList:
    """The pinned first, then the most recently used."""
    found = await own.library.chats(limit + 1, _place(before) if before is not None else None)
    page = found[:limit]
    return ChatList(chats=[chat_out(chat) for chat in page], next=_next(page[-1]) if len(found) > limit else None)


@router.post(
    "/",
    summary="Create a chat",
    openapi_extra=takes(NewChat, {"title": "Plans"}, required=False),
    status_code=201,
    response_description="The new chat.",
    responses=gives(examples.CHAT | {"title": "Plans", "named": True, "leaf_id": None}, status=201)
    | fails(InvalidRequest("title: Input should be a valid string."), LARGE),
)
async def create_chat(own: Own, new: Annotated[NewChat, Depends(json_body(NewChat))]) -> ChatOut:
    """Without a title, it gets one from its first message."""
    return chat_out(await own.create_chat(new.title if new.model_fields_set else None))


@router.get(
    "/{chat_id}",
    summary="Read a chat",
    response_description="The chat.",
    responses=gives(examples.CHAT) | fails(NO_CHAT),
)
async def read_chat(own: Own, chat_id: ChatId) -> ChatOut:
    return chat_out(await own.library.chat(chat_id))


@router.patch(
    "/{chat_id}",
    summary="Change a chat",
    openapi_extra=takes(ChatChange, {"pinned": True, "temperature": 0.2}),
    response_description="The chat as it is now.",
    responses=gives(examples.CHAT | {"pinned": True, "temperature": 0.2})
    | fails(InvalidRequest("temperature: Input should be less than or equal to 2."), LARGE, NO_CHAT),
)
async def change_chat(own: Own, chat_id: ChatId, new: Annotated[ChatChange, Depends(json_body(ChatChange))]) -> ChatOut:
    """Rename it, pin it, set its own model, system prompt or temperature."""
    return chat_out(await own.set_chat(chat_id, **new.model_dump(exclude_unset=True)))


@router.delete(
    "/{chat_id}",
    summary="Delete a chat",
    status_code=204,
    response_class=Response,
    response_description="It is gone, with all its messages.",
    responses=fails(NO_CHAT),
)
async def delete_chat(own: Own, chat_id: ChatId) -> None:
    """The chat with all its messages; an answer that still grows is stopped."""
    await own.delete_chat(chat_id)


@router.get(
    "/{chat_id}/export",
    summary="Export a chat",
    response_class=Response,
    response_description="The file.",
    responses=gives(
        examples.EXPORTED,
        schema="ChatFile",
        also={examples.MARKDOWN: "# Say hello\n\n## You\n\nSay hello\n\n## Assistant\n\nHello\n"},
        headers=OF_FILE,
    )
    | fails(InvalidRequest("format: Input should be 'json' or 'markdown'."), NO_CHAT),
)
async def export_chat(
    own: Own,
    chat_id: ChatId,
    format: Literal["json", "markdown"] = "json",
    reasoning: Annotated[bool, Query(description="In Markdown too, what the models thought, as quotes.")] = False,
) -> Response:
    """The chat as a file: JSON has all versions of all messages and can be imported, Markdown the shown path."""
    chat = await own.library.chat(chat_id)
    if format == "markdown":
        return _file(await own.library.chat_markdown(chat_id, reasoning), "text/markdown", f"{chat.title}.md")
    data = await own.library.export_chat(chat_id)
    text = await run_in_threadpool(json.dumps, data, ensure_ascii=False, indent=2)
    return _file(text + "\n", "application/json", f"{chat.title}.json")


def _file(text: str, media_type: str, name: str) -> Response:
    # Half a surrogate pair, should a provider's usage hold one, as JSON's escape.
    content = text.encode("utf-8", "backslashreplace")
    return Response(content, media_type=media_type, headers={"Content-Disposition": attachment(name)})


def attachment(name: str) -> str:
    """The Content-Disposition (RFC 6266) of a file: in ASCII for old clients, in UTF-8 for the rest."""
    stem, dot, ending = name.rpartition(".")
    # What a file system or a header cannot take; a leading dot would hide it.
    stem = re.sub(r'[\\/:*?"<>|%;]', " ", "".join(char if char.isprintable() else " " for char in stem))
    stem = " ".join(stem.split()).strip(". ")[:FILE_NAME_CHARS].strip(". ") or "chat"
    ascii_stem = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().strip(". ") or "chat"
    return f"attachment; filename=\"{ascii_stem}{dot}{ending}\"; filename*=UTF-8''{quote(stem + dot + ending, safe='')}"
