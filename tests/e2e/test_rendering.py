"""What renders again while an answer grows: the growing message, and of it the block that grows; nothing else.

How long that takes is not asserted here, for the machine may be busy: `make bench` measures it.
"""

from collections import Counter
from collections.abc import Callable

import pytest
from playwright.async_api import CDPSession, Page, expect

from chat_app.ui.transcript import FIRST
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat

pytestmark = pytest.mark.anyio

# Counts changes below each finished message, and the main thread's long tasks.
WATCH = """() => {
  window.seen = { changed: 0, long: [] };
  const finished = [...document.querySelectorAll("article")];
  const observer = new MutationObserver((changes) => (window.seen.changed += changes.length));
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  for (const article of finished) observer.observe(article, everything);
  const note = (list) => list.getEntries().forEach((entry) => window.seen.long.push(entry.duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
  return finished.length;
}"""


@pytest.mark.parametrize("to_the_top", [False, True], ids=["newest", "all 200"])
async def test_finished_messages_do_not_render_again_while_an_answer_grows(
    page: Page, app: App, figure: Callable[[object], None], to_the_top: bool
) -> None:
    chat_id, ids = import_chat(app, 100)
    # Once with its newest messages only, once with all that were loaded on the way to the first.
    chat = await ChatPage(page, app).open(f"/c/{chat_id}" + (f"#{ids[0]}" if to_the_top else ""))
    shown = 200 if to_the_top else FIRST
    await expect(page.get_by_role("article")).to_have_count(shown)
    await page.wait_for_load_state("networkidle")
    # The mark of the one that the address names goes after a while.
    await expect(page.locator(".named")).to_have_count(0)
    assert await page.evaluate(WATCH) == shown
    await chat.ask(tokens=500, interval_ms=5)
    await expect(chat.answers.nth(shown // 2).locator(".prose")).to_contain_text("tok499")
    seen = await page.evaluate("window.seen")
    figure(f"long tasks while 500 tokens came: {[round(task) for task in seen['long']]}")
    assert seen["changed"] == 0


async def test_a_finished_block_is_not_parsed_again_while_the_answer_grows(page: Page, app: App) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    chat = await ChatPage(page, app).open()
    calls = await Calls.watch(page)
    await chat.ask(tokens=1500, interval_ms=2, markdown=True)
    answer = await chat.ended()
    blocks = await answer.locator(".prose > *").count()
    parsed = (await calls.count())["runSync"]
    assert blocks > 50
    # At most: each block as it ends, and at each update the one that grows. All of them at each would be far more.
    assert blocks <= parsed <= blocks + len(frames)


async def test_a_mark_that_was_never_closed_leaves_no_marks_behind(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(pieces=["Five *stars\n\n", "and **bold"], stall_after=2)
    await expect(chat.answers.locator(".prose [data-streamdown=strong]")).to_have_text("bold")
    assert await chat.text() == "Five *stars and bold"
    await chat.stop.click()


class Calls:
    """How often JavaScript functions are called, by name: the browser counts, the page knows nothing of it.

    The production build keeps the names of methods, not those of functions.
    """

    def __init__(self, browser: CDPSession) -> None:
        self._browser = browser

    @classmethod
    async def watch(cls, page: Page) -> "Calls":
        browser = await page.context.new_cdp_session(page)
        await browser.send("Profiler.enable")
        await browser.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": False})
        return cls(browser)

    async def count(self) -> Counter[str]:
        """Since the start or the last count."""
        coverage = await self._browser.send("Profiler.takePreciseCoverage")
        calls: Counter[str] = Counter()
        for source in coverage["result"]:
            for function in source["functions"]:
                calls[function["functionName"]] += function["ranges"][0]["count"]
        return calls
