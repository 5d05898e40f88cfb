"""Whether measuring costs anything, and is right: the same answers with MEASURES on and off, by turns in one run;
and what the page reports of itself beside what the observer saw."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from statistics import median
from typing import Any

from playwright.sync_api import Browser

from tests.app import App
from tests.bench.page import FIRST, Case, Result, Target, measure, own_app
from tests.bench.records import Column, Plot, Table, quantiles
from tests.provider_client import Provider

TURNS = 4
CASES = [Case("first token", FIRST, rounds=10), Case("500 tokens at 5 ms", {"tokens": 500, "interval_ms": 5})]
QUICK = [Case("first token", FIRST, rounds=2)]
REPORTED_S = 120.0
SIDE_BY_SIDE = Table(
    "measuring",
    "With measuring and without",
    [
        Column("first_p50", "first token p50, ms"),
        Column("first_p90", "p90"),
        Column("lag_p50", "lag p50, ms"),
        Column("lag_p99", "p99"),
    ],
    f"The same app with `MEASURES=true` and `false`, {TURNS} times by turns, in one browser.",
    Plot(["lag_p50", "lag_p99"], "milliseconds"),
)
REPORTS = Table(
    "reports",
    "What the page reports beside what an observer sees",
    [
        Column("answers", "answers", 0),
        Column("first_ms", "Enter to first token apart, median ms"),
        Column("lag_ms", "lag apart, median ms"),
    ],
    "The observer knows the document's change and the provider's write; the page knows its own clock, and what the "
    "server says of its share.",
)


def run(browser: Browser, provider: Provider, quick: bool = False) -> list[Table]:
    cases, turns = (QUICK, 1) if quick else (CASES, TURNS)
    with ExitStack() as apps:
        on, off = (apps.enter_context(own_app(provider, measures=measures)) for measures in ("true", "false"))
        for case in cases:
            found: dict[str, list[Result]] = {"on": [], "off": []}
            for turn in range(turns):
                # Not the same one first each time.
                for name, app in [("on", on), ("off", off)][:: 1 if turn % 2 == 0 else -1]:
                    found[name].append(measure(browser, provider, Target(app.url, app.pid), case))
            for name, results in found.items():
                firsts = [first for result in results for first in result.firsts]
                lags = [lag for result in results for lag in result.lags]
                values = quantiles("first", firsts, 50, 90) | quantiles("lag", lags, 50, 99)
                SIDE_BY_SIDE.add(case.name, f"measuring {name}", **values)
            if case is cases[0]:
                _compare(on, found["on"])
    return [SIDE_BY_SIDE, REPORTS]


def _compare(app: App, results: list[Result]) -> None:
    """Each of its answers but the first of a page, which nobody observed."""
    shown = [one for result in results for one in result.shown]
    lags = [one for result in results for one in result.firsts]
    rows = list(_observed(app, [len(result.shown) for result in results]))
    apart = {
        "first_ms": [abs(row["first_ms"] - one) for row, one in zip(rows, shown, strict=True)],
        "lag_ms": [abs(row["lag_ms"] - one) for row, one in zip(rows, lags, strict=True)],
    }
    REPORTS.add("first token", answers=len(rows), **{name: median(values) for name, values in apart.items()})


def _observed(app: App, counts: list[int]) -> Iterator[dict[str, Any]]:
    """The reports about so many answers of each page, after the one that warmed it."""
    rows = _rows(app, sum(counts) + len(counts))
    for count in counts:
        yield from rows[1 : count + 1]
        rows = rows[count + 1 :]


def _rows(app: App, count: int) -> list[dict[str, Any]]:
    """All reports, oldest first, as soon as there are so many. Raises TimeoutError."""
    until = time.monotonic() + REPORTED_S
    while time.monotonic() < until:
        with closing(sqlite3.connect(f"file:{app.folder / 'chat.db'}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("SELECT * FROM measure ORDER BY turn_id")]
        if len(rows) >= count:
            return rows
        time.sleep(0.1)
    raise TimeoutError(f"The page reported {len(rows)} of {count} answers.")
