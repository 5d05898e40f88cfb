"""The proxy that the environment names for an address. Pure: no request is made here.

The HTTP libraries' own reading is not used: it sends loopback addresses through proxies, and raises on what other
programs write (`ALL_PROXY=socks://…` by GNOME, CIDR or `[::1]` in NO_PROXY).
"""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from chat_app.address import is_loopback

SCHEMES = ("http", "https")
SOCKS_SCHEMES = ("socks5", "socks5h")


class BadProxy(ValueError):
    """A proxy that cannot be used; `name` is its variable, the text says what to do."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def proxy_for(url: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The proxy that a request to this address has to take; None: it goes straight, as it always does to this machine.

    Raises:
        BadProxy: the environment names one that cannot be used.
    """
    environ = os.environ if environ is None else environ
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _is_excepted(host, parts.port, _value(environ, "no_proxy")[1]):
        return None
    for variable in (f"{parts.scheme}_proxy", "all_proxy"):
        name, value = _value(environ, variable)
        if value:
            return _checked(name, value, host)
    return None


def _value(environ: Mapping[str, str], variable: str) -> tuple[str, str]:
    """The variable as it is spelt, and its value; in lower case it wins, as with curl."""
    for name in (variable, variable.upper()):
        if value := (environ.get(name) or "").strip():
            return name, value
    return variable.upper(), ""


def _checked(name: str, value: str, host: str) -> str:
    proxy = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(proxy)
        complete = bool(parts.hostname) and (parts.port is None or parts.port > 0) and not re.search(r"\s", proxy)
    except ValueError:
        complete = False
    known = complete and parts.scheme in (*SCHEMES, *(SOCKS_SCHEMES if find_spec("socksio") else ()))
    if not known:
        raise BadProxy(
            name, f"use an address such as http://proxy.example.org:3128, or name {host} in NO_PROXY to go without it"
        )
    return proxy


def _is_excepted(host: str, port: int | None, no_proxy: str) -> bool:
    return any(
        _covers(entry, host.lower().rstrip("."), port) for entry in re.split(r"[\s,;]+", no_proxy.lower()) if entry
    )


def _covers(entry: str, host: str, port: int | None) -> bool:
    """One entry of NO_PROXY: `*`, a domain with all below it, an address, a network, each perhaps with a port."""
    entry = entry.split("://")[-1]
    if match := re.fullmatch(r"\[?(.+?)\]?:(\d+)", entry) if entry.count(":") == 1 or "]:" in entry else None:
        entry = match[1]
        if port != int(match[2]):
            return False
    entry = entry.strip("[]")
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        domain = entry.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
