"""Where a server is, and which proxy of the environment it is reached through.

httpx's own reading of the environment raises on what other programs write there.
"""

import re
from ipaddress import ip_address, ip_network
from urllib.request import getproxies_environment

import httpx

from .events import ClientError

URL = "http://127.0.0.1:3000"
SCHEMES = ("http", "https", "socks5", "socks5h")
MAX_PORT = 65_535


def shown(url: httpx.URL) -> str:
    """An address for a sentence, without a password."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def parse_address(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
        if url.scheme in ("http", "https") and url.host and (url.port or 0) <= MAX_PORT:
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise ClientError("bad_address", f"{text!r} is no address of a server. One looks like {URL}.")


async def refuse_redirect(response: httpx.Response) -> None:
    """What is said here is meant for this server, and for no other."""
    if not response.has_redirect_location:
        return
    try:
        to = shown(response.url.join(response.headers["Location"]))
    except (httpx.InvalidURL, ValueError):
        to = "what is no address"
    sentence = f"{shown(response.url)} sends all requests on to {to}. If you trust that server, give its address."
    raise ClientError("redirected", sentence, False, response.status_code)


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """None: it is reached directly, as this machine's own servers always are. Raises ClientError ("bad_proxy")."""
    proxies = getproxies_environment()
    if is_loopback(url.host) or _is_excepted(url.host, proxies.get("no", "")):
        return None
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return _checked(proxy, url.host) if proxy else None


def is_loopback(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _is_excepted(host: str, no_proxy: str) -> bool:
    return any(_holds(entry, host.lower().rstrip(".")) for entry in re.split(r"[\s,;]+", no_proxy.lower()) if entry)


def _holds(entry: str, host: str) -> bool:
    """Of an entry of NO_PROXY: all, an address or a network of them, or a domain with what is below it."""
    bare = re.sub(r"(?<=\]):\d+$|^([^:]*):\d+$", r"\1", entry.split("://")[-1]).strip("[]")
    try:
        return ip_address(host.strip("[]")) in ip_network(bare, strict=False)
    except ValueError:
        domain = bare.removeprefix("*").strip(".")
        return bare == "*" or (domain != "" and f".{host}".endswith(f".{domain}"))


def _checked(text: str, host: str) -> httpx.Proxy:
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
        if url.scheme in SCHEMES and re.fullmatch(r"[\w.:-]+", url.host) and (url.port or 1) <= MAX_PORT:
            return httpx.Proxy(url)
    except (httpx.InvalidURL, ValueError):
        pass
    raise ClientError(
        "bad_proxy",
        "The environment names a proxy that cannot be used. Set HTTP_PROXY, HTTPS_PROXY or ALL_PROXY to an address "
        f"such as http://proxy.example.org:3128, or NO_PROXY to {host}.",
    )
