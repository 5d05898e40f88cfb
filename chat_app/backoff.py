"""What goes on for ever goes on after the database failed: said once, tried again after longer and longer pauses."""

import asyncio
import logging
import sys

from chat_app.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class Backoff:
    """`doing` is what could not be done, for the log."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._pause = 0.0

    async def failed(self) -> None:
        """Called where the exception is handled. An outage of the database is a line of its own already."""
        if not self._pause and not isinstance(sys.exception(), DatabaseUnavailable):
            # All in one: the log tells lines apart by what they are formatted from.
            logger.exception(f"{self._doing}; tried again until it works")
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S) or FIRST_PAUSE_S
        await asyncio.sleep(self._pause)

    def over(self) -> None:
        """It works again."""
        self._pause = 0.0
