"""More pages than a core serves at full speed: all are slower, none is cut off, a stop works, memory stays bounded.

`python -m tests.bench --only pages --pages 300` measures it; here are fewer, so that it takes seconds.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import process
from tests.app import App
from tests.bench.pages import measure, run
from tests.forked import ForkedApp
from tests.page_client import TRANSCRIPT, PageClient
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAGES = 100
TOKENS_A_PAGE = 40
# 0.3 were measured: a page is a tree of states and a socket, and an answer its text.
MB_A_PAGE = 1.5
STOP_S = 30.0
"""With the tests of another process on the same core; 0.2 is what is measured alone."""


@pytest.fixture
def app(page_built: None, provider: Provider, tmp_path: Path) -> Iterator[App]:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


async def test_a_crowd_is_served(app: App, provider: Provider, figure: Callable[[object], None]) -> None:
    one = await measure(app, provider, 1, TOKENS_A_PAGE)
    crowd = asyncio.create_task(measure(app, provider, PAGES, TOKENS_A_PAGE))
    stops = []
    while not crowd.done():
        stops.append(await seconds_to_stop(app))
    many = await crowd
    figure(f"{PAGES} pages and one that stops: {many.values()} stopped after {max(stops):.2f} s at most")
    # Each page had every token, or `measure` had raised.
    assert len(many.lags) == PAGES * TOKENS_A_PAGE
    assert max(stops) < STOP_S
    if process.AVAILABLE:
        assert (many.memory_mb - one.memory_mb) / PAGES < MB_A_PAGE


async def seconds_to_stop(app: App) -> float:
    """How long an answer without an end goes on after somebody has pressed Stop."""
    page = PageClient(app.url)
    await page.load()
    await page.until(lambda: page.loaded)
    await page.ask(script(tokens=-1, interval_ms=20))
    await page.until(lambda: page.path != "/" and page.loaded and page.windows > 3)
    pressed = time.monotonic()
    await page.stop()
    await page.until(lambda: not page.value(TRANSCRIPT, "running"))
    took = time.monotonic() - pressed
    await page.leave()
    return took


async def test_the_bench_of_many_pages_measures(app: App, provider: Provider) -> None:
    table = await run(app, provider, [1, 3], tokens=10)
    assert [row.case for row in table.rows] == ["1 pages", "3 pages"]
    assert all((row.values["lag_p99"] or 0) > 0 for row in table.rows)
