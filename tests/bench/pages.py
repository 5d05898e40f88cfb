"""Many open pages in one process, each with an answer of 20 tokens a second in a new chat.

The pages are `tests.page_client`, in this process; the provider and the app are alone in theirs. Lag: from the
provider's write of a token to the arrival of its window. Then the same crowd asks again, while on one more page, in a
process of its own, somebody asks and stops, again and again.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests import process
from tests.app import App
from tests.bench.records import Column, Plot, Table, quantiles
from tests.page_client import PageClient
from tests.provider_client import Provider, script
from tests.stops import stopping

PAGES = [1, 10, 50, 100, 300]
TOKENS = 200
INTERVAL_MS = 50
# From one page's Enter to the next's.
SPREAD_S = 0.02
# Of the answers beside which others are stopped.
STOP_TOKENS = 60
WORD = re.compile(r"tok(\d+) ")
COLUMNS = [
    Column("lag_p50", "lag p50, ms"),
    Column("lag_p99", "p99"),
    Column("first_p50", "Enter to first token p50, ms"),
    Column("first_p99", "p99"),
    Column("cpu", "server CPU a token, µs", 0),
    Column("memory", "server memory, MB", 0),
    Column("stop_p50", "Stop to the end p50, ms"),
    Column("stop_p99", "p99"),
]
NOTE = (
    "Websocket clients that speak the page's protocol, each with an answer of 20 tokens a second in a new chat, all on "
    "the machine of the server."
)


class TimedPage(PageClient):
    """Notes when each token came, in unix milliseconds, token N at index N."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked_at = 0.0
        self.arrivals: list[float] = []

    async def ask(self, content: str, **more: str) -> None:
        self.asked_at = time.time() * 1000
        await super().ask(content, **more)

    async def _splice(self, of: str, offset: int, text: str) -> None:
        await super()._splice(of, offset, text)
        if words := WORD.findall(text):
            self.arrivals += [time.time() * 1000] * (int(words[-1]) + 1 - len(self.arrivals))


@dataclass
class Result:
    """Times in milliseconds."""

    pages: int
    lags: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    memory_mb: float = 0.0

    def values(self) -> dict[str, float | None]:
        return {
            **quantiles("lag", self.lags, 50, 99),
            **quantiles("first", self.firsts, 50, 99),
            "cpu": self.cpu_s * 1e6 / len(self.lags) if process.AVAILABLE else None,
            "memory": self.memory_mb if process.AVAILABLE else None,
        }


async def measure(app: App, provider: Provider, pages: int, tokens: int = TOKENS) -> Result:
    """Raises AssertionError where a page does not get all tokens."""
    provider.clear()
    result = Result(pages)
    before = cpu_s(app)
    readers = [TimedPage(app.url) for _ in range(pages)]
    await asyncio.gather(*(reader.load() for reader in readers))
    await asyncio.gather(*(reader.until(lambda reader=reader: reader.loaded) for reader in readers))
    await asyncio.gather(*(read(reader, number, tokens) for number, reader in enumerate(readers)))
    result.cpu_s = cpu_s(app) - before
    result.memory_mb = process.memory_mb(app.pid) if process.AVAILABLE else 0.0
    for request in provider.requests():
        asked = re.match(r"page (\d+)", request["body"]["messages"][-1]["content"]) if request["body"] else None
        if asked is None:
            continue
        reader = readers[int(asked[1])]
        stamps = provider.stamps(request["id"])
        assert len(reader.arrivals) == len(stamps) == tokens, (len(reader.arrivals), len(stamps))
        result.lags += [there - sent for there, sent in zip(reader.arrivals, stamps, strict=True)]
        result.firsts.append(reader.arrivals[0] - reader.asked_at)
    await asyncio.gather(*(reader.leave() for reader in readers))
    return result


async def read(reader: TimedPage, number: int, tokens: int) -> None:
    """Ask in a new chat and follow the answer to its end."""
    await asyncio.sleep(number * SPREAD_S)
    await reader.ask(f"page {number}\n{script(tokens=tokens, interval_ms=INTERVAL_MS, stamp=True)}")
    await reader.until(lambda: reader.path != "/" and reader.ended and len(reader.arrivals) == tokens)


async def measure_stops(
    app: App, provider: Provider, pages: int, tokens: int = STOP_TOKENS
) -> tuple[Result, list[float]]:
    """Beside as many pages: in how many milliseconds each answer ended that somebody stopped meanwhile."""
    async with stopping(app.url) as stops:
        crowd = await measure(app, provider, pages, tokens)
    return crowd, stops


def cpu_s(app: App) -> float:
    return process.cpu_s(app.pid) if process.AVAILABLE else 0.0


async def run(app: App, provider: Provider, counts: Sequence[int], tokens: int = TOKENS) -> Table:
    plot = Plot(["lag_p50", "lag_p99", "first_p50"], "milliseconds", "lines", log=True)
    found = Table("pages", "Many open pages", COLUMNS, NOTE, plot)
    for pages in counts:
        values = (await measure(app, provider, pages, tokens)).values()
        _, stops = await measure_stops(app, provider, pages, min(tokens, STOP_TOKENS))
        found.add(f"{pages} pages", **values, **quantiles("stop", stops, 50, 99))
    return found
