"""Guessing is slowed down: so many tries of a password for one name, and from one address."""

import math
import time
from collections.abc import Iterable, Iterator

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from chat_app.errors import TooManyRequests

HERE = [parse("5/minute"), parse("20/hour")]
"""For one name from one address: who mistypes is back in a minute."""
NAME = [parse("100/hour")]
"""For one name from everywhere. High: otherwise anybody could lock a person out."""
ADDRESS = [parse("30/minute"), parse("200/hour")]


class Throttle:
    """In memory: what is counted is gone after a restart, which guesses no faster."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, name: str, address: str) -> None:
        """One more try. Raises TooManyRequests: too many."""
        self._count(self._limits(name, address))

    def count_address(self, address: str) -> None:
        """One more try of nobody that is known yet. Raises TooManyRequests: too many."""
        self._count((limit, ("address", address)) for limit in ADDRESS)

    def _count(self, counted: Iterable[tuple[RateLimitItem, tuple[str, ...]]]) -> None:
        for limit, who in counted:
            if not self._limiter.hit(limit, *who):
                wait = self._limiter.get_window_stats(limit, *who).reset_time - time.time()
                raise TooManyRequests(
                    "That was tried too often. Wait a while, then try again.", retry_after=max(math.ceil(wait), 1)
                )

    def forgive(self, name: str, address: str) -> None:
        """It was the right one: what was mistyped before it does not count any more."""
        for limit in HERE:
            self._limiter.clear(limit, "here", name, address)

    def _limits(self, name: str, address: str) -> Iterator[tuple[RateLimitItem, tuple[str, ...]]]:
        for limits, who in ((ADDRESS, ("address", address)), (HERE, ("here", name, address)), (NAME, ("name", name))):
            yield from ((limit, who) for limit in limits)
