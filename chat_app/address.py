"""The address of a model's server, as people really paste it. Pure."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

# What the app adds by itself: people paste it with the address.
OPENAI_URL = "https://api.openai.com/v1"
_ENDPOINT = re.compile(r"(/+(chat/completions|completions|responses|embeddings|models))?/*$")
QUOTES = "\"'`“”‘’<>"


def server_address(text: str) -> str:
    """The base address in what was pasted: without quotes, an endpoint or a slash at its end; a query stays.

    Raises:
        ValueError: it is no address; the text says what to use.
    """
    text = text.strip().strip(QUOTES).strip()
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError("use an address that starts with http:// or https://")
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("an address has no spaces or line breaks in it; copy it again")
    try:
        parts = urlsplit(text)
        port_is_known = parts.port is None or parts.port > 0
    except ValueError:
        port_is_known = False
    if not port_is_known or not parts.hostname:
        raise ValueError(
            "use an address such as http://localhost:11434/v1, with a host and at most a port from 1 to 65535"
        )
    return urlunsplit((parts.scheme.lower(), parts.netloc, _ENDPOINT.sub("", parts.path), parts.query, ""))


def issuer_address(text: str) -> str:
    """The address of an OpenID Connect provider, as the provider writes it but for a slash at its end.

    Raises:
        ValueError: it is none; the text says what to use.
    """
    address = server_address(text)
    parts = urlsplit(address)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("use an address that starts with https://; whoever is in between could be anybody")
    if parts.query or parts.fragment:
        raise ValueError("use the address of the provider alone, such as https://sso.example.org/realms/home")
    return address.removesuffix("/.well-known/openid-configuration").rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address; no name is looked up."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def is_unspecified(host: str) -> bool:
    """Whether it stands for all addresses of this machine, as `0.0.0.0` does for a server."""
    try:
        return ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        # As the system's resolver takes it.
        return host in ("", "0", "*")
