"""The API alone as a server of its own: the same turns, doors, guard and server, no page.

It is up in a second, where the whole app takes three, so that a test can start and kill it often. Its settings are the
app's; `PING_S` and `SEND_TIMEOUT_S`, constants in the app, can be set too. `Api` starts it from a test.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from chat_app.api import create_api, stream
from chat_app.api.deadline import SEND_TIMEOUT_S
from chat_app.api.guard import Guard
from chat_app.config import load_settings
from chat_app.service import serving
from chat_app.shutdown import on_shutdown
from tests.app import App


class Api(App):
    """As `App`, without the page."""

    def command(self) -> list[str]:
        return ["tests.api_server"]


async def ping(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("pong")


def app() -> ASGIApp:
    settings = load_settings()
    stream.PING_S = float(os.environ.get("PING_S", stream.PING_S))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with serving(settings) as service, on_shutdown(service.end_turns):
            yield

    api = create_api(float(os.environ.get("SEND_TIMEOUT_S", SEND_TIMEOUT_S)))
    routes = [Route("/ping", ping), Mount("/", api)]
    return Guard(Starlette(routes=routes, lifespan=lifespan), settings)
