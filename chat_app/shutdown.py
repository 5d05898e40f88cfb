"""The first thing on SIGTERM and SIGINT: end the turns.

The server waits for open connections before it lets the app go, and an event stream stays open until its turn ends.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def on_shutdown(close: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Within the block, run `close` in the running loop when the process is told to end; leaving waits for it.

    Beside the handlers that the server gave to the loop, not instead of them: those are woken through the signal's file
    descriptor, whatever handler Python itself has.
    """
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    def begin() -> None:
        if not closing:
            closing.append(loop.create_task(close()))

    def handler(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)

    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        # Shielded: the server may cancel what it thinks takes too long.
        await asyncio.shield(asyncio.gather(*closing))
        for number, previous in before.items():
            signal.signal(number, previous)
