"""A time that only a test puts forward, where a real one would be late on a busy machine."""

import asyncio

import pytest


class Clock:
    """That of the running loop. Real time hardly passes beside it: count in thousands of seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        real = self._loop.time
        monkeypatch.setattr(self._loop, "time", lambda: real() + self._ahead)

    async def forward(self, seconds: float) -> None:
        """Let so much time pass, and all that is due do what it does."""
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)
