"""How often a page is written to: as often as there is something, as long as that leaves time for all else."""

import asyncio

# A write is followed by a rest of so many times as long as it took, and of `LONGEST_S` at most.
RESTS = 3
LONGEST_S = 0.01


class Pace:
    """Of one follower: a token goes out as it comes; where they come faster than they can be sent, they go together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._rests_to = 0.0

    async def begin(self) -> None:
        """A write begins, after the rest that is due."""
        if (rest := self._rests_to - self._loop.time()) > 0:
            await asyncio.sleep(rest)
        self._began = self._loop.time()

    def end(self) -> None:
        now = self._loop.time()
        self._rests_to = now + min(RESTS * (now - self._began), LONGEST_S)
