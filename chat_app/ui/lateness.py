"""How late this process comes to what it has to do: the event loop of a busy one has much before each thing's turn."""

import time

SMOOTHED_S = 0.5
"""A single long step, such as the garbage collector's, does not make a process late."""
STALE_S = 1.0
IN_TIME_S = 0.01
"""Up to here the machine may be what is busy, and not this process."""


class Lateness:
    def __init__(self) -> None:
        self._s = self._noted_at = 0.0

    @property
    def s(self) -> float:
        """In seconds, 0 where it is in time, or nothing was waited for of late."""
        stale = time.monotonic() - self._noted_at >= STALE_S
        return 0.0 if stale or self._s < IN_TIME_S else self._s

    def note(self, late_s: float) -> None:
        """Something came so much later than it was to."""
        now = time.monotonic()
        self._s += (late_s - self._s) * min((now - self._noted_at) / SMOOTHED_S, 1)
        self._noted_at = now


LATENESS = Lateness()
