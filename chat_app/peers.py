"""Where a request is from: the client's address, behind proxies too. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

LOOPBACK = ("127.0.0.0/8", "::1")
UNKNOWN = "unknown"
COUNTED_BITS = 64


class Peers:
    """`trusted` are the addresses of proxies, as TRUSTED_PROXIES has them; without any, those of this machine."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(one) for one in trusted or LOOPBACK]

    def is_proxy(self, scope: Scope) -> bool:
        """Whether a request comes from one of them directly."""
        return self._is_trusted(_parsed(_peer(scope)))

    def address(self, scope: Scope) -> str:
        """The client's, as far as proxies that are trusted tell it: what clients write themselves is not believed."""
        return str(self._client(scope) or UNKNOWN)

    def network(self, scope: Scope) -> str:
        """What is counted as one client: of IPv6 the /64, since whoever has an address there has all of them."""
        found = self._client(scope)
        if isinstance(found, IPv6Address) and not found.is_loopback:
            return str(ip_network((found, COUNTED_BITS), strict=False))
        return str(found or UNKNOWN)

    def _client(self, scope: Scope) -> IPv4Address | IPv6Address | None:
        found = _parsed(_peer(scope))
        # Each proxy adds whom it saw at the end.
        for hop in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
            if not self._is_trusted(found) or (before := _parsed(hop.strip())) is None:
                break
            found = before
        return found

    def _is_trusted(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address in IPv6's clothes is the IPv4 one; a port is left out."""
    text = text.strip("[]") if text.count(":") != 1 else text.partition(":")[0]
    try:
        address = ip_address(text.partition("]")[0].strip("["))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_tls(scope: Scope) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy in front: as the guard reads it for origins."""
    return scope.get("scheme") in ("https", "wss") or Headers(scope=scope).get("x-forwarded-proto") == "https"
