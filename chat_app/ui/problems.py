"""What the page says when something fails: the error's own sentence, and of a fault of ours that it is one."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import reflex as rx
from reflex.event import EventSpec

from chat_app.backoff import Backoff
from chat_app.errors import ChatError, InternalError

T = TypeVar("T")

logger = logging.getLogger(__name__)


def known(error: Exception) -> ChatError:
    """As it is told; a fault of ours goes to the server's log."""
    if isinstance(error, ChatError):
        return error
    logger.error("the page could not do what it was asked to", exc_info=error)
    return InternalError()


def complaint(exception: Exception) -> EventSpec:
    """Shown once, however many things fail at the same moment for the same reason."""
    sentence = known(exception).told
    return rx.toast.error(sentence, id=sentence)


async def until_read(read: Callable[[], Awaitable[T]], say: Callable[[], Awaitable[None]], what: str) -> T:
    """What `read` gives, as soon as it can: where it fails the page says so (`say`), and it is tried again."""
    backoff = Backoff(f"{what} could not be read")
    while True:
        try:
            return await read()
        except Exception:
            await say()
            await backoff.failed()
