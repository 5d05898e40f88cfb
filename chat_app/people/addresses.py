"""Addresses of ours: where this server is, and where somebody goes after signing in. Pure."""

import re
from urllib.parse import urlsplit

from starlette.requests import Request

from chat_app.peers import is_tls

_OWN = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
ENTRIES = ("/login", "/logout", "/invite")


def own_address(given: str | None) -> str:
    """Back to where somebody came from: the address if it is one of ours, `/` for any other.

    Browsers read `//host`, `/\\host` and what has a tab in it as another host's.
    """
    if not given or not _OWN.fullmatch(given):
        return "/"
    try:
        parts = urlsplit(given)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or any(parts.path == one or parts.path.startswith(f"{one}/") for one in ENTRIES):
        return "/"
    return given


def our_origin(request: Request) -> str:
    """As people reach the server: `https://chat.example.org`. The guard knows the host; a proxy tells of its TLS."""
    return f"{'https' if is_tls(request.scope) else 'http'}://{request.headers['host']}"
