"""A time that is put off again and again, as by every token. To arm a timer anew each time costs more than the rest."""

import asyncio
from collections.abc import Callable
from types import TracebackType

RESOLUTION_S = 0.001
"""Of the loop's timers, which may be so much early."""


class Alarm:
    """Calls a function at the time that was set last. Its one timer looks at the time when it goes off, and goes on."""

    __slots__ = ("_armed", "_call", "_loop", "_timer", "_when")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0.0
        self._when: float | None = None

    def set(self, seconds: float) -> None:
        """From now."""
        self._when = when = self._loop.time() + seconds
        if self._timer is None or when < self._armed:
            self._arm(when)

    def off(self) -> None:
        """For now; the timer stays, as another time is set soon."""
        self._when = None

    def close(self) -> None:
        self.off()
        if self._timer:
            self._timer.cancel()

    def _arm(self, when: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._armed = when
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._when is None:
            return
        if self._loop.time() + RESOLUTION_S < self._when:
            self._arm(self._when)
        else:
            self._when = None
            self._call()


class Limit:
    """`asyncio.timeout(seconds)`, for a time that is put off often."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._alarm = Alarm(lambda: self._timeout.reschedule(asyncio.get_running_loop().time()))

    async def __aenter__(self) -> "Limit":
        await self._timeout.__aenter__()
        self._alarm.set(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.close()
        await self._timeout.__aexit__(kind, error, trace)

    def put_off(self, seconds: float) -> None:
        """So many from now."""
        if not self._timeout.expired():
            self._alarm.set(seconds)

    def expired(self) -> bool:
        return self._timeout.expired()
