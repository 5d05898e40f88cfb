"""Around the page's app: an address without a page is 404. Reflex's own server gives the page for any, with 200.

People get the page that says so; programs, and browsers that want a file, get JSON.
"""

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_app.api.problems import not_there
from chat_app.built import file_in, served

# What Reflex answers itself, and pages that only it asks for.
REFLEX = ("/ping", "/_health", "/_event/", "/auth-codespace")
INNER = {"/404.html", "/__spa-fallback.html", "/embed.html", "/index.html"}


class Statuses:
    """`has_page` says whether an address leads to a page."""

    def __init__(self, app: ASGIApp, has_page: Callable[[str], bool], folder: Path | None = None) -> None:
        self.app = app
        self.has_page = has_page
        self.built = (folder or served()).resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path: str = scope["path"]
        if path.startswith(REFLEX) or self._has_file(path) or (not is_file(path) and self.has_page(path)):
            return await self.app(scope, receive, send)
        if (
            is_file(path)
            or scope["method"] not in ("GET", "HEAD")
            or "text/html" not in Request(scope).headers.get("accept", "*/*")
        ):
            return await not_there(path)(scope, receive, send)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "status": 404}
            await send(message)

        # Its address is no page's: the page says that itself.
        await self.app(scope, receive, sending)

    def _has_file(self, path: str) -> bool:
        return path not in INNER and file_in(self.built, path) is not None


def is_file(path: str) -> bool:
    """Whether it asks for a file, or for what no page is called: `/assets/x.js`, `/.env`, `/_upload`."""
    first, _, rest = path.lstrip("/").partition("/")
    return first.startswith((".", "_")) or "." in (rest or first).rpartition("/")[2]
