"""What waits to be written to a page's connection, and a way past it for a window.

For each packet, engine.io wakes a task that waits with a timeout, which is a task and a timer more: a twelfth of what a
token cost the server. Where that task has nothing to write, a window is written here, in its place; what others
send meanwhile waits until it is written, so all comes in the order in which it was sent.
"""

import asyncio
from typing import Any

from engineio.async_drivers.asgi import WebSocket
from engineio.packet import Packet


class Frames(asyncio.Queue[Any]):
    """The queue of an engine.io socket."""

    def __init__(self) -> None:
        super().__init__()
        self.websocket: Any = None
        self._all_written = False
        self._unclaimed = asyncio.Event()
        self._unclaimed.set()

    async def get(self) -> Any:
        """Called by the task that writes, when it has written what it took before."""
        self._all_written = True
        try:
            frame = await super().get()
        finally:
            self._all_written = False
        await self._unclaimed.wait()
        return frame

    def claim(self) -> bool:
        """The next frame is the caller's to `write`, as nothing else waits or is being written. Then call `release`."""
        if self.websocket is None or not self._unclaimed.is_set() or not self._all_written or not self.empty():
            return False
        self._unclaimed.clear()
        return True

    def release(self) -> None:
        self._unclaimed.set()

    async def write(self, frame: Packet) -> None:
        """Returns when the connection has taken it."""
        try:
            await self.websocket.send(frame.encode())
        except Exception:
            # As engine.io does it: a page that lacks a frame connects anew.
            await self.websocket.close()


class Connection(WebSocket):
    """Engine.io's wrapper of a websocket, known to the queue of its socket."""

    def __init__(self, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._socket = handler.__self__

    async def __call__(self, environ: Any) -> Any:
        # Not where it is about to take the place of another transport, which may still be written to.
        if not self._socket.connected:
            self._socket.queue.websocket = self
        return await super().__call__(environ)


def with_own_frames(server: Any) -> None:
    """Give the connections of an engine.io server these queues."""
    server.create_queue = Frames
    server._async = {**server._async, "websocket": Connection}
