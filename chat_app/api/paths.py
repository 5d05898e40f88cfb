"""What a path may look like: `/stream` means `/stream/`, and what is not there gets JSON, not the page's own 404."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_app.errors import NotFound

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def install(api: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Called after the routers are in: what none of them takes ends here."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]

    async def unknown(request: Request) -> None:
        fitting = [route for route in routes if route.matches(request.scope)[0] is Match.PARTIAL]
        if allowed := ", ".join(sorted({method for route in fitting for method in route.methods or ()})):
            raise HTTPException(405, f"{request.method} is not possible here. Use {allowed}.", {"Allow": allowed})
        raise NotFound(f"There is nothing at {request.url.path}. See /openapi.json for what there is.")

    api.add_middleware(TrailingSlash, roots={router.prefix for router in routers})
    for router in routers:
        api.add_api_route(router.prefix + "/{path:path}", unknown, methods=METHODS, include_in_schema=False)


class TrailingSlash:
    """Adds the slash that a client left out; answered with a redirect, many programs would lose the body."""

    def __init__(self, app: ASGIApp, roots: set[str]) -> None:
        self.app = app
        self.roots = roots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self.roots:
            scope = {**scope, "path": scope["path"] + "/"}
        await self.app(scope, receive, send)
