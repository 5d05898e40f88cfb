"""What may go wrong while a reply source is read, told alike wherever that is: it is silent, fails, or says nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from chat_app.alarm import Limit
from chat_app.errors import ChatError, InternalError, NoAnswer, ProviderSilent

logger = logging.getLogger(__name__)


@asynccontextmanager
async def not_silent(seconds: float) -> AsyncIterator[Limit]:
    """Within the block the source is read; the limit is put off by what it says. Raises ProviderSilent."""
    limit = Limit(seconds)
    try:
        async with limit:
            yield limit
    except TimeoutError:
        # Unless it is the source's own.
        if not limit.expired():
            raise
        raise ProviderSilent("The model was silent for too long. Try again, or choose a faster model.") from None


class Stopped(asyncio.CancelledError):
    """Who reads the source ends it: no fault of the source's."""


@contextmanager
def own_faults(whose: str) -> Iterator[None]:
    """Within the block, what the source does wrong is logged, under that name, and is an InternalError.

    SystemExit too: out of a task it would end the event loop. A ChatError says itself what is wrong.
    """
    try:
        yield
    except (ChatError, Stopped):
        raise
    except BaseException as problem:
        if isinstance(problem, asyncio.CancelledError) and _is_cancelled():
            raise
        logger.exception("%s failed", whose)
        raise InternalError from problem


def _is_cancelled() -> bool:
    """Whether somebody cancels this task: else a CancelledError is the source's own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def said_nothing() -> NoAnswer:
    return NoAnswer("The answer came out empty. Try again.")
