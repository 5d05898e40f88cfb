"""Where a process is behind, what costs it much is done by a few at a time.

Done by a hundred at once, each would wait for the others at each of its steps, and so would all else: the tokens of
those who are answered, and Stop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat_app.ui.lateness import LATENESS, Lateness

PLACES = 3
HELD_S = 0.1
"""For longer nobody is waited for: what takes so long waits for something else itself, such as a hook of the app's."""


class Turnstile:
    def __init__(self, lateness: Lateness = LATENESS) -> None:
        self._lateness = lateness
        self._places = asyncio.Semaphore(PLACES)

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """The block runs when it is its turn: at once, unless the process is behind; then in the order of the calls."""
        if not self._lateness.s:
            yield
            return
        await self._places.acquire()
        inside = True

        def leave() -> None:
            nonlocal inside
            if inside:
                inside = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(HELD_S, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()
