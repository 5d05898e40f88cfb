"""`/chats/`: list, create, read, rename, delete."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, AwareDatetime

from chat_app.api.bodies import ChatList, ChatOut, NewChat, Title, chat_out, documented, json_body
from chat_app.service import get_service

router = APIRouter(prefix="/chats", tags=["chats"])


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


@router.get("/")
async def chats(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[Time | None, Query(description="The `next` of the page before.")] = None,
) -> ChatList:
    """The most recently used first."""
    found = await get_service().store.chats(limit + 1, before)
    page = found[:limit]
    return ChatList(
        chats=[chat_out(chat) for chat in page],
        next=page[-1].updated_at if len(found) > limit else None,
    )


@router.post("/", status_code=201, openapi_extra=documented(NewChat))
async def create(new: Annotated[NewChat, Depends(json_body(NewChat))]) -> ChatOut:
    chat = await get_service().create_chat(new.title)
    return chat_out(chat)


@router.get("/{chat_id}")
async def read(chat_id: str) -> ChatOut:
    return chat_out(await get_service().store.chat(chat_id))


@router.patch("/{chat_id}", openapi_extra=documented(Title))
async def rename(chat_id: str, new: Annotated[Title, Depends(json_body(Title))]) -> ChatOut:
    return chat_out(await get_service().rename_chat(chat_id, new.title))


@router.delete("/{chat_id}", status_code=204)
async def delete(chat_id: str) -> None:
    """The chat with all its messages; an answer that still grows is stopped."""
    await get_service().delete_chat(chat_id)
