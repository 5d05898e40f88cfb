"""Where somebody goes after signing in: back to where they came from, and never to another site. Pure."""

import re
from urllib.parse import urlsplit

_OWN = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
ENTRIES = ("/login", "/logout", "/invite")


def own_address(given: str | None) -> str:
    """The address if it is one of ours, `/` for any other.

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
