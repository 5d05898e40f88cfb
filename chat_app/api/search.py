"""`/search/`: messages and chat titles by their words."""

from typing import Annotated

from fastapi import APIRouter, Query

from chat_app.api.bodies import Hits, hit_out
from chat_app.service import get_service

router = APIRouter(prefix="/search", tags=["search"])


@router.get("/")
async def search(
    q: Annotated[str, Query(description="Words that must all occur; the last may be the beginning of one.")],
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> Hits:
    """Chats by their title first, then messages, each the newest first."""
    return Hits(hits=[hit_out(hit) for hit in await get_service().store.search(q, limit)])
