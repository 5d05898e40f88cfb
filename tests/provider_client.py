"""Starts the provider double from a test, and asks it what it received. The double itself is `tests.provider`."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from rill import testing
from rill.testing import script
from tests.app import CLIENT

ROOT = Path(__file__).resolve().parent.parent
__all__ = ["ROOT", "Provider", "script"]


class Provider(testing.Provider):
    """A provider in its own process, for as long as the `with` block lasts, that says what it was asked."""

    def __enter__(self) -> Self:
        super().__enter__()
        # No proxy from the environment: what is asked here is on this machine.
        self._http = httpx.Client(base_url=self.base_url.removesuffix("/v1"), **CLIENT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()
        super().__exit__(kind, error, traceback)

    def requests(self) -> list[dict[str, Any]]:
        """All requests to /v1 since the last `clear`, oldest first.

        Each has `id` (the chunks' id too), `method`, `path`, `headers` (names in lower case), `body`, `tokens_sent`,
        and the unix times `started`, `finished`, `closed_by_client`. Of the last two one is set in the end.
        """
        seen: list[dict[str, Any]] = self._get("/_requests")
        return seen

    def completions(self) -> int:
        """How many of them asked for an answer."""
        return sum(request["path"].endswith("/chat/completions") for request in self.requests())

    def clear(self) -> None:
        """Forget them, also those that wait on a connection that the double has not accepted yet."""
        httpx.get(f"{self.base_url.removesuffix('/v1')}/_requests", **CLIENT).raise_for_status()
        self._http.delete("/_requests").raise_for_status()

    def go(self, of: str = "") -> None:
        """Let the newest answer go on at one `hold` of its script, also where it has not come that far yet; with
        `of`, the newest whose request has that word."""
        self._http.post(f"/_go/{of}" if of else "/_go").raise_for_status()

    def stamps(self, request_id: str) -> list[float]:
        """The time of each token's write in unix milliseconds, token N at index N. Needs `stamp` in the script."""
        times: list[float] = self._get(f"/_stamps/{request_id}")
        return times

    async def until(
        self, condition: Callable[[list[dict[str, Any]]], object], timeout: float = 60.0
    ) -> list[dict[str, Any]]:
        """The requests as soon as `condition` holds for them; TimeoutError, with what there was, if it never does."""
        deadline = time.monotonic() + timeout
        while not condition(seen := self.requests()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not so within {timeout} s: {seen}")
            await asyncio.sleep(0.01)
        return seen

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()
