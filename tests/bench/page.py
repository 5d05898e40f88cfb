"""How late a token is on the page, from the provider's write to the change of the DOM, and what that costs.

A provider in a process of its own stamps each token with the wall clock, a MutationObserver in real Chromium stamps its
arrival. The same for other apps, see `peers`.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests import process
from tests.app import App
from tests.bench.records import OURS, Column, Plot, Table, quantiles
from tests.provider import Script, answer_tokens
from tests.provider_client import Provider, script

BOX, ANSWER = "textarea[name=message]", "article[aria-label='Assistant said']"
SETTLE_MS = 700
LOST_MS = 10_000
"""Nothing more comes when nothing has come for so long; a page may leave out what its markdown is."""
PATIENCE_MS = 180_000
VIEW: Any = {"width": 1280, "height": 900}

# Tokens come in order and are words tok0, tok1, …: the highest number in the newest answer dates all before it. `begin`
# is called before each question: answers that are there by then do not count.
OBSERVER = """
(selector) => {
  const answers = () => document.querySelectorAll(selector);
  const bench = (window.bench = { seen: [], long: [], enter: null });
  let before = 0;
  bench.begin = () => {
    Object.assign(bench, { seen: [], long: [], enter: null });
    before = answers().length;
  };
  const clock = (at) => performance.timeOrigin + at;
  addEventListener("keydown", ({ key, timeStamp }) => key === "Enter" && (bench.enter ??= clock(timeStamp)), true);
  const look = () => {
    const now = clock(performance.now());
    if (answers().length <= before) return;
    const newest = last([...answers()].at(-1));
    for (let n = bench.seen.length; n <= newest; n++) bench.seen.push(now);
  };
  // Node by node from the end: joined, a table's "tok1" and "2" would read tok12.
  const last = (root) => {
    const nodes = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    let end = root;
    while (end.lastChild) end = end.lastChild;
    nodes.currentNode = end;
    do {
      const found = [...(nodes.currentNode.data ?? "").matchAll(/tok(\\d+)/g)].at(-1);
      if (found) return Number(found[1]);
    } while (nodes.currentNode !== root && nodes.previousNode());
    return -1;
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  new PerformanceObserver((list) => bench.long.push(...list.getEntries().map(({ duration }) => duration))).observe({
    type: "longtask",
  });
}
"""


@dataclass(frozen=True)
class Case:
    """`new_chat`: each round in another one; else all in one, after a first answer."""

    name: str
    script: dict[str, Any]
    rounds: int = 1
    new_chat: bool = False

    @property
    def tokens(self) -> list[str]:
        return list(answer_tokens(Script(**self.script | {"stamp": True}), question=""))

    @property
    def last(self) -> int:
        """The highest number of a token that is a word."""
        return max(int(number) for token in self.tokens for number in re.findall(r"tok(\d+)", token))


FIRST = {"tokens": 5, "interval_ms": 20, "first_ms": 200}
CASES = [
    Case("first token (the model takes 200 ms)", FIRST, rounds=20),
    Case("the same in a new chat", FIRST, rounds=10, new_chat=True),
    Case("500 tokens at 20 ms", {"tokens": 500, "interval_ms": 20}),
    Case("500 tokens at 5 ms", {"tokens": 500, "interval_ms": 5}),
    Case("4,000 tokens at 5 ms", {"tokens": 4000, "interval_ms": 5}),
    Case("2,000 markdown tokens at 5 ms", {"tokens": 2000, "interval_ms": 5, "markdown": True}),
    Case("2,000 markdown tokens at once", {"tokens": 2000, "interval_ms": 0, "markdown": True}),
]
QUICK = [
    Case("first token (the model takes 200 ms)", FIRST, rounds=2),
    Case("100 tokens at 5 ms", {"tokens": 100, "interval_ms": 5}),
]
# Peers get a few of them: some take minutes for a long answer.
PEER_CASES = [*CASES[:1], *CASES[2:4], CASES[5]]


@dataclass
class Result:
    """Lags in milliseconds; `payload` counts the websockets' characters, `cpu_ms` the server's CPU time. `firsts` are
    the first lag of each round, `shown` from Enter to the first token."""

    case: Case
    firsts: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    long: list[float] = field(default_factory=list)
    last: float = 0.0
    payload: int = 0
    text: int = 0
    cpu_ms: float | None = None

    def values(self) -> dict[str, float | None]:
        """Payload, CPU and long tasks mean something for a long answer only."""
        values = quantiles("first", self.firsts, 50, 90) | quantiles("lag", self.lags, 50, 99) | {"last": self.last}
        if self.case.rounds == 1:
            values |= {
                "payload": self.payload / self.text if self.payload else None,
                "cpu": None if self.cpu_ms is None else self.cpu_ms * 1000 / len(self.lags),
                "long": len(self.long),
                "longest": max(self.long, default=0.0),
            }
        return values


COLUMNS = [
    Column("first_p50", "first token p50, ms"),
    Column("first_p90", "p90"),
    Column("lag_p50", "lag p50, ms"),
    Column("lag_p99", "p99"),
    Column("last", "last token late, ms", 0),
    Column("payload", "payload ÷ text"),
    Column("cpu", "server CPU a token, µs", 0),
    Column("long", "tasks over 50 ms", 0),
    Column("longest", "longest of them, ms", 0),
]
NOTE = (
    "From the provider's write of a token to its change of the document in Chromium. The payload counts the frames of "
    "the page's websocket as the browser sees them, uncompressed. Tasks are those of the browser's main thread, by the "
    "clock."
)


@dataclass(frozen=True)
class Target:
    """The page to measure: its address, the process whose children serve it, and the CSS of its text box, of the button
    that sends ("": Enter does), of an answer, and of a button that closes what may lie above all that."""

    url: str
    pid: int | None = None
    box: str = BOX
    send: str = ""
    answer: str = ANSWER
    close: str = ""


def table() -> Table:
    plot = Plot(["lag_p50", "lag_p99"], "milliseconds", log=True)
    return Table("page", "How late a token is on the page", COLUMNS, NOTE, plot)


def run(browser: Browser, provider: Provider, app: App, cases: Sequence[Case]) -> Table:
    found = table()
    for case in cases:
        found.add(case.name, OURS, **measure(browser, provider, Target(app.url, app.pid), case).values())
    return found


def measure(browser: Browser, provider: Provider, target: Target, case: Case) -> Result:
    result = Result(case)
    context = browser.new_context(viewport=VIEW)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(len(data))))
    for number in range(case.rounds):
        if number == 0 or case.new_chat:
            open_page(page, target, warm=not case.new_chat)
        one_round(page, provider, target, result, frames)
    context.close()
    return result


def open_page(page: Page, target: Target, warm: bool) -> None:
    """With an answer on it, if it is to be `warm`."""
    if target.close:
        page.add_locator_handler(page.locator(target.close), lambda button: button.click())
    page.goto(target.url)
    page.locator(target.box).wait_for()
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate(OBSERVER, target.answer)
    if warm:
        ask(page, target, {"text": "warm"})
        page.get_by_text("warm", exact=True).first.wait_for()
        page.wait_for_timeout(SETTLE_MS)


def one_round(page: Page, provider: Provider, target: Target, result: Result, frames: list[int]) -> None:
    provider.clear()
    frames.clear()
    cpu = cpu_ms(target.pid)
    page.evaluate("() => bench.begin()")
    ask(page, target, result.case.script | {"stamp": True})
    seen = settled(page, result.case.last + 1)
    stamps = stamps_of_answer(provider)
    lags = [there - sent for there, sent in zip(seen, stamps, strict=False)]
    result.firsts.append(lags[0])
    result.shown.append(seen[0] - (page.evaluate("() => bench.enter") or seen[0]))
    result.lags += lags
    result.long += page.evaluate("() => bench.long")
    result.last = max(result.last, lags[-1])
    result.payload += sum(frames)
    result.text += sum(map(len, result.case.tokens))
    after = cpu_ms(target.pid)
    if after is not None and cpu is not None:
        result.cpu_ms = (result.cpu_ms or 0) + after - cpu


def stamps_of_answer(provider: Provider) -> list[float]:
    """Of the request whose tokens are stamped: an app may ask for a title too."""
    stamps = (provider.stamps(request["id"]) for request in reversed(provider.requests()))
    return next(found for found in stamps if found)


def settled(page: Page, count: int) -> list[float]:
    """The arrivals, once there are so many, or nothing has come for a long while."""
    page.wait_for_function(
        f"(count) => bench.seen.length >= count || (bench.seen.length && "
        f"performance.timeOrigin + performance.now() - bench.seen.at(-1) > {LOST_MS})",
        arg=count,
        timeout=PATIENCE_MS,
        polling=100,
    )
    # The work that a token caused may go on for a while.
    page.wait_for_timeout(100)
    seen: list[float] = page.evaluate("() => bench.seen")
    return seen


def ask(page: Page, target: Target, keys: dict[str, Any]) -> None:
    """As soon as the box takes a question, which it may not while an answer ends."""
    box = page.locator(target.box)
    if not target.send:
        page.wait_for_function("() => !document.querySelector('[data-key=stop]')", polling=50)
    box.fill(script(**keys))
    if target.send:
        page.locator(target.send).click()
    else:
        box.press("Enter")


def cpu_ms(pid: int | None) -> float | None:
    """CPU time of a process and its children so far; None where it cannot be read."""
    return process.cpu_s(pid) * 1000 if pid is not None and process.AVAILABLE else None


@contextmanager
def own_app(provider: Provider, **settings: str) -> Iterator[App]:
    """On the page that is built."""
    with (
        tempfile.TemporaryDirectory() as folder,
        App(Path(folder), openai_base_url=provider.base_url, openai_model="bench", **settings) as app,
    ):
        yield app
