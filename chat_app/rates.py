"""How often: limits such as `60/minute`, counted by whom they hold for, in this process's memory."""

import math
import time

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from chat_app.errors import TooManyRequests

Rates = tuple[RateLimitItem, ...]


def rates(text: str) -> Rates:
    """`60/minute`, or several with a comma: all of them hold. Raises ValueError."""
    found = tuple(parse_many(text.replace(",", ";")))
    if any(rate.amount < 1 for rate in found):
        raise ValueError("a rate of nothing")
    return found


def said(rate: RateLimitItem, what: str) -> str:
    """`60 requests a minute`, `10 requests in 5 minutes`."""
    name, many = rate.GRANULARITY.name, f"{rate.amount:,} {what}"
    return f"{many} a {name}" if rate.multiples == 1 else f"{many} in {rate.multiples} {name}s"


class Counter:
    """Counts `what`, such as "requests", against `rates`."""

    def __init__(self, what: str, rates: Rates) -> None:
        self.what = what
        self.rates = rates
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage()) if rates else None

    async def one_more(self, who: str) -> None:
        """Raises TooManyRequests: that one is beyond a limit."""
        if self._limiter is None:
            return
        for rate in self.rates:
            if not await self._limiter.hit(rate, self.what, who):
                window = await self._limiter.get_window_stats(rate, self.what, who)
                seconds = max(math.ceil(window.reset_time - time.time()), 1)
                raise TooManyRequests(
                    f"At most {said(rate, self.what)} are taken. Try again in {seconds} s.", retry_after=seconds
                )
