"""What is open in somebody's name: requests, event streams and websockets, so that signing out ends them too."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIGNED_OUT = 4401
"""The code of a websocket's end, for the page: 4000 and more are an application's own, and 401 is HTTP's."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What let somebody in: a session (by its hash), or an API key (by its id), of this person; or a `visit`, which is
    stored nowhere."""

    person_id: str
    session: str = ""
    key_id: str = ""
    visit: bool = False


class Connections:
    def __init__(self) -> None:
        self._open: set[Connection] = set()

    async def serve(self, app: ASGIApp, by: Credential, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it until the app, or `end`, ends it."""
        connection = Connection(by, scope, receive, send)
        self._open.add(connection)
        try:
            await connection.serve(app)
        finally:
            self._open.discard(connection)

    def end(self, which: Callable[[Credential], bool]) -> None:
        for connection in [one for one in self._open if which(one.by)]:
            connection.end()

    def credentials(self) -> set[Credential]:
        return {connection.by for connection in self._open}


class Connection:
    """One request or websocket."""

    def __init__(self, by: Credential, scope: Scope, receive: Receive, send: Send) -> None:
        self.by = by
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_socket = scope["type"] == "websocket"
        self._ended = False
        self._serving: asyncio.Task[object] | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def serve(self, app: ASGIApp) -> None:
        if self._is_socket:
            return await app(self._scope, self.receive, self.send)
        self._serving = asyncio.current_task()
        try:
            await app(self._scope, self._receive, self._send)
        except asyncio.CancelledError:
            # The server closes a connection whose answer has begun and does not go on.
            if not self._taken_back(self._serving):
                raise

    def end(self) -> None:
        """A websocket hears that its client has gone, and the client why; a request is given up."""
        if self._ended:
            return
        self._ended = True
        if self._is_socket:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        if task := self._waiting if self._is_socket else self._serving:
            task.cancel()

    async def receive(self) -> Message:
        """Of a websocket."""
        if self._ended:
            return await self._gone()
        self._waiting = asyncio.current_task()
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not self._taken_back(self._waiting):
                raise
            return await self._gone()
        finally:
            self._waiting = None

    async def send(self, message: Message) -> None:
        """Of a websocket; after its end nobody takes it."""
        if not self._ended:
            await self._send(message)

    async def _gone(self) -> Message:
        # When the app returns, the server closes the socket without a code.
        if self._closing:
            await asyncio.shield(self._closing)
        return {"type": "websocket.disconnect", "code": SIGNED_OUT}

    async def _close(self) -> None:
        # It may be gone by itself.
        with suppress(Exception):
            await self._send({"type": "websocket.close", "code": SIGNED_OUT, "reason": "signed_out"})

    def _taken_back(self, task: "asyncio.Task[object] | None") -> bool:
        """Whether it was us who cancelled the task, and nobody else."""
        return self._ended and task is not None and task.uncancel() == 0
