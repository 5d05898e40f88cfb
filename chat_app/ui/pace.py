"""How often a page is written to: at once, but for a rest after each write, in which what comes is gathered."""

import asyncio

REST_S = 0.01
"""Without it each token of a fast model would be a frame of its own, of many times as many bytes as its text."""


class Pace:
    """Of one follower: a token goes out as it comes; where they come faster, they go together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rests_to = 0.0

    async def begin(self) -> None:
        """A write begins, after the rest that is due."""
        if (rest := self._rests_to - self._loop.time()) > 0:
            await asyncio.sleep(rest)

    def end(self) -> None:
        self._rests_to = self._loop.time() + REST_S
