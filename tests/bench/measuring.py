"""Whether measuring costs anything, and is right: each answer with MEASURES on beside the same with it off, in one run;
and what the page reports of itself beside what the observer saw."""

import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page

from tests.app import App
from tests.bench.page import FIRST, PATIENCE_MS, VIEW, Case, Result, Target, one_round, open_page, own_app
from tests.bench.records import Column, Plot, Table, median_interval
from tests.provider_client import Provider

CASES = [
    Case("first token", FIRST, rounds=60),
    Case("500 tokens at 5 ms", {"tokens": 500, "interval_ms": 5}, rounds=12),
]
QUICK = [Case("first token", FIRST, rounds=6)]
REPORTED_S = 120.0
SIDE_BY_SIDE = Table(
    "measuring",
    "With measuring and without",
    [
        Column("pairs", "pairs", 0),
        Column("on", "lag with, median ms"),
        Column("off", "without, median ms"),
        Column("apart", "with − without, median ms", 2),
        Column("least", "95 % from", 2),
        Column("most", "to", 2),
    ],
    "Two apps with `MEASURES=true` and `false`, each with a page in one browser. The same answer comes to both, one "
    "after the other, by turns first to this and to that: what else the machine does meets both. Of each pair the "
    "difference; its median lies between the last two with 95 % confidence.",
    Plot(["on", "off"], "milliseconds"),
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


@dataclass
class Side:
    """One of the two apps, with its page."""

    app: App
    page: Page

    def round(self, provider: Provider, case: Case) -> Result:
        result = Result(case)
        one_round(self.page, provider, Target(self.app.url, self.app.pid), result, [])
        return result


def run(browser: Browser, provider: Provider, quick: bool = False) -> list[Table]:
    cases = QUICK if quick else CASES
    with ExitStack() as apps:
        on, off = (_side(browser, apps.enter_context(own_app(provider, measures=it))) for it in ("true", "false"))
        for case in cases:
            pairs = [_pair(on, off, provider, case, first=nth % 2) for nth in range(case.rounds)]
            _add(case.name, [(_lag(with_it), _lag(without)) for with_it, without in pairs])
            if case is cases[0]:
                _compare(on.app, [with_it for with_it, _ in pairs])
        for side in (on, off):
            side.page.context.close()
    return [SIDE_BY_SIDE, REPORTS]


def _side(browser: Browser, app: App) -> Side:
    """With an answer on its page."""
    page = browser.new_context(viewport=VIEW).new_page()
    page.set_default_timeout(PATIENCE_MS)
    open_page(page, Target(app.url, app.pid), warm=True)
    return Side(app, page)


def _pair(on: Side, off: Side, provider: Provider, case: Case, first: int) -> tuple[Result, Result]:
    """`first` is 0 where the one with measuring comes first, else 1."""
    results = [side.round(provider, case) for side in ((on, off), (off, on))[first]]
    return results[first], results[1 - first]


def _lag(result: Result) -> float:
    """Of a short answer its first token's, of a long one the median."""
    return result.firsts[0] if result.case.script is FIRST else median(result.lags)


def _add(name: str, pairs: list[tuple[float, float]]) -> None:
    on, off = ([pair[nth] for pair in pairs] for nth in (0, 1))
    apart = [with_it - without for with_it, without in pairs]
    least, most = median_interval(apart)
    values = {"on": median(on), "off": median(off), "apart": median(apart), "least": least, "most": most}
    SIDE_BY_SIDE.add(name, pairs=len(pairs), **values)


def _compare(app: App, results: list[Result]) -> None:
    """Each answer but the one that warmed the page, which nobody observed."""
    rows = _rows(app, len(results) + 1)[1:]
    apart = {
        "first_ms": [abs(row["first_ms"] - result.shown[0]) for row, result in zip(rows, results, strict=True)],
        "lag_ms": [abs(row["lag_ms"] - result.firsts[0]) for row, result in zip(rows, results, strict=True)],
    }
    REPORTS.add("first token", answers=len(rows), **{name: median(values) for name, values in apart.items()})


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
