"""A window's own way to the connection, in a real engine.io server: the order of what is sent stays what it was."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import engineio
import pytest
from engineio.packet import MESSAGE, Packet

from chat_app.ui.frames import with_own_frames

pytestmark = pytest.mark.anyio

SCOPE = {
    "type": "websocket",
    "path": "/engine.io/",
    "raw_path": b"/engine.io/",
    "query_string": b"transport=websocket&EIO=4",
    "headers": [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")],
}


class Connection:
    """As a server of ASGI gives it, to a browser that reads only while `reads` is set."""

    def __init__(self) -> None:
        self.server = engineio.AsyncServer(async_mode="asgi")
        with_own_frames(self.server)
        self.taken: list[str] = []
        self.begun = 0
        self.closed = self.broken = False
        self.reads = asyncio.Event()
        self.reads.set()
        self._came = False
        self._left = asyncio.Event()

    async def run(self) -> None:
        await engineio.ASGIApp(self.server)(SCOPE, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._came:
            self._came = True
            return {"type": "websocket.connect"}
        await self._left.wait()
        return {"type": "websocket.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.send":
            self.begun += 1
            await self.reads.wait()
            if self.broken:
                raise OSError
            self.taken.append(event["text"])
        self.closed = self.closed or event["type"] == "websocket.close"

    @property
    def socket(self) -> Any:
        return next(iter(self.server.sockets.values()))

    async def send(self, text: str) -> None:
        await self.socket.send(Packet(MESSAGE, text))

    async def claim(self) -> Any:
        await until(lambda: self.taken and self.socket.queue.claim())
        return self.socket.queue

    def leave(self) -> None:
        self._left.set()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def turns_of_the_loop() -> None:
    """More than a frame needs to the connection."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    running = asyncio.create_task(connection.run())
    yield connection
    connection.reads.set()
    connection.leave()
    await running


async def test_what_is_sent_after_a_window_comes_after_it(connection: Connection) -> None:
    frames = await connection.claim()
    await connection.send("next")
    await connection.send("last")
    await turns_of_the_loop()
    assert len(connection.taken) == 1, "the packet that opens the connection"
    await frames.write(Packet(MESSAGE, "window"))
    frames.release()
    await until(lambda: len(connection.taken) == 4)
    assert connection.taken[1:] == ["4window", "4next", "4last"]


async def test_no_window_passes_what_is_still_being_written(connection: Connection) -> None:
    frames = await connection.claim()
    assert not frames.claim(), "one at a time"
    frames.release()
    connection.reads.clear()
    await connection.send("slow")
    assert not frames.claim(), "it waits"
    await until(lambda: connection.begun == 2)
    await turns_of_the_loop()
    assert not frames.claim(), "it is being written"
    connection.reads.set()
    assert await connection.claim() is frames
    assert connection.taken[1:] == ["4slow"]
    frames.release()


async def test_a_connection_that_takes_no_window_is_closed(connection: Connection) -> None:
    frames = await connection.claim()
    connection.broken = True
    await frames.write(Packet(MESSAGE, "window"))
    frames.release()
    assert connection.closed
