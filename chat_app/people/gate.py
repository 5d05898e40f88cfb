"""Nobody comes in without showing who they are, as plain ASGI between the guard and all that the app serves.

It writes who asks into the scope (`chat_app.caller`), for requests and websockets alike; what that may see is not asked
here. A browser is led to the page to sign in, a program gets 401.
"""

import re
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_app.api.policy import EMBED
from chat_app.api.problems import error_response, tell_refusal
from chat_app.built import file_in, served
from chat_app.caller import IN_SCOPE
from chat_app.config import Settings
from chat_app.errors import AdministratorsOnly, ChatError, NoKeyHere, NotSignedIn, VisitorsElsewhere
from chat_app.origins import origin, site
from chat_app.people import cookies
from chat_app.people.connections import SIGNED_OUT
from chat_app.people.entrance import CHALLENGE
from chat_app.people.pages import PAGES, router
from chat_app.people.people import Known, get_people
from chat_app.people.visitors import PREFIX

KNOWN = "known"
"""In the scope of the pages of this folder: the `Known` who asks, or None."""
HEALTH = {"/healthz", "/readyz", "/ping", "/_health"}
METRICS = "/metrics"
ACCOUNT = "account"
FOR_VISITORS = re.compile(r"/(stream|messages|measures)(/.*)?|/chats/[^/]+/queue(/.*)?", re.DOTALL)
"""The addresses that the chat at `/embed` uses."""
BEARER = "bearer."
"""Before a token among a websocket's protocols: a page can send no header with it."""
EVENTS = "/_event"
"""The page's websocket. A browser learns from its close code only why it was refused, so it is opened first."""


class Gate:
    """Wraps the whole app, within the guard."""

    def __init__(self, app: ASGIApp, settings: Settings, folder: Path | None = None) -> None:
        self.app = app
        self.settings = settings
        self.pages = router(settings)
        self.built = (folder or served()).resolve()
        self.own = {origin(one) for one in settings.origins} - {origin(one) for one in settings.cors_allowed_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        scope[IN_SCOPE] = None
        if self._is_free(scope):
            return await self.app(scope, receive, send)
        try:
            found = await self._who(scope)
            first = scope["path"].split("/")[1]
            if found and found.by.visit and not FOR_VISITORS.fullmatch(scope["path"]):
                raise VisitorsElsewhere
            if found and found.by.key_id and first == ACCOUNT:
                raise NoKeyHere
            if first in PAGES and scope["type"] == "http":
                scope[KNOWN] = found
                return await self.pages(scope, receive, send)
            if found is None:
                raise NotSignedIn
            if scope["path"] == METRICS and not found.caller.admin:
                raise AdministratorsOnly
        except ChatError as error:
            return await self._refuse(error, scope, receive, send)
        scope[IN_SCOPE] = found.caller
        if scope["type"] == "http" and wants_page(scope):
            send = unkept(send)
        await get_people().open.serve(self.app, found.by, scope, receive, send)

    async def _who(self, scope: Scope) -> Known | None:
        """Raises NotSignedIn: what was shown counts nothing."""
        headers, people = Headers(scope=scope), get_people()
        kind, _, given = headers.get("authorization", "").partition(" ")
        # A proxy may have a Basic password of its own, and passes it on.
        if kind.lower() == "bearer":
            return await _by_token(given.strip(), scope)
        if protocols := [one for one in scope.get("subprotocols", ()) if one.startswith(BEARER)]:
            return await _by_token(protocols[0].removeprefix(BEARER), scope)
        if not self._is_own_page(headers):
            return None
        if self.settings.auth == "proxy":
            return await people.by_header(
                named_by_proxy(people.peers.is_proxy(scope), headers, self.settings.auth_header)
            )
        token = cookie_parser(headers.get("cookie", "")).get(cookies.session_name(people, scope))
        return await people.by_session(token) if token else None

    def _is_own_page(self, headers: Headers) -> bool:
        """A cookie comes along with requests of other pages of this site, too; those that are let in are no person."""
        page, host = headers.get("origin"), site(headers.get("host", ""))
        if not page:
            return True
        known = origin(page)
        return known is not None and ((host is not None and known.is_of(host)) or known in self.own)

    def _is_free(self, scope: Scope) -> bool:
        """What has nothing of anybody in it, and what the page to sign in needs."""
        path = scope["path"]
        if scope["type"] == "websocket":
            return False
        return (
            path in HEALTH
            or path in EMBED
            or path.startswith("/brand/")
            or (scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope))
            or self._is_built(path)
        )

    def _is_built(self, path: str) -> bool:
        """A file of the build that is no page."""
        return not path.endswith(".html") and file_in(self.built, path) is not None

    async def _refuse(self, error: ChatError, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            tell_refusal(error, scope)
            await receive()
            if scope["path"].rstrip("/") == EVENTS and isinstance(error, NotSignedIn):
                # Browsers open no socket that speaks none of the protocols they asked for.
                subprotocol = next(iter(scope.get("subprotocols", [])), None)
                await send({"type": "websocket.accept", "subprotocol": subprotocol})
                return await send({"type": "websocket.close", "code": SIGNED_OUT, "reason": error.code})
            return await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        await self._refusal(error, scope)(scope, receive, send)

    def _refusal(self, error: ChatError, scope: Scope) -> Response:
        if isinstance(error, NotSignedIn) and wants_page(scope) and self.settings.auth != "proxy":
            return RedirectResponse(f"/login?next={quote(_address(scope), safe='/')}", 303)
        tell_refusal(error, scope)
        response = error_response(error.as_dict())
        if isinstance(error, NotSignedIn):
            response.headers["WWW-Authenticate"] = CHALLENGE
        return response


async def _by_token(token: str, scope: Scope) -> Known:
    """Of an API key or a visit. Raises NotSignedIn."""
    people = get_people()
    if token.startswith(PREFIX):
        return people.by_visit(token, people.peers.network(scope))
    return await people.by_key(token)


def named_by_proxy(is_proxy: bool, headers: Headers, header: str) -> str:
    """The name in the header. Raises NotSignedIn: there is none that can be believed."""
    if not is_proxy:
        raise NotSignedIn(
            "Requests come in through the proxy here, which signs people in. Go there, or send an API key."
        )
    names = headers.getlist(header)
    if len(names) != 1 or not names[0].strip():
        raise NotSignedIn(f"The proxy named nobody in {header}. Sign in there.")
    try:
        # As most proxies write names that are not ASCII.
        return names[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        return names[0]


def unkept(send: Send) -> Send:
    """Or a browser would show the page of somebody who has signed out since, from its cache."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-cache")
        await send(message)

    return sending


def wants_page(scope: Scope) -> bool:
    """Whether somebody opens an address in a browser, and no script or program asks for it."""
    headers = Headers(scope=scope)
    return (
        scope["method"] in ("GET", "HEAD")
        and "text/html" in headers.get("accept", "")
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
    )


def _address(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")
