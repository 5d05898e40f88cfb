"""The first thing on SIGTERM, SIGINT and SIGHUP, or when the server's parent is gone: end the turns.

The server closes every websocket as soon as it hears of it, and lets the app go when the event streams have ended,
which they do with their turns. So it hears of it last. It waits for every request to end, also for one that never comes
whole, so what is open in the end is cut off.
"""

import asyncio
import logging
import mmap
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from threading import Thread
from types import FrameType
from typing import Any, TypeVarTuple

import uvloop

from chat_app.connections import hang_up

logger = logging.getLogger(__name__)
Ts = TypeVarTuple("Ts")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
CUT_OFF_S = 1.0
"""So long after the grace, and after the turns have ended, connections that are still open are cut off."""
LAST_RESORT_S = 30
"""A server that has not ended so long after the grace of its turns is killed."""
THREADS_S = 1.0
"""So long may threads that an agent has begun take to end, when all else has."""
serves = mmap.mmap(-1, 1)
"""One byte that this process shares with those that it forks: whether the server's worker is between its start and its
orderly end."""


class ServerLoop(uvloop.Loop):
    """The server's event loop: it keeps a signal back from the server until what is to be done first is done."""

    first: Callable[[], asyncio.Task[None]] | None = None

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        super().add_signal_handler(sig, self._hear, callback, *args)

    def _hear(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        if self.first is None:
            callback(*args)
        else:
            self.first().add_done_callback(lambda _: callback(*args))


def server_loop() -> ServerLoop:
    loop = ServerLoop()
    asyncio.set_event_loop(loop)
    return loop


@asynccontextmanager
async def on_shutdown(
    close: Callable[[], Coroutine[Any, Any, None]], *, grace: float, port: int
) -> AsyncIterator[None]:
    """Within the block, run `close` in the running loop when the process is told to end; leaving waits for it.

    `grace` is how many seconds `close` may take, and requests that are no turns; what came in at `port` and is still
    open then is cut off.

    Also where the loop is another, as in development: beside the handlers that the server gave to it, which are woken
    through the signal's file descriptor, whatever handler Python itself has.
    """
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    def begin() -> asyncio.Task[None]:
        if not closing:
            cut_off_at = loop.time() + grace + CUT_OFF_S
            closing.append(loop.create_task(close()))
            closing[0].add_done_callback(
                lambda _: loop.call_at(max(cut_off_at, loop.time() + CUT_OFF_S), hang_up, port)
            )
        return closing[0]

    def handler(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)

    if isinstance(loop, ServerLoop):
        loop.first = begin
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    serves[0] = True
    if parent := multiprocessing.parent_process():
        Thread(target=_end_with, args=(parent, grace + LAST_RESORT_S), daemon=True).start()
    try:
        yield
        # Not where an agent has cancelled whatever it found.
        serves[0] = False
    finally:
        # Shielded: the server may cancel what it thinks takes too long.
        await asyncio.shield(asyncio.gather(*closing))
        for number, previous in before.items():
            signal.signal(number, previous)
        if parent:
            Thread(target=_end_without_threads, daemon=True).start()


def _end_without_threads() -> None:
    """Python waits for each thread before it ends, for ever for some that an agent has begun."""
    time.sleep(THREADS_S)
    logger.warning("threads of REPLIES or HOOKS have not ended, and end with the server")
    os._exit(0)


def _end_with(parent: BaseProcess, patience: float) -> None:
    """End this process when the one that watches over it is gone; by force when it has not ended after a while."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os.kill(os.getpid(), signal.SIGKILL)
