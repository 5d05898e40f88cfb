"""Who may ask how much: requests, answers at the same time, and what they take. See docs/deploying.md.

The one person of a server without accounts has no limits but those that are set.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from limits import parse_many

from chat_app.caller import LOCAL, Caller, Kind
from chat_app.config import Settings
from chat_app.errors import TooManyTurns
from chat_app.peers import Peers
from chat_app.rates import Counter
from chat_app.spending import Spending
from chat_app.turns.allowance import Allowance

TURNS = 100
"""Of all people together, where people share a server and LIMIT_TURNS_ALL says nothing."""
REQUESTS = tuple(parse_many("600/minute"))
"""Of others than the one person of a server without accounts, where LIMIT_REQUESTS says nothing."""


class Limits:
    """Of one service."""

    def __init__(self, settings: Settings, spending: Spending) -> None:
        self._settings = settings
        self._spending = spending
        self.peers = Peers(settings.trusted_proxies)
        # Without AUTH nobody but the one person of this machine asks.
        self._turns = settings.limit_turns_all or (TURNS if settings.auth else math.inf)
        self._apart = 0
        self._local = Counter("requests", settings.limit_requests)
        self._others = Counter("requests", settings.limit_requests or REQUESTS)

    async def count_request(self, caller: Caller | None, address: str) -> None:
        """One more, of a caller, or of nobody that is known (None). Raises TooManyRequests."""
        if caller is not None and caller.kind is Kind.local:
            return await self._local.one_more("")
        for name in names(caller, address):
            await self._others.one_more(name)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within the block an answer is written that is no turn."""
        self._apart += 1
        try:
            yield
        finally:
            self._apart -= 1

    async def allow(self, running: int, own: int = 0, caller: Caller = LOCAL) -> Allowance | None:
        """Before a turn begins: so many run, and so many of the caller's `own`. Raises LimitReached."""
        if running + self._apart >= self._turns:
            raise TooManyTurns(running + self._apart, "for all people together")
        if caller.kind is not Kind.local and own >= self._settings.limit_turns:
            raise TooManyTurns(own, "for you")
        return await self._spending.allow(caller)


def names(caller: Caller | None, address: str) -> list[str]:
    """For whom a request counts. A key counts by itself, and so for nobody else; a visitor could become another one at
    any time, so their address counts as well."""
    if caller is None:
        return [f"address {address}"]
    if caller.key_id:
        return [f"key {caller.key_id}"]
    own = f"{caller.kind} {caller.owner}"
    return [own, f"address {address}"] if caller.kind is Kind.visitor else [own]
