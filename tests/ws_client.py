"""A WebSocket client for tests: JSON texts in and out, on wsproto, which comes with Reflex."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

PATIENCE_S = 30.0


class Refused(Exception):
    """The server did not open the socket; `status` is its answer to the handshake."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class Closed(Exception):
    """The server closed the socket; `code` is the one of RFC 6455, 1006 if it just dropped the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection. Its socket is closed by the loop, which may end with the test."""
    writer.close()
    await asyncio.sleep(0)


class Socket:
    """One connection: `async with Socket(url, Origin="http://…") as socket`; a header may be any name but `Host`."""

    def __init__(self, url: str, *, host: str | None = None, protocols: Sequence[str] = (), **headers: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self._host = host or parts.netloc
        self._target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._protocols = list(protocols)
        self._headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._events: deque[Event] = deque()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        try:
            await self._send(
                Request(self._host, self._target, extra_headers=self._headers, subprotocols=self._protocols)
            )
            event = await self._next()
            if isinstance(event, RejectConnection):
                raise Refused(event.status_code)
            assert isinstance(event, AcceptConnection), event
        except BaseException:
            await close(self._writer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await close(self._writer)

    async def send(self, value: Any) -> None:
        """A value as JSON; a string or bytes as they are."""
        event = BytesMessage(value) if isinstance(value, bytes) else TextMessage(_text(value))
        await self._send(event)

    async def break_off(self, data: bytes) -> None:
        """Send bytes that may be no frame, and nothing after them."""
        self._writer.write(data)
        await self._writer.drain()
        self._writer.write_eof()

    async def receive(self) -> dict[str, Any]:
        """The next object. Raises Closed."""
        text = await self.receive_text()
        value: dict[str, Any] = json.loads(text)
        return value

    async def receive_text(self) -> str:
        """The next whole text. Raises Closed."""
        parts = []
        while True:
            event = await self._next()
            if isinstance(event, CloseConnection):
                raise Closed(event.code)
            if isinstance(event, Ping):
                await self._send(event.response())
            elif isinstance(event, TextMessage):
                parts.append(event.data)
                if event.message_finished:
                    return "".join(parts)

    async def until(self, key: str) -> list[dict[str, Any]]:
        """All objects up to the first that has `key` (such as `finish_reason`), that one too."""
        received = [await self.receive()]
        while key not in received[-1]:
            received.append(await self.receive())
        return received

    async def _send(self, event: Event) -> None:
        self._writer.write(self._connection.send(event))
        await self._writer.drain()

    async def _next(self) -> Event:
        while not self._events:
            data = await asyncio.wait_for(self._reader.read(65536), PATIENCE_S)
            if not data:
                raise Closed(1006)
            self._connection.receive_data(data)
            self._events.extend(self._connection.events())
        return self._events.popleft()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
