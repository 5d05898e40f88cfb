"""`POST /embed/visitor`: the chat in somebody's page asks who it is for, before it asks anything else.

A user whom the page around names is told the chat that they used last, in whatever browser that was.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chat_app.api.problems import error_response, invalid, tell_refusal
from chat_app.errors import ChatError
from chat_app.people.people import get_people
from chat_app.people.visitors import Visit
from chat_app.service import get_service


class Asked(BaseModel):
    """`token`: what the browser got before. `user`, `expires`, `signature`: what the page around the chat says."""

    model_config = ConfigDict(strict=True)

    token: str = ""
    user: str = ""
    expires: str = ""
    signature: str = ""


async def visit(request: Request) -> Response:
    try:
        answer = await _answer(request)
    except ChatError as error:
        tell_refusal(error, request.scope)
        return error_response(error.as_dict())
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def _answer(request: Request) -> dict[str, Any]:
    visitors, peers = get_people().visitors, get_people().peers
    try:
        asked = Asked.model_validate_json(await request.body())
    except ValidationError as error:
        raise invalid(error) from None
    if asked.user:
        visit = visitors.user(asked.user, asked.expires, asked.signature)
        caller = visitors.caller(visit.token, peers.network(request.scope))
        newest = await get_service().of(caller).library.chats(limit=1)
        return _shown(visit) | {"chat_id": newest[0].id if newest else None}
    # Who has signed in here sees their own chats, and needs no token.
    if request.scope["known"]:
        return {"token": None}
    return _shown(await visitors.browser(peers.network(request.scope), asked.token))


def _shown(visit: Visit) -> dict[str, Any]:
    return {"token": visit.token, "owner": visit.owner, "ends": visit.ends}


ROUTES = [Route("/embed/visitor", visit, methods=["POST"])]
