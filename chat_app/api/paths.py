"""What a path may look like: `/stream` means `/stream/`, and what is not there gets JSON, not the page's own 404."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class AnyPath(PathConvertor):
    """Starlette's own stops at a line feed, and what it mounts, the page's app too, would get a 404 that is no JSON."""

    regex = r"[\s\S]*"


register_url_convertor("path", AnyPath())


def install(api: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Called after the routers are in: what none of them takes ends here."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    api.add_middleware(TrailingSlash, roots={router.prefix for router in routers})
    for router in routers:
        api.router.routes.append(Route(router.prefix + "/{path:path}", Unknown(routes), include_in_schema=False))


class Unknown:
    """Takes any method and says what is possible. An ASGI app, for a function gets only the methods it names."""

    def __init__(self, routes: Sequence[APIRoute]) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fitting = [route for route in self.routes if route.matches(scope)[0] is Match.PARTIAL]
        # `/chats/import` is no chat.
        fitting = [route for route in fitting if route.path == scope["path"]] or fitting
        if allowed := ", ".join(sorted({method for route in fitting for method in route.methods or ()})):
            raise HTTPException(405, headers={"Allow": allowed})
        raise HTTPException(404)


class TrailingSlash:
    """Adds the slash that a client left out; answered with a redirect, many programs would lose the body."""

    def __init__(self, app: ASGIApp, roots: set[str]) -> None:
        self.app = app
        self.roots = roots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self.roots:
            scope = {**scope, "path": scope["path"] + "/"}
        await self.app(scope, receive, send)
