"""The server of the development loop: as in production, but for where the page comes from.

Vite makes the page, and is asked by this server alone: the page has one origin, with its policy and its guard. It is
loaded anew when what Reflex has written is not what it was.
"""

import asyncio
import hashlib
import importlib
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import httpx

# What takes longest of a start: the loop has it before it forks.
import reflex.app  # noqa: F401
from sqlmodel import SQLModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_app import built, logs, server
from chat_app.api.policy import FILES, INLINE, inline_hashes
from chat_app.api.statuses import REFLEX, Statuses
from chat_app.brand import load_brand
from chat_app.building import SAME_ORIGIN_URL, reflex_environment
from chat_app.config import load_settings
from chat_app.connections import capacity
from chat_app.dev.reload import SCRIPT, STATE, script
from chat_app.dev.sources import Imported
from chat_app.errors import CannotStart, SettingsError
from chat_app.folders import WORKSHOP

PAGE = "chat_app.ui.pages"
OWN = {"chat_app", "rill", "rxconfig"}
VITE_S = 120.0
"""The first time, Vite bundles all packages before it answers."""
PAUSE_S, AGAIN = 0.25, 12
WRITTEN = ("app", "app_components", "components", "styles", "utils", "env.json")
"""By Reflex, in its working folder: what the page is made from."""
FROM_VITE = ("/@", "/node_modules/")
_ADDRESS = re.compile(r'"(?:http|ws)://same-origin\.invalid(/[^"]*)"')
# What Vite's modules ask of its own client, which would open a websocket.
CLIENT = """\
const sheets = new Map();
export const updateStyle = (id, css) => {
  if (!sheets.has(id)) sheets.set(id, document.head.appendChild(document.createElement("style")));
  sheets.get(id).textContent = css;
};
export const removeStyle = (id) => {
  sheets.get(id)?.remove();
  sheets.delete(id);
};
export const createHotContext = () =>
  new Proxy({ data: {} }, { get: (own, name) => (name in own ? own[name] : () => {}) });
export const injectQuery = (url) => url;
export class ErrorOverlay extends HTMLElement {}
"""
SCRIPTS = {SCRIPT: script(), "/@vite/client": CLIENT}


modules = Imported()


class Pages(Statuses):
    """In the place of the built page."""

    def __init__(self, app: ASGIApp, has_page: Callable[[str], bool]) -> None:
        super().__init__(FromVite(app, os.environ[built.VITE], built.served()), has_page)

    def _has_file(self, path: str) -> bool:
        # Reflex's files lead to others by links.
        name = path.lstrip("/")
        if not name or "\0" in name or ".." in name:
            return False
        files = (built.WEB / name, built.WEB / "public" / name)
        return path.startswith(FROM_VITE) or super()._has_file(path) or any(file.is_file() for file in files)


class FromVite:
    def __init__(self, app: ASGIApp, vite: str, folder: Path) -> None:
        self.app = app
        self.built = folder.resolve()
        self.client = httpx.AsyncClient(base_url=vite, timeout=VITE_S, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if scope["type"] != "http" or path.startswith(REFLEX):
            return await self.app(scope, receive, send)
        await (await self._answer(path, scope))(scope, receive, send)

    async def _answer(self, path: str, scope: Scope) -> Response:
        if path.startswith(FILES) and (file := built.file_in(self.built, path)):
            # Of `/embed`, whose page is built as in production.
            return FileResponse(file)
        asked = Headers(scope=scope)
        headers = {name: asked[name] for name in ("accept", "sec-fetch-dest") if name in asked}
        address = scope["raw_path"].decode("ascii") + (
            f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        )
        answer = await self._ask(scope["method"], address, headers)
        if answer is None:
            return PlainTextResponse("Vite, which makes the page, does not answer. The terminal may say why.\n", 502)
        kind = answer.headers.get("content-type", "")
        body = answer.content
        if answer.is_error:
            logs.event("Vite could not make a file", path=path, status=answer.status_code)
        if "javascript" in kind:
            body = _ADDRESS.sub(r'(location.origin + "\1")', answer.text).encode()
        return Response(body, answer.status_code, {"content-type": kind, "cache-control": "no-cache"})

    async def _ask(self, method: str, address: str, headers: dict[str, str]) -> httpx.Response | None:
        """Asks again while Vite begins, or has not seen yet what was just written."""
        failed: list[httpx.Response] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(VITE_S):
                while len(failed) < AGAIN:
                    with suppress(httpx.TransportError):
                        answer = await self.client.request(method, address, headers=headers)
                        if not answer.is_server_error:
                            return answer
                        failed.append(answer)
                    await asyncio.sleep(PAUSE_S)
        return failed[-1] if failed else None


class Reloading:
    """Lets each page load itself anew when it has changed, and say so in its policy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.page = written()
        self.state = json.dumps({"page": self.page})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        headers = {"cache-control": "no-store"}
        if path in SCRIPTS:
            return await Response(SCRIPTS[path], 200, headers, "text/javascript")(scope, receive, send)
        if path == STATE:
            return await Response(self.state, 200, headers, "application/json")(scope, receive, send)
        await self.app(scope, receive, Html(scope, send, self.page).send if path else send)


class Html:
    """Holds a page back until it is whole, and puts the script into it."""

    def __init__(self, scope: Scope, send: Send, page: str) -> None:
        self._page = page
        self._scope = scope
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and "text/html" in Headers(scope=message).get("content-type", ""):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        loading = f'<script src="{SCRIPT}?page={self._page}" defer></script></head>'
        html = self._body.decode().replace("</head>", loading, 1)
        self._scope[INLINE].extend(inline_hashes(html))
        headers = MutableHeaders(scope=start)
        if "content-length" in headers and self._scope["method"] != "HEAD":
            headers["content-length"] = str(len(html.encode()))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": html.encode()})


def written() -> str:
    """A hash of what Reflex has written, and of the page to embed."""
    digest = hashlib.sha256((built.served() / "embed.html").read_bytes())
    for path in (built.WEB / name for name in WRITTEN):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def app() -> ASGIApp:
    """Reflex finds what it makes the page from, and writes it, in the folder where it runs."""
    with chdir(WORKSHOP):
        made: ASGIApp = importlib.import_module("chat_app.chat_app").app()
        return made


def load_anew() -> Any:
    """This module, after all of the app's own were forgotten: in a process that has served nothing yet. Those of others
    stay, which take most of the time."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    SQLModel.metadata.clear()
    SQLModel._sa_registry.dispose()
    return importlib.import_module(__name__)


def serve(listening: socket.socket, vite: str, grace: float, *, same_page: bool) -> None:
    """In a process of its own, at the socket of the loop. With `same_page` Reflex has written it already."""
    os.environ |= reflex_environment() | {
        built.VITE: vite,
        # What Reflex writes is the same as for a build.
        "REFLEX_ENV_MODE": "prod",
        "__REFLEX_SKIP_COMPILE": str(same_page),
        "REFLEX_API_URL": SAME_ORIGIN_URL,
        "SHUTDOWN_GRACE": str(grace),
    }
    try:
        settings = load_settings()
        logs.install(settings.log_format, settings.secrets)
        settings.check_auth()
        load_brand(settings.brand)
        # Both read the brand as they are imported, so the loop does not: it would stay as it is.
        with chdir(WORKSHOP):
            importlib.import_module(PAGE)
        importlib.import_module("chat_app.ui.embed_build").write_page(built.served())
        server.serve(
            "chat_app.dev.serving:app",
            host=settings.host,
            port=settings.port,
            grace=grace,
            capacity=capacity(settings.database_pool_size),
            listening=listening,
        )
    except (SettingsError, CannotStart) as error:
        logs.say(str(error))
        sys.exit(1)
