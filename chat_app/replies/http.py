"""The HTTP client of one provider: through the proxy of the environment, and to no other host than the one set."""

from typing import Any

import httpx2
import openai

from chat_app.replies import connection

MAX_REDIRECTS = 5
CONNECT_S = 10
DEFAULT_PORTS = {"http": 80, "https": 443}


connection.install()


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
