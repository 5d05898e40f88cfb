"""`python -m tests.bench`: all of the benchmark, or parts of it, into one folder."""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from chat_app.building import build_page
from chat_app.config import ROOT
from tests import chromium
from tests.bench import doors, drawing, growth, insights, measuring, page, pages, peers, report
from tests.bench.records import Table
from tests.provider_client import Provider

PARTS = ["page", "drawing", "measuring", "doors", "pages", "growth", "insights"]
OUT = ROOT / "bench"


class Run:
    """What is measured, and what of it was over its limit."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.quick: bool = given.quick
        self.tables: list[Table] = []
        self.too_long: list[str] = []
        self.failed: list[str] = []

    def parts(self) -> None:
        in_browser = [part for part in self.given.only if part in ("page", "drawing", "measuring")]
        if in_browser or self.given.peers:
            with sync_playwright() as playwright, Provider() as provider:
                browser = playwright.chromium.launch(executable_path=chromium.require(full=True), args=chromium.ARGS)
                self._in_browser(browser, provider, in_browser)
                browser.close()
        for part in self.given.only:
            if part not in in_browser:
                with self._part(part):
                    self.tables += getattr(self, f"_{part}")()

    def _in_browser(self, browser: Browser, provider: Provider, parts: list[str]) -> None:
        late = page.table()
        if "page" in parts:
            with self._part("page"), page.own_app(provider) as app:
                late = page.run(browser, provider, app, page.QUICK if self.quick else page.CASES)
        for name in self.given.peers:
            with self._part(name):
                peers.run(browser, provider, name, self.given.out / "peers", late, self.quick)
        self.tables += [late] if late.rows else []
        if "drawing" in parts:
            with self._part("drawing"), page.own_app(provider) as app:
                tables, too_long = drawing.run(browser, provider, app, self.quick)
                self.tables += tables
                self.too_long += too_long
        if "measuring" in parts:
            with self._part("measuring"):
                self.tables += measuring.run(browser, provider, self.quick)

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        """One that fails is told, and costs the run nothing else."""
        began = time.monotonic()
        try:
            yield
        except Exception:
            traceback.print_exc()
            self.failed.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s\n", flush=True)

    def _doors(self) -> list[Table]:
        return asyncio.run(doors.run(self.quick))

    def _pages(self) -> list[Table]:
        counts, tokens = ([1, 3], 10) if self.quick else (self.given.pages, pages.TOKENS)
        with Provider() as provider, page.own_app(provider) as app:
            return [asyncio.run(pages.run(app, provider, counts, tokens))]

    def _growth(self) -> list[Table]:
        tokens, messages = ([100, 1_000], [10, 100]) if self.quick else (growth.TOKENS, growth.MESSAGES)
        with Provider() as provider, page.own_app(provider, max_answer_chars=growth.MAX_ANSWER_CHARS) as app:
            return asyncio.run(growth.run(app, provider, tokens, messages))

    def _insights(self) -> list[Table]:
        return [asyncio.run(insights.run([10_000] if self.quick else insights.ANSWERS))]


def listed(of: list[str] | None = None) -> Callable[[str], list[str]]:
    """Names with commas between; some of these."""

    def read(text: str) -> list[str]:
        names = [name for name in text.replace(" ", ",").split(",") if name]
        if of is not None and (odd := set(names) - set(of)):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(odd))}: there are {', '.join(of)}")
        return names

    return read


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of the results")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works: too short to rely on")
    parser.add_argument("--only", type=listed(PARTS), default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--peers", type=listed(peers.names()), default=[], help=f"some of {','.join(peers.names())}")
    counts = ",".join(map(str, pages.PAGES))
    parser.add_argument("--pages", type=lambda text: [*map(int, listed()(text))], default=counts, help="how many pages")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    said = report.about(given.quick)
    build_page()
    run = Run(given)
    try:
        run.parts()
    finally:
        report.write(given.out, run.tables, said)
    print(f"Written to {given.out}: {report.MARKDOWN}, {report.JSON} and the plots.")
    if run.failed:
        sys.exit(f"Not measured, as it says above: {', '.join(run.failed)}.")
    if run.too_long:
        sys.exit(f"A task took {drawing.LIMIT_MS:.0f} ms of CPU time or more: {', '.join(run.too_long)}.")


if __name__ == "__main__":
    main()
