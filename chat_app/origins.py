"""The `Host` and `Origin` of a request, as sites that can be compared: many spellings are one. Pure."""

import re
from ipaddress import ip_address
from typing import NamedTuple

DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = r"(\[[^\[\]/@\s]+\]|[^\[\]:/@,\s]+)(?::(\d{0,5}))?"
_NETLOC = re.compile(_HOST)
_ORIGIN = re.compile(rf"(https?)://{_HOST}", re.IGNORECASE)


class Site(NamedTuple):
    """A host's name as it is compared, and the port; None where none is given."""

    name: str
    port: int | None


class Origin(NamedTuple):
    """Where a page is from; `port` is None for the scheme's own."""

    scheme: str
    name: str
    port: int | None

    def __str__(self) -> str:
        """As browsers write it."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{self.scheme}://{name}" + (f":{self.port}" if self.port else "")

    def is_of(self, site: Site) -> bool:
        """Whether a page from here came from that host. The scheme is the page's: a proxy may speak TLS for us."""
        return (self.name, self.port) == (site.name, _unless_default(self.scheme, site.port))


def site(netloc: str) -> Site | None:
    """`Chat.example.org.:80` → `("chat.example.org", 80)`; None for what names no host."""
    match = _NETLOC.fullmatch(netloc)
    name = _name(match[1]) if match else ""
    return Site(name, int(match[2]) if match[2] else None) if match and name else None


def origin(text: str) -> Origin | None:
    """`https://x:443` → `("https", "x", None)`; None for what is no web page's origin, such as `null`."""
    match = _ORIGIN.fullmatch(text)
    host = site(text.partition("://")[2]) if match else None
    if match is None or host is None:
        return None
    scheme = match[1].lower()
    return Origin(scheme, host.name, _unless_default(scheme, host.port))


def is_address(name: str) -> bool:
    """Whether a site's name is an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _unless_default(scheme: str, port: int | None) -> int | None:
    return None if port == DEFAULT_PORTS[scheme] else port


def _name(host: str) -> str:
    """In lower case, without the dot of a complete name, in ASCII as browsers send it; "" for what is no name."""
    if host.startswith("["):
        inner = host[1:-1]
        return ip_address(inner).compressed if ":" in inner and is_address(inner) else ""
    name = host.lower().removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return ""
