"""How many requests and websockets are answered at the same time: one more is told so, in a sentence."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Scope

from chat_app.connections import Capacity
from chat_app.errors import ServerBusy

ALWAYS = ("/healthz", "/readyz")
"""Whoever watches over the server is to know that it lives."""


class Crowd:
    """Counts what is open, of each kind."""

    def __init__(self, capacity: Capacity) -> None:
        self._most = {"http": capacity.requests, "websocket": capacity.sockets}
        self._open = Counter[str]()

    @contextmanager
    def one_more(self, scope: Scope) -> Iterator[None]:
        """Within the block it is open. Raises ServerBusy."""
        kind = scope["type"]
        if self._open[kind] >= self._most[kind] and scope["path"] not in ALWAYS:
            raise ServerBusy
        self._open[kind] += 1
        try:
            yield
        finally:
            self._open[kind] -= 1
