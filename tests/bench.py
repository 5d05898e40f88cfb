"""`make bench`: how late a token is on the page, counted from the provider's write to the change of the DOM.

A provider in a process of its own stamps each token with the wall clock, a MutationObserver in real Chromium stamps its
arrival. Prints a Markdown table. `--url … --box …` measures another app on the same machine (see --help).
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from chat_app.building import build_page
from tests import chromium, process
from tests.app import App
from tests.provider import Script, answer_tokens
from tests.provider_client import Provider, script

BOX = "textarea[name=message]"
WAIT_MS = 180_000
SETTLE_MS = 700
QUIET_MS = 1_500

# Tokens come in order and are words tok0, tok1, …: the highest number on the page dates all before it.
OBSERVER = """
() => {
  window.bench = { seen: [] };
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    const newest = last();
    for (let n = window.bench.seen.length; n <= newest; n++) window.bench.seen.push(now);
  };
  // Node by node from the end: joined, a table's "tok1" and "2" would read tok12.
  const last = () => {
    const nodes = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let end = document.body;
    while (end.lastChild) end = end.lastChild;
    nodes.currentNode = end;
    do {
      const found = [...(nodes.currentNode.data ?? "").matchAll(/tok(\\d+)/g)].at(-1);
      if (found) return Number(found[1]);
    } while (nodes.previousNode());
    return -1;
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}
"""


@dataclass(frozen=True)
class Case:
    name: str
    script: dict[str, Any]
    rounds: int = 1
    new_chat: bool = False

    def text_length(self) -> int:
        return sum(map(len, answer_tokens(Script(**self.script | {"stamp": True}), question="")))


CASES = [
    Case("first token (the model takes 200 ms)", {"tokens": 5, "interval_ms": 20, "first_ms": 200}, rounds=20),
    Case("the same in a new chat", {"tokens": 5, "interval_ms": 20, "first_ms": 200}, rounds=20, new_chat=True),
    Case("500 tokens at 20 ms", {"tokens": 500, "interval_ms": 20}),
    Case("500 tokens at 5 ms", {"tokens": 500, "interval_ms": 5}),
    Case("4,000 tokens at 5 ms", {"tokens": 4000, "interval_ms": 5}),
    Case("2,000 markdown tokens at 5 ms", {"tokens": 2000, "interval_ms": 5, "markdown": True}),
    Case("2,000 markdown tokens at once", {"tokens": 2000, "interval_ms": 0, "markdown": True}),
]


@dataclass
class Result:
    """Lags in milliseconds; `payload` counts the websocket's characters, `cpu_ms` the server's CPU time."""

    case: Case
    first: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    last: float = 0.0
    payload: int = 0
    text: int = 0
    cpu_ms: float | None = None

    def row(self) -> str:
        lag = f"{quantile(self.lags, 0.5):.1f} / {quantile(self.lags, 0.99):.1f}"
        first = f"{quantile(self.first, 0.5):.1f} / {quantile(self.first, 0.9):.1f}"
        cells = [self.case.name, first, lag, f"{self.last:.0f}", *self._costs()]
        return f"| {' | '.join(cells)} |"

    def _costs(self) -> list[str]:
        """Payload and CPU mean something for a long answer only."""
        if self.case.rounds > 1:
            return ["–", "–"]
        cpu = "–" if self.cpu_ms is None else f"{self.cpu_ms * 1000 / len(self.lags):.0f}"
        return [f"{self.payload / self.text:.1f}", cpu]


COLUMNS = [
    "",
    "first token p50 / p90, ms",
    "lag p50 / p99, ms",
    "last token late, ms",
    "payload ÷ text",
    "server CPU a token, µs",
]
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def quantile(values: list[float], share: float) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


@dataclass(frozen=True)
class Target:
    """The page to measure: its address, its text box, and the process whose children serve it."""

    url: str
    box: str
    pid: int | None


def measure(browser: Browser, provider: Provider, target: Target, case: Case) -> Result:
    result = Result(case)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(len(data))))
    for _ in range(case.rounds):
        one_round(page, provider, target, result, frames)
    context.close()
    return result


def one_round(page: Page, provider: Provider, target: Target, result: Result, frames: list[int]) -> None:
    page.goto(target.url)
    page.locator(target.box).wait_for()
    page.wait_for_timeout(SETTLE_MS)
    if not result.case.new_chat:
        ask(page, target, {"text": "warm"})
        page.get_by_text("warm", exact=True).first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
    provider.clear()
    frames.clear()
    cpu = cpu_ms(target.pid)
    page.evaluate(OBSERVER)
    ask(page, target, result.case.script | {"stamp": True})
    seen = settled(page)
    stamps = provider.stamps(provider.requests()[-1]["id"])
    lags = [there - sent for there, sent in zip(seen, stamps, strict=False)]
    result.first.append(lags[0])
    result.lags += lags
    result.last = max(result.last, lags[-1])
    result.payload += sum(frames)
    result.text += result.case.text_length()
    after = cpu_ms(target.pid)
    if after is not None and cpu is not None:
        result.cpu_ms = (result.cpu_ms or 0) + after - cpu


def settled(page: Page) -> list[float]:
    """The arrivals, once nothing has come for a while."""
    page.wait_for_function(
        f"() => bench.seen.length && performance.timeOrigin + performance.now() - bench.seen.at(-1) > {QUIET_MS}",
        timeout=WAIT_MS,
        polling=200,
    )
    seen: list[float] = page.evaluate("() => bench.seen")
    return seen


def ask(page: Page, target: Target, keys: dict[str, Any]) -> None:
    box = page.locator(target.box)
    box.fill(script(**keys))
    box.press("Enter")


def cpu_ms(pid: int | None) -> float | None:
    """CPU time of a process and its children so far; None where it cannot be read."""
    return process.cpu_s(pid) * 1000 if pid is not None and process.AVAILABLE else None


@contextmanager
def own_app(provider: Provider) -> Iterator[App]:
    build_page()
    with (
        tempfile.TemporaryDirectory() as folder,
        App(Path(folder), openai_base_url=provider.base_url, openai_model="bench") as app,
    ):
        yield app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider-port", type=int, default=0, help="for an app that is started by hand")
    parser.add_argument("--url", help="the page of another app that talks to this provider")
    parser.add_argument("--box", default=BOX, help="the CSS selector of its text box")
    parser.add_argument("--pid", type=int, help="the process whose CPU time counts")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    given = parser.parse_args()
    with sync_playwright() as playwright, Provider(given.provider_port) as provider:
        browser = playwright.chromium.launch(executable_path=chromium.require(), args=chromium.ARGS)
        print(HEADER)
        if given.url:
            run(browser, provider, Target(given.url, given.box, given.pid), given.only)
        else:
            with own_app(provider) as app:
                run(browser, provider, Target(app.url, BOX, app.pid), given.only)
        browser.close()


def run(browser: Browser, provider: Provider, target: Target, only: str) -> None:
    for case in CASES:
        if only in case.name:
            print(measure(browser, provider, target, case).row(), flush=True)


if __name__ == "__main__":
    main()
