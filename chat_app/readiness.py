"""Whether a service can do its work, as `/readyz` tells it. A look at the model is kept for a while: it may cost."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from chat_app.errors import ChatError, ProviderBusy

LIMIT_S = 3.0
KEPT_S = 15.0
# A server without a list of models answers all the same.
ANSWERS = (404, 405, 501)

Look = Callable[[], Awaitable[object]]


async def problem_of(look: Look, otherwise: str) -> str | None:
    """What keeps it from working, as a sentence; None: nothing. `otherwise` is told where it takes too long."""
    try:
        async with asyncio.timeout(LIMIT_S):
            await look()
    except TimeoutError:
        return otherwise
    except ChatError as error:
        well = isinstance(error, ProviderBusy) or error.provider_status in ANSWERS
        return None if well else error.message
    return None


class Model:
    """What answers; asked at most every `KEPT_S` seconds, and by one at a time."""

    def __init__(self, look: Look | None) -> None:
        self._look = look
        self._lock = asyncio.Lock()
        self._known: tuple[float, str | None] | None = None

    async def problem(self) -> str | None:
        """A sentence; None: it answers, or is a function that is not asked."""
        if self._look is None:
            return None
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > KEPT_S:
                found = await problem_of(self._look, "The model's server does not answer.")
                self._known = time.monotonic(), found
            return self._known[1]
