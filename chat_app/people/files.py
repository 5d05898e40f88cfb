"""What the pages load: their style, and the script that knows which theme a browser has chosen."""

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chat_app.people.html import dark_css

HEADERS = {"Cache-Control": "no-cache"}


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


async def style(_request: Request) -> Response:
    return Response(_text("people.css"), media_type="text/css", headers=HEADERS)


async def dark(_request: Request) -> Response:
    return Response(dark_css(), media_type="text/css", headers=HEADERS)


async def theme(_request: Request) -> Response:
    return Response(_text("theme.js"), media_type="text/javascript", headers=HEADERS)


ROUTES = [
    Route("/account/people.css", style),
    Route("/account/dark.css", dark),
    Route("/account/theme.js", theme),
]
