"""Finds code that blocks the event loop, such as `time.sleep` in an `async def`, and writes one line with its stack."""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

BLOCKED_S = 1.0
"""What holds the loop up for longer is told."""
LOOK_S = 0.5
FRAMES = 8


@contextmanager
def watching() -> Iterator[None]:
    """Within the block, watch the running loop from a thread."""
    over = threading.Event()
    arguments = (asyncio.get_running_loop(), threading.get_ident(), over)
    threading.Thread(target=_watch, args=arguments, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(loop: asyncio.AbstractEventLoop, thread: int, over: threading.Event) -> None:
    while not over.wait(LOOK_S):
        beat = threading.Event()
        try:
            loop.call_soon_threadsafe(beat.set)
        except RuntimeError:
            return
        if not beat.wait(BLOCKED_S):
            logger.warning(
                "the event loop has been blocked for over %g s, and all answers with it, at %s. "
                "Write `def` instead of `async def`, or call what blocks with asyncio.to_thread",
                BLOCKED_S,
                _stack(thread),
            )
            # Said once; a loop that has ended beats no more.
            while not beat.wait(BLOCKED_S) and not over.is_set():
                pass


def _stack(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    frames = traceback.extract_stack(frame, limit=FRAMES) if frame else []
    return " < ".join(f"{one.filename}:{one.lineno} in {one.name}" for one in reversed(frames))
