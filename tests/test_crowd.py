"""More pages than a core serves at full speed: all are slower, none is cut off, a stop works, memory stays bounded.

`python -m tests.bench --only pages --pages 300` measures it; here are fewer, so that it takes seconds.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import process
from tests.app import App
from tests.bench.pages import measure, measure_stops, run
from tests.forked import ForkedApp
from tests.provider_client import Provider

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAGES = 100
TOKENS_A_PAGE = 40
# 0.3 were measured: a page is a tree of states and a socket, and an answer its text.
MB_A_PAGE = 1.5
STOP_MS = 30_000
"""With the tests of another process on the same core; 200 is what is measured alone."""


@pytest.fixture
def app(page_built: None, provider: Provider, tmp_path: Path) -> Iterator[App]:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


async def test_a_crowd_is_served(app: App, provider: Provider, figure: Callable[[object], None]) -> None:
    one = await measure(app, provider, 1, TOKENS_A_PAGE)
    many, stops = await measure_stops(app, provider, PAGES, TOKENS_A_PAGE)
    figure(f"{PAGES} pages and one that stops: {many.values()} stopped after {max(stops):.0f} ms at most")
    # Each page had every token, or `measure` had raised.
    assert len(many.lags) == PAGES * TOKENS_A_PAGE
    assert max(stops) < STOP_MS
    if process.AVAILABLE:
        assert (many.memory_mb - one.memory_mb) / PAGES < MB_A_PAGE


async def test_the_bench_of_many_pages_measures(app: App, provider: Provider) -> None:
    table = await run(app, provider, [1, 3], tokens=10)
    assert [row.case for row in table.rows] == ["1 pages", "3 pages"]
    assert all((row.values[key] or 0) > 0 for row in table.rows for key in ("lag_p99", "stop_p99"))
