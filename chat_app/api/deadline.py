"""A reader that takes nothing for too long is dropped: it would hold its connection and what waits for it for ever.

Plain ASGI around the doors. The server's `send` waits while the client does not read, and there is no other sign.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self.seconds):
                    await send(message)
            except TimeoutError:
                logger.warning("dropped a reader of %s that took nothing for %g s", scope["path"], self.seconds)
                raise Undelivered from None

        try:
            await self.app(scope, receive, send_in_time)
        except Undelivered:
            # The answer has begun, so nothing can be said any more; the server closes the connection.
            return
