"""How late this process comes to what it has to do: the event loop of a busy one has much before each thing's turn."""

import time

SMOOTHED_S = 0.5
"""A single long step, such as the garbage collector's, does not make a process late."""
STALE_S = 1.0


class Lateness:
    def __init__(self) -> None:
        self._s = self._noted_at = 0.0

    @property
    def s(self) -> float:
        """In seconds; none where nothing was waited for of late."""
        return self._s if time.monotonic() - self._noted_at < STALE_S else 0.0

    def note(self, late_s: float) -> None:
        """Something came so much later than it was to."""
        now = time.monotonic()
        self._s += (late_s - self._s) * min((now - self._noted_at) / SMOOTHED_S, 1)
        self._noted_at = now


LATENESS = Lateness()
