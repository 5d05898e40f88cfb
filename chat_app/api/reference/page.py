"""`/docs`: `docs/api.md` as a page, and every route in Swagger UI below it. Nothing comes from elsewhere."""

import re
from functools import cache
from html import escape
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse
from markdown_it import MarkdownIt
from markdown_it.token import Token

from chat_app.errors import NotFound
from chat_app.folders import FILES

router = APIRouter(include_in_schema=False)
EXAMPLE_URL = "http://127.0.0.1:3000"
"""How `docs/api.md` calls the server; the page has the reader's own address in its place."""
# Swagger UI's own files. The package that brings them is not imported.
VIEWER = frozenset({"swagger-ui-bundle.js", "swagger-ui.css"})
_PACKAGE = find_spec("fastapi_offline")
VIEWER_FOLDER = Path(_PACKAGE.origin or "").parent / "static" if _PACKAGE else Path()


@router.api_route("/docs/", methods=["GET", "HEAD"])
@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(request: Request) -> HTMLResponse:
    return HTMLResponse(page(str(request.base_url).rstrip("/")))


@router.api_route("/docs/{name}", methods=["GET", "HEAD"])
async def viewer(name: str) -> FileResponse:
    if name not in VIEWER:
        raise NotFound("There is no such file. The API is explained at /docs.")
    return FileResponse(VIEWER_FOLDER / name)


def page(url: str) -> str:
    """The page as a reader at `url` gets it."""
    contents, prose = _prose()
    text = _template().replace("{{contents}}", contents).replace("{{prose}}", prose)
    return text.replace(EXAMPLE_URL, escape(url))


@cache
def _template() -> str:
    return Path(__file__).with_name("page.html").read_text("utf-8")


@cache
def _prose() -> tuple[str, str]:
    """The table of contents, and the text, both as HTML."""
    markdown = MarkdownIt().enable("table")
    tokens = markdown.parse((FILES / "docs" / "api.md").read_text("utf-8"))
    links = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag != "h1":
            opening.attrSet("id", _slug(inline.content))
            links.append(f'<li class="{opening.tag}"><a href="#{_slug(inline.content)}">{_plain(inline)}</a></li>')
    # A box that scrolls must be in reach of the keyboard.
    text = markdown.renderer.render(tokens, markdown.options, {}).replace("<pre>", '<pre tabindex="0">')
    return "".join(links), text


def _slug(heading: str) -> str:
    """As GitHub makes it, so that the links within `docs/api.md` work in both places."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _plain(inline: Token) -> str:
    return escape("".join(child.content for child in inline.children or []))
