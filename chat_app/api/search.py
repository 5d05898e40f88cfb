"""`/search/`: messages and chat titles by their words."""

from typing import Annotated

from fastapi import APIRouter, Query

from chat_app.api.bodies import HitList, hit_out
from chat_app.api.own import Own
from chat_app.api.parameters import example
from chat_app.api.reference.examples import HIT
from chat_app.api.reference.responses import fails, gives
from chat_app.errors import InvalidRequest

router = APIRouter(prefix="/search", tags=["search"])


@router.get(
    "/",
    summary="Search",
    response_description="What was found.",
    responses=gives({"hits": [HIT]}) | fails(InvalidRequest("q: Field required.")),
)
async def search(
    own: Own,
    q: Annotated[
        str,
        Query(
            description="Words that must all occur; the last may be the beginning of one.",
            openapi_examples=example("hello"),
        ),
    ],
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> HitList:
    """Chats by their title first, then messages, each the newest first."""
    return HitList(hits=[hit_out(hit) for hit in await own.library.search(q, limit)])
