"""What one address may hold open, and what one websocket may send: the doors' and the page's."""

from collections import Counter as Counts
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

from starlette.types import Message, Receive, Scope, Send

from chat_app import rates
from chat_app.errors import LimitReached, TooManyConnections
from chat_app.peers import UNKNOWN, Peers

REFUSED, TOO_BIG = 1008, 1009


class Addresses:
    """How many requests and websockets each has open; `most` None: any number. A proxy on this machine stands for
    many people, so loopback has no limit."""

    def __init__(self, most: int | None, peers: Peers) -> None:
        self._most = most
        self._peers = peers
        self._open = Counts[str]()

    @contextmanager
    def one_more(self, scope: Scope) -> Iterator[None]:
        """Within the block it is open. Raises TooManyConnections."""
        network = self._peers.network(scope) if self._most else UNKNOWN
        if self._most is None or network == UNKNOWN or ip_network(network).is_loopback:
            yield
            return
        if self._open[network] >= self._most:
            raise TooManyConnections(self._most)
        self._open[network] += 1
        try:
            yield
        finally:
            self._open[network] -= 1
            if not self._open[network]:
                del self._open[network]


class Incoming:
    """What a client sends into one websocket: messages of at most `most_bytes`, and not more often than `often`. A
    client that does not keep to it is hung up on."""

    def __init__(self, receive: Receive, send: Send, most_bytes: int, often: rates.Rates) -> None:
        self._receive = receive
        self._send = send
        self._most_bytes = most_bytes
        self._often = rates.Counter("messages", often)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return message
        size = len(message.get("bytes") or b"") or len((message.get("text") or "").encode())
        if size > self._most_bytes:
            return await self._hang_up(TOO_BIG, "message_too_large")
        try:
            await self._often.one_more("")
        except LimitReached as error:
            return await self._hang_up(REFUSED, error.code)
        return message

    async def _hang_up(self, code: int, reason: str) -> Message:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
        return {"type": "websocket.disconnect", "code": code}
