"""The HTTP client of one provider: through the proxy of the environment, and to no other host than the one set."""

from collections.abc import AsyncGenerator
from typing import Any

import h11
import httpcore2
import httpcore2._async.connection
import httpx2
import openai

MAX_REDIRECTS = 5
CONNECT_S = 10
DEFAULT_PORTS = {"http": 80, "https": 443}


class AtOnce(httpcore2.AsyncHTTP11Connection):
    """Gives all that one read of the socket brought as one piece of the body.

    httpcore2's own gives each HTTP chunk by itself, through five generators: of a provider that writes a chunk a token,
    and is faster than we are, that costs more than all that the app does with a token.
    """

    async def _receive_response_body(self, request: httpcore2.Request) -> AsyncGenerator[bytes, None]:
        timeout = request.extensions.get("timeout", {}).get("read")
        event: Any = h11.NEED_DATA
        while event is h11.NEED_DATA:
            event = await self._receive_event(timeout=timeout)
            parts: list[bytes] = []
            while isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                event = self._next()
            if parts:
                yield parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self) -> Any:
        """What has been read already. An error is `_receive_event`'s to raise: it comes again there."""
        try:
            return self._h11_state.next_event()
        except h11.RemoteProtocolError:
            return h11.NEED_DATA


# The connection is made deep inside, and has no setting for its class; the version is pinned, and a test looks.
httpcore2._async.connection.AsyncHTTP11Connection = AtOnce  # type: ignore[attr-defined]


class ProviderClient(httpx2.AsyncClient):
    """Follows a redirect only within the same server, and sends the same again there: a POST stays one.

    No time-outs but for connecting: `turns` knows how long silence may last.
    """

    def __init__(self, proxy: str | None = None) -> None:
        super().__init__(
            proxy=proxy,
            # Not from the environment: `chat_app.proxy` has read it. Certificates are (SSL_CERT_FILE).
            trust_env=False,
            verify=httpx2.create_ssl_context(trust_env=True),
            limits=openai.DEFAULT_CONNECTION_LIMITS,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
        )

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        options["follow_redirects"] = False
        for _ in range(MAX_REDIRECTS):
            response = await super().send(request, **options)
            target = followed(request.url, response)
            if target is None:
                return response
            await response.aclose()
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            request = self.build_request(request.method, target, headers=headers, content=request.content)
        raise httpx2.TooManyRedirects("The server points at itself again and again.", request=request)


def followed(url: httpx2.URL, response: httpx2.Response) -> httpx2.URL | None:
    """Where a response sends the same request on to, if that is the same server, or the same one by HTTPS."""
    if response.status_code not in (301, 302, 307, 308):
        return None
    try:
        target = url.join(response.headers["location"])
        same = target.host == url.host and _port(target) == _port(url)
    except (KeyError, ValueError, httpx2.InvalidURL):
        return None
    upgraded = target.host == url.host and (url.scheme, target.scheme) == ("http", "https") and target.port is None
    return target if (same and target.scheme == url.scheme) or upgraded else None


def _port(url: httpx2.URL) -> int | None:
    return url.port or DEFAULT_PORTS.get(url.scheme)
