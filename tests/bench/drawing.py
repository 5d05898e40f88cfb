"""How smoothly the page draws while an answer grows, and in a long chat.

The browser's trace says how long each task of the page's main thread took, by the clock and in the thread's own CPU
time: by the clock a task also takes as long as other programs keep the thread waiting. A frame that was due (60 a
second) and did not come is dropped.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page, expect

from chat_app.ui.transcript import FIRST, MORE
from tests.app import App
from tests.bench.page import ANSWER as ANSWER_BOX
from tests.bench.page import BOX, OBSERVER, PATIENCE_MS, SETTLE_MS, VIEW, Case, Target, ask, settled, stamps_of_answer
from tests.bench.records import Column, Plot, Table, quantiles
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


# Nothing waits for its turn, and nothing has come for a quarter of a second. After how many ms all that the reader sees
# was drawn; a page that was opened anew counts from there.
DRAWN = """
(id) => new Promise((resolve) => {
  let quiet = 0;
  let drawn;
  const seen = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  const look = () => {
    const shown = id ? document.getElementById(id) : !document.querySelector("article");
    const awaited = [...document.querySelectorAll(".awaited")];
    if (shown && !awaited.some(seen)) drawn ??= performance.now() - (window.begun ?? 0);
    quiet = shown && awaited.length === 0 ? quiet + 1 : 0;
    if (quiet === 15) resolve(drawn);
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
MANY_TURNS = [(question, answer) for _ in range(25) for question, answer in BRIEF_TURNS]
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

    def values(self) -> dict[str, float | None]:
        span = self.frames[-1] - self.frames[0]
        gaps = [after - before for before, after in zip(self.frames, self.frames[1:], strict=False)]
        return {
            "cpu": self.longest,
            "clock": max(task.wall for task in self.tasks),
            "busy": 100 * sum(task.cpu for task in self.tasks) / span,
            "dropped": sum(round(gap / FRAME_MS) - 1 for gap in gaps),
            "frames": round(span / FRAME_MS),
            **quantiles("lag", self.lags, 50, 99),
        }


CPU, CLOCK = Column("cpu", "longest task, CPU ms", 0), Column("clock", "by the clock, ms", 0)
DRAWING = [
    CPU,
    CLOCK,
    Column("busy", "main thread busy, %", 0),
    Column("dropped", "frames dropped", 0),
    Column("frames", "of", 0),
    Column("lag_p50", "lag p50, ms"),
    Column("lag_p99", "p99"),
]
NOTE = (
    f"Of the browser's main thread, from its trace. `make bench` fails if a task takes {LIMIT_MS:.0f} ms of CPU time "
    "while an answer grows in a chat of 200 messages, or in a chat of brief answers."
)


def draw(browser: Browser, provider: Provider, app: App, scene: Scene) -> Drawing:
    page = browser.new_page(viewport=VIEW)
    page.set_default_timeout(PATIENCE_MS)
    if scene.in_long_chat:
        open_long_chat(page, app)
    else:
        page.goto(app.url)
        page.locator(BOX).wait_for()
    page.wait_for_timeout(SETTLE_MS)
    provider.clear()
    page.evaluate(OBSERVER, ANSWER_BOX)
    page.evaluate("() => bench.begin()")
    page.evaluate(FRAMES)
    browser.start_tracing(page=page, categories=["toplevel"])
    ask(page, Target(app.url), scene.script | {"stamp": True})
    seen = settled(page, Case(scene.name, scene.script).last + 1)
    tasks = main_thread_tasks(json.loads(browser.stop_tracing())["traceEvents"])
    frames: list[float] = page.evaluate("() => frames")
    page.close()
    stamps = stamps_of_answer(provider)
    return Drawing(scene, tasks, frames, [there - sent for there, sent in zip(seen, stamps, strict=False)])


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


@dataclass(frozen=True)
class Step:
    """`drawn` is after how many ms all that the reader sees was drawn."""

    name: str
    tasks: list[Task]
    drawn: float

    @property
    def longest(self) -> float:
        return max(task.cpu for task in self.tasks)


@dataclass
class LongChat:
    """What people do in one, each step traced by itself; `to_its_beginning` also that all of it is loaded."""

    browser: Browser
    app: App
    turns: list[tuple[str, str]]
    to_its_beginning: bool = True

    def steps(self) -> Iterator[Step]:
        chat_id = import_turns(self.app, self.turns, "A long chat")
        stored = self.app.http.get("/messages/", params={"chat_id": chat_id, "limit": 500}).json()["messages"]
        ids = [message["id"] for message in stored]
        page = self.browser.new_page(viewport=VIEW)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(self.app.url)
        page.locator(f".chat-link[href='/c/{chat_id}']").wait_for()
        page.wait_for_timeout(SETTLE_MS)
        yield self._step(page, "opens", f"document.querySelector(\".chat-link[href='/c/{chat_id}']\").click()", ids[-1])
        yield self._step(page, "is scrolled to older messages", SCROLL_UP, ids[-FIRST - MORE])
        yield self._step(page, "is left for a new chat", "document.querySelector('[data-key=new]').click()", "")
        page.goto("about:blank")
        yield self._step(
            page, "opens at an old message, in a new tab", f"{self.app.url}/c/{chat_id}#{ids[40]}", ids[40]
        )
        yield self._step(page, "goes on to another one", f"location.hash = '{ids[200]}'", ids[200])
        if self.to_its_beginning:
            page.keyboard.press("Control+f")
            load_all = "document.querySelector('.find-note .text-button').click()"
            yield self._step(page, "is loaded to its beginning", load_all, ids[0])
        page.close()

    def _step(self, page: Page, name: str, does: str, shows: str) -> Step:
        """`does` is a script or an address; it is over when the message `shows`, or none, is drawn with all others."""
        self.browser.start_tracing(page=page, categories=["toplevel"])
        if does.startswith("http"):
            page.goto(does)
        else:
            page.evaluate(f"() => {{ window.begun = performance.now(); {does} }}")
        drawn = page.evaluate(DRAWN, shows)
        return Step(name, main_thread_tasks(json.loads(self.browser.stop_tracing())["traceEvents"]), drawn)


def run(browser: Browser, provider: Provider, app: App, quick: bool = False) -> tuple[list[Table], list[str]]:
    """The tables, and what took too long."""
    growing = Table("drawing", "How smoothly the page draws while an answer grows", DRAWING, NOTE, Plot(["cpu"], "ms"))
    columns = [CPU, CLOCK, Column("drawn", "what is seen drawn after, ms", 0)]
    chats = Table("long_chat", "What people do in a long chat", columns, NOTE, Plot(["cpu"], "ms"))
    too_long = []
    for scene in SCENES[:1] if quick else SCENES:
        drawing = draw(browser, provider, app, scene)
        growing.add(scene.name, **drawing.values())
        too_long += [scene.name] if drawing.too_long else []
    if quick:
        return [growing], too_long
    for name, chat in (
        ("400 messages, brief answers", LongChat(browser, app, BRIEF_TURNS)),
        ("10,000 messages, brief answers", LongChat(browser, app, MANY_TURNS, to_its_beginning=False)),
        ("400 messages, rich answers", LongChat(browser, app, RICH_TURNS)),
    ):
        for step in chat.steps():
            clock = max(task.wall for task in step.tasks)
            chats.add(step.name, name, cpu=step.longest, clock=clock, drawn=step.drawn)
            too_long += [f"{step.name}, {name}"] if chat.turns is not RICH_TURNS and step.longest >= LIMIT_MS else []
    return [growing, chats], too_long
