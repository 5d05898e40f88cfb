"""How long to try again, and with what pauses."""

import asyncio
import logging
import random
import time

from .events import ClientError

logger = logging.getLogger(__name__)

# In seconds. The first is for a connection that was only cut.
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
LONGEST_PAUSE = 2.0


class TryAgain(Exception):
    """The same may succeed in a moment; `error` is for the case that it does not."""

    def __init__(self, error: ClientError) -> None:
        self.error = error


class Backoff:
    """Pauses that grow, until `seconds` have passed since the first failure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """There was a sign of life."""
        self._failures = 0

    async def wait(self, error: ClientError) -> None:
        """Pause, or raise `error` if the time is up."""
        now = time.monotonic()
        if not self._failures:
            self._deadline = now + self._seconds
        if self._failures == 1:
            # Not of one that was only cut: nobody would notice it.
            logger.warning("The connection was lost; trying again for %g s.", self._seconds)
        pause = max(pause_after(self._failures), error.retry_after or 0)
        if now + pause >= self._deadline:
            raise error
        self._failures += 1
        await asyncio.sleep(pause)


def pause_after(failures: int) -> float:
    pause = PAUSES[failures] if failures < len(PAUSES) else LONGEST_PAUSE
    # Not all clients of a server that restarts at the same moment.
    return pause * random.uniform(0.5, 1)
