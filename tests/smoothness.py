"""The second and third table of `make bench`: how smoothly the page draws while an answer grows, and in a long chat.

The browser's trace says how long each task of the page's main thread took, by the clock and in the thread's own CPU
time: by the clock a task also takes as long as other programs keep the thread waiting. A frame that was due (60 a
second) and did not come is dropped.
"""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from chat_app.ui.transcript import FIRST, MORE
from tests import chromium
from tests.app import App
from tests.bench import BOX, OBSERVER, SETTLE_MS, Target, ask, own_app, quantile, settled
from tests.e2e.chat import import_chat, import_turns
from tests.provider_client import Provider
from tests.screenshots import ANSWER

LIMIT_MS = 50.0
FRAME_MS = 1000 / 60
# What awaits something goes on in microtasks, which may run after the task.
WORK = {"ThreadControllerImpl::RunTask", "BlinkScheduler_PerformMicrotaskCheckpoint"}

FRAMES = """
() => {
  window.frames = [];
  const note = (now) => { window.frames.push(now); requestAnimationFrame(note); };
  requestAnimationFrame(note);
}
"""


# Nothing waits for its turn, and nothing has come for a quarter of a second.
DRAWN = """
(id) => new Promise((resolve) => {
  let quiet = 0;
  const look = () => {
    const shown = id ? document.getElementById(id) : !document.querySelector("article");
    quiet = shown && !document.querySelector(".awaited") ? quiet + 1 : 0;
    if (quiet === 15) resolve(true);
    else requestAnimationFrame(look);
  };
  look();
})
"""
SCROLL_UP = """
  let steps = 0;
  const area = document.querySelector(".scroll-area");
  const up = () => {
    area.dispatchEvent(new WheelEvent("wheel", { deltaY: -1000 }));
    area.scrollBy(0, -1000);
    if (++steps < 60) requestAnimationFrame(up);
  };
  up();
"""
BRIEF_TURNS = [
    (f"Question {n}?", f"**Answer {n}** with `code`:\n\n- one\n- two\n\n" + "and so on " * n) for n in range(200)
]
RICH_TURNS = [(f"Question {n}?", f"{ANSWER}\n\nParagraph {n} with **bold** and `code`.") for n in range(200)]


@dataclass(frozen=True)
class Scene:
    """`limited`: none of its tasks may take LIMIT_MS of CPU time."""

    name: str
    script: dict[str, Any]
    in_long_chat: bool = False
    limited: bool = False


SCENES = [
    Scene("500 tokens at 5 ms in a chat of 200 messages", {"tokens": 500, "interval_ms": 5}, True, limited=True),
    Scene("50 KB of markdown at 2 ms a token", {"tokens": 6800, "interval_ms": 2, "markdown": True}),
]


@dataclass(frozen=True)
class Task:
    """Milliseconds by the clock and of CPU time."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Drawing:
    """Milliseconds; `frames` are the times at which frames were drawn."""

    scene: Scene
    tasks: list[Task]
    frames: list[float]
    lags: list[float]

    @property
    def longest(self) -> float:
        return max(task.cpu for task in self.tasks)

    @property
    def too_long(self) -> bool:
        return self.scene.limited and self.longest >= LIMIT_MS

    def row(self) -> str:
        span = self.frames[-1] - self.frames[0]
        gaps = [after - before for before, after in zip(self.frames, self.frames[1:], strict=False)]
        cells = [
            self.scene.name,
            f"{self.longest:.0f} / {max(task.wall for task in self.tasks):.0f}",
            f"{100 * sum(task.cpu for task in self.tasks) / span:.0f} %",
            f"{sum(round(gap / FRAME_MS) - 1 for gap in gaps)} of {round(span / FRAME_MS)}",
            f"{quantile(self.lags, 0.5):.1f} / {quantile(self.lags, 0.99):.1f}",
        ]
        return f"| {' | '.join(cells)} |"


GROWING = ["", "longest task, CPU / clock, ms", "main thread busy", "frames dropped", "lag p50 / p99, ms"]
LONG_CHAT = ["in a chat of 400 messages", "longest task, CPU / clock, ms"]


def header(columns: list[str]) -> str:
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def draw(browser: Browser, provider: Provider, app: App, scene: Scene) -> Drawing:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    if scene.in_long_chat:
        open_long_chat(page, app)
    else:
        page.goto(app.url)
        page.locator(BOX).wait_for()
    page.wait_for_timeout(SETTLE_MS)
    provider.clear()
    page.evaluate(OBSERVER)
    page.evaluate(FRAMES)
    browser.start_tracing(page=page, categories=["toplevel"])
    ask(page, Target(app.url, BOX, None), scene.script | {"stamp": True})
    seen = settled(page)
    tasks = main_thread_tasks(json.loads(browser.stop_tracing())["traceEvents"])
    frames: list[float] = page.evaluate("() => frames")
    page.close()
    stamps = provider.stamps(provider.requests()[-1]["id"])
    return Drawing(scene, tasks, frames, [there - sent for there, sent in zip(seen, stamps, strict=True)])


def open_long_chat(page: Page, app: App) -> None:
    """With all of its 200 messages on the page: they are loaded for a search of the page."""
    chat_id, ids = import_chat(app, 100)
    page.goto(f"{app.url}/c/{chat_id}#{ids[0]}")
    expect(page.locator("main[data-loading=false]")).to_be_visible()
    page.keyboard.press("Control+f")
    page.get_by_role("button", name="Load all").click()
    expect(page.get_by_role("article")).to_have_count(200)
    # The mark of the one that the address names goes after a while.
    expect(page.locator(".named")).to_have_count(0)


def main_thread_tasks(trace: list[dict[str, Any]]) -> list[Task]:
    """Of the page: the one that worked most, where the browser has others for itself."""
    mains = {
        (event["pid"], event["tid"])
        for event in trace
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    threads: dict[tuple[int, int], list[Task]] = defaultdict(list)
    ends: dict[tuple[int, int], float] = defaultdict(float)
    work = [event for event in trace if event["name"] in WORK and "tdur" in event]
    for event in sorted(work, key=lambda event: event["ts"]):
        thread = event["pid"], event["tid"]
        # A part of another one is counted with that.
        if thread in mains and event["ts"] >= ends[thread]:
            ends[thread] = event["ts"] + event["dur"]
            threads[thread].append(Task(event["dur"] / 1000, event["tdur"] / 1000))
    return max(threads.values(), key=lambda tasks: sum(task.cpu for task in tasks))


@dataclass
class LongChat:
    """What people do in one, each step traced by itself; where it is `limited`, none may have a task of LIMIT_MS of CPU
    time."""

    browser: Browser
    app: App
    turns: list[tuple[str, str]]
    limited: bool = False
    steps: dict[str, list[Task]] = field(default_factory=dict)

    def run(self) -> None:
        chat_id = import_turns(self.app, self.turns, "A long chat")
        stored = self.app.http.get("/messages/", params={"chat_id": chat_id, "limit": 500}).json()["messages"]
        ids = [message["id"] for message in stored]
        page = self.browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(self.app.url)
        page.locator(f".chat-link[href='/c/{chat_id}']").wait_for()
        page.wait_for_timeout(SETTLE_MS)
        self._step(page, "opens", f"document.querySelector(\".chat-link[href='/c/{chat_id}']\").click()", ids[-1])
        self._step(page, "is scrolled to older messages", SCROLL_UP, ids[-FIRST - MORE])
        self._step(page, "is left for a new chat", "document.querySelector('[data-key=new]').click()", "")
        page.goto("about:blank")
        self._step(page, "opens at an old message, in a new tab", f"{self.app.url}/c/{chat_id}#{ids[40]}", ids[40])
        self._step(page, "goes on to another one", f"location.hash = '{ids[200]}'", ids[200])
        page.keyboard.press("Control+f")
        load_all = "document.querySelector('.find-note .text-button').click()"
        self._step(page, "is loaded to its beginning", load_all, ids[0])
        page.close()

    def _step(self, page: Page, name: str, does: str, shows: str) -> None:
        """`does` is a script or an address; it is over when the message `shows`, or none, is drawn with all others."""
        self.browser.start_tracing(page=page, categories=["toplevel"])
        if does.startswith("http"):
            page.goto(does)
        else:
            page.evaluate(f"() => {{ {does} }}")
        page.wait_for_function(DRAWN, arg=shows)
        self.steps[name] = main_thread_tasks(json.loads(self.browser.stop_tracing())["traceEvents"])
        longest = max(self.steps[name], key=lambda task: task.cpu)
        print(f"| {name} | {longest.cpu:.0f} / {max(task.wall for task in self.steps[name]):.0f} |", flush=True)

    @property
    def too_long(self) -> list[str]:
        return [
            name for name, tasks in self.steps.items() if self.limited and max(task.cpu for task in tasks) >= LIMIT_MS
        ]


def main() -> None:
    with sync_playwright() as playwright, Provider() as provider, own_app(provider) as app:
        browser = playwright.chromium.launch(executable_path=chromium.require(), args=chromium.ARGS)
        print(header(GROWING))
        drawings = []
        for scene in SCENES:
            drawings.append(draw(browser, provider, app, scene))
            print(drawings[-1].row(), flush=True)
        print(header(LONG_CHAT))
        chats = [LongChat(browser, app, BRIEF_TURNS, limited=True), LongChat(browser, app, RICH_TURNS)]
        for chat in chats:
            chat.run()
        browser.close()
    failed = [drawing.scene.name for drawing in drawings if drawing.too_long] + [s for c in chats for s in c.too_long]
    if failed:
        sys.exit(f"A task took {LIMIT_MS:.0f} ms of CPU time or more: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
