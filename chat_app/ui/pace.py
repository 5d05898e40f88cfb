"""How often a page is written to: at once, but for a rest after each write, in which what comes is gathered."""

import asyncio
import time

from chat_app.ui.lateness import LATENESS, Lateness

LEAST_S = 0.003
"""A token of a fast model would else be a frame of its own, of many times as many bytes as its text."""
MOST_S = 0.01
RESTS = 3
"""How many times as long as the write before it: where the server, or the page's connection, is busy, a write takes
longer, and more goes together."""
MOST_BEHIND_S = 0.1
BEHIND = 3
"""How many times as long as the process is late: where hundreds of answers grow at once, they take fewer steps, and
those who ask or press Stop have theirs sooner."""


class Pace:
    """Of one follower: a token goes out as it comes; where they come faster, they go together."""

    def __init__(self, lateness: Lateness = LATENESS) -> None:
        self._lateness = lateness
        self._began = self._rests_to = 0.0

    async def rest(self) -> None:
        """The rest that is due after the last write."""
        if (rest := self._rests_to - time.monotonic()) > 0:
            await asyncio.sleep(rest)
            self._lateness.note(time.monotonic() - self._rests_to)

    def begin(self) -> None:
        """A write begins."""
        self._began = time.monotonic()

    def end(self) -> None:
        now = time.monotonic()
        usual = min(max(LEAST_S, RESTS * (now - self._began)), MOST_S)
        self._rests_to = now + max(usual, min(BEHIND * self._lateness.s, MOST_BEHIND_S))
