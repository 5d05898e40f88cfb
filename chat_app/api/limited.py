"""Counts the requests to the doors, for whoever sends them. Plain ASGI, so that a disconnect is not hidden."""

from starlette.types import ASGIApp, Receive, Scope, Send

from chat_app.api.crowd import ALWAYS
from chat_app.api.own import known_caller
from chat_app.api.problems import error_response, tell_refusal
from chat_app.errors import LimitReached
from chat_app.service import get_service

FREE = (*ALWAYS, "/metrics")
"""Whoever watches over the server asks often."""


class Limited:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in FREE:
            try:
                limits = get_service().limits
                await limits.count_request(known_caller(scope), limits.peers.network(scope))
            except LimitReached as error:
                tell_refusal(error, scope)
                return await error_response(error.as_dict())(scope, receive, send)
        await self.app(scope, receive, send)
