"""A reader that takes nothing for too long is dropped: it would hold its connection and what waits for it for ever.

Plain ASGI around the doors. The server's `send` waits while the client does not read, and there is no other sign.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat_app.alarm import RESOLUTION_S, Alarm

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 30.0


class Undelivered(Exception):
    """The client did not take what was sent. No `OSError`, which Starlette would take for a client that left."""


class Deadline:
    """Ends a request or a websocket once a message could not be delivered for `seconds`; no turn ends with it."""

    def __init__(self, app: ASGIApp, seconds: float = SEND_TIMEOUT_S) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sends = Sends(send, self.seconds, scope["path"])
        try:
            await self.app(scope, receive, sends)
        except Undelivered:
            # The answer has begun, so nothing can be said any more; the server closes the connection.
            return
        finally:
            sends.close()


class Sends:
    """The `send` of one request. One alarm is for all that is being sent: it is set for the oldest of it."""

    def __init__(self, send: Send, seconds: float, path: str) -> None:
        self._send = send
        self._seconds = seconds
        self._path = path
        self._alarm = Alarm(self._expire)
        self._began: dict[asyncio.Timeout, float] = {}

    async def __call__(self, message: Message) -> None:
        """Raises Undelivered."""
        try:
            async with asyncio.timeout(None) as limit:
                if not self._began:
                    self._alarm.set(self._seconds)
                self._began[limit] = asyncio.get_running_loop().time()
                try:
                    await self._send(message)
                finally:
                    del self._began[limit]
        except TimeoutError:
            logger.warning("dropped a reader of %s that took nothing for %g s", self._path, self._seconds)
            raise Undelivered from None

    def close(self) -> None:
        self._alarm.close()

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit, began in self._began.items():
            if (left := began + self._seconds - now) > RESOLUTION_S:
                return self._alarm.set(left)
            limit.reschedule(now)
