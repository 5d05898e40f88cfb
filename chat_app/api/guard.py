"""Who may talk to the app, as plain ASGI around everything it serves: the page, the websocket and the API.

Reflex allows every origin by default, so any web page that a person visits could read the chats on their machine. Here
a foreign `Origin` is refused, a `Host` that is not ours too (DNS rebinding), and a body is read up to a limit only.
"""

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_app.api.crowd import Crowd
from chat_app.api.policy import INLINE, Policy
from chat_app.api.problems import error_response, tell_refusal
from chat_app.api.sockets import Addresses, Incoming
from chat_app.built import served
from chat_app.config import Settings
from chat_app.connections import Abandoned, capacity
from chat_app.errors import (
    BadHost,
    BodyTooLarge,
    BodyTooSlow,
    ChatError,
    ForeignRequest,
    ServerBusy,
    TooManyConnections,
    shown,
)
from chat_app.origins import origin, site
from chat_app.peers import Peers

# A character is at most two `\\uXXXX` escapes in JSON.
BYTES_PER_CHAR = 12
BODY_ALLOWANCE = 16_384
IMPORT_PATH, IMPORT_BYTES = "/chats/import", 1_000_000_000
# A whole conversation, which may have pictures.
COMPLETIONS_PATH, COMPLETIONS_BYTES = "/v1/chat/completions", 50_000_000
MESSAGE_BYTES = 1_000_000
"""A websocket's message may have as much in any case: the page's is more than what was typed."""
DISCARD_S = 2.0
BODY_S = 20.0
"""Seconds in which some of a body must come; all of it must in these and one more for every `SLOWEST` bytes."""
SLOWEST = 1_000
BEGAN = "began"
"""In the scope of a request: when it came, on the monotonic clock."""
# Files of the build, the same for all. A browser names the page's origin when it loads modules and fonts; were those
# refused where a proxy hides the host, the page would be dead and could not say why.
ASSETS = (".css", ".js", ".map", ".mjs", ".png", ".svg", ".ttf", ".woff", ".woff2")
EXPOSED = "X-Stream-Version, X-Turn-Id, X-Chat-Id, X-Message-Id, Retry-After"


def max_bytes(settings: Settings) -> int:
    """How much a request may have that holds a message."""
    return settings.max_message_chars * BYTES_PER_CHAR + BODY_ALLOWANCE


class Guard:
    """Wraps the whole app."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.origins = set(map(origin, settings.origins)) - {None}
        self.max_body = max_bytes(settings)
        self.policy = Policy(served(), settings.cors_allowed_origins)
        self.addresses = Addresses(settings.limit_connections, Peers(settings.trusted_proxies))
        self.most_sent = settings.limit_message_bytes or max(self.max_body, MESSAGE_BYTES)
        self.crowd = Crowd(capacity(settings.database_pool_size))
        self.abandoned = Abandoned(settings.port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        scope[BEGAN] = time.monotonic()
        body = Body(Headers(scope=scope), receive, self._limit(scope))
        try:
            with self.crowd.one_more(scope), self.addresses.one_more(scope):
                await self._serve(body, scope, receive, send)
        except (ServerBusy, TooManyConnections) as error:
            await _refuse(error, scope, receive, self._sending(send, scope, body, None))
        finally:
            if body.abandoned:
                self.abandoned.add(scope.get("client"))

    async def _serve(self, body: "Body", scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            if not _is_asset(scope):
                self._check_origin(headers)
            body.check_length()
        except ChatError as error:
            return await _refuse(error, scope, receive, self._sending(send, scope, body, None))
        if scope["type"] == "websocket":
            incoming = Incoming(receive, send, self.most_sent, self.settings.limit_messages)
            return await self.app(scope, incoming.receive, send)
        await self.app(scope, body.receive, self._sending(send, scope, body, headers.get("origin")))

    def _limit(self, scope: Scope) -> int:
        """How many bytes a body may have: a file holds many chats, and is not kept in memory."""
        return {IMPORT_PATH: IMPORT_BYTES, COMPLETIONS_PATH: COMPLETIONS_BYTES}.get(scope["path"], self.max_body)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if len(headers.getlist("host")) > 1 or (host.startswith("[") and "]" in host and site(host) is None):
            # A proxy and we may read different hosts in it.
            raise BadHost
        if not self.settings.knows_host(host):
            raise ForeignRequest(
                f"The host {shown(host)!r} is not served here. Add its name to ALLOWED_HOSTS to serve it."
            )

    def _check_origin(self, headers: Headers) -> None:
        page, host = headers.get("origin"), site(headers.get("host", ""))
        if not page:
            return self._check_fetch(headers)
        known = origin(page)
        # A page without TLS is another origin than ours, where a proxy says that the request came by TLS.
        plain = headers.get("x-forwarded-proto") == "https" and known is not None and known.scheme == "http"
        if known is None or host is None or not ((known.is_of(host) and not plain) or known in self.origins):
            raise ForeignRequest(
                f"Pages of {shown(page)} may not use this app. Add it to CORS_ALLOWED_ORIGINS to allow it."
            )

    def _check_fetch(self, headers: Headers) -> None:
        """A page of another site may lead here by a link, but not load what is here, as a picture or a script."""
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            raise ForeignRequest("Pages of other sites may not load this. Open it in a tab of its own.")

    def _sending(self, send: Send, scope: Scope, body: "Body", from_page: str | None) -> Send:
        inline: list[str] = scope.setdefault(INLINE, [])

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["Content-Security-Policy"] = self.policy.of(scope["path"], inline)
                # The name in a link of an answer would be looked up, unasked.
                headers["X-DNS-Prefetch-Control"] = "off"
                if from_page and origin(from_page) in self.origins:
                    headers["Access-Control-Expose-Headers"] = EXPOSED
                await body.discard()
            await send(message)

        return sending


class Body:
    """A request's body: at most `limit` bytes are read, and no longer than it may take to send them."""

    def __init__(self, headers: Headers, receive: Receive, limit: int) -> None:
        self.limit = limit
        self._receive = receive
        self._read = 0
        self._began = asyncio.get_running_loop().time()
        # The server gives it to one reader at a time; that of an event stream waits there for the client to leave.
        self._turn = asyncio.Lock()
        self._length = headers.get("content-length", "0")
        self._unread = self._length != "0" or "transfer-encoding" in headers
        self.abandoned = False
        """More of it was asked for, and is not waited for any more."""

    def check_length(self) -> None:
        if self._length.isdecimal() and int(self._length) > self.limit:
            raise self._too_large()

    async def receive(self) -> Message:
        async with self._turn:
            # After the body this waits for the client to leave, which is a good time for an event stream.
            message = await (self._in_time() if self._unread else self._receive())
        self._unread = message.get("more_body", False)
        self._read += len(message.get("body", b""))
        if self._read > self.limit:
            await self.discard()
            raise self._too_large()
        return message

    async def _in_time(self) -> Message:
        now = asyncio.get_running_loop().time()
        whole = self._began + BODY_S + self._read / SLOWEST
        try:
            async with asyncio.timeout_at(min(now + BODY_S, whole)):
                return await self._receive()
        except TimeoutError:
            # What of it still comes is not waited for, either.
            self._unread = False
            self.abandoned = True
            raise BodyTooSlow from None

    async def discard(self) -> None:
        """Read on for a while and forget, before an answer that did not need the body.

        The server closes a connection with an unread body: on a client that still sends, which loses the answer, or
        that sends its next request just then.
        """
        if self._unread and not self._turn.locked():
            self._unread = False
            self.abandoned = True
            with suppress(TimeoutError):
                async with self._turn, asyncio.timeout(DISCARD_S):
                    while (await self._receive()).get("more_body"):
                        pass
                    self.abandoned = False

    def _too_large(self) -> BodyTooLarge:
        shorten = "Split the file" if self.limit == IMPORT_BYTES else "Shorten the message"
        return BodyTooLarge(f"The body is too large; at most {self.limit:,} bytes are read. {shorten}.")


def _is_asset(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"].endswith(ASSETS)


async def _refuse(error: ChatError, scope: Scope, receive: Receive, send: Send) -> None:
    tell_refusal(error, scope)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    await error_response(error.as_dict())(scope, receive, send)
