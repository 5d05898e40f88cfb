"""What renders again while an answer grows: the growing message, and of it the block that grows; nothing else.
Of the list of chats: what changed.

How long that takes is not asserted here, for the machine may be busy: `make bench` measures it.
"""

from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, expect

from chat_app.ui.transcript import FIRST
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat

pytestmark = pytest.mark.anyio

UNCOLOURED = "article [data-streamdown=code-block] code:not(:has(span[style]))"
# Counts changes below each finished message.
WATCH = """() => {
  window.changed = 0;
  const finished = [...document.querySelectorAll("article")];
  const observer = new MutationObserver((changes) => (window.changed += changes.length));
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  for (const article of finished) observer.observe(article, everything);
  return finished.length;
}"""


@pytest.mark.parametrize(
    "to_the_top", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["newest", "all 200"]
)
async def test_finished_messages_do_not_render_again_while_an_answer_grows(
    page: Page, app: App, to_the_top: bool
) -> None:
    chat_id, ids = import_chat(app, 100)
    # Once with its newest messages only, once with all that were loaded for a search of the page.
    chat = await ChatPage(page, app).open(f"/c/{chat_id}" + (f"#{ids[0]}" if to_the_top else ""))
    shown = FIRST
    if to_the_top:
        shown = 200
        await page.keyboard.press("Control+f")
        await page.get_by_role("button", name="Load all").click()
    await expect(page.get_by_role("article")).to_have_count(shown)
    await page.wait_for_load_state("networkidle")
    # What is far from the screen is drawn bit by bit.
    await expect(page.locator(".awaited")).to_have_count(0)
    # Colours come from a worker, a moment after the text.
    await expect(page.locator(UNCOLOURED)).to_have_count(0)
    # The mark of the one that the address names goes after a while.
    await expect(page.locator(".named")).to_have_count(0)
    assert await page.evaluate(WATCH) == shown
    calls = await Calls.watch(page)
    await chat.ask(tokens=500, interval_ms=5)
    await expect(await chat.ended()).to_contain_text("tok499")
    assert await page.evaluate("window.changed") == 0
    # The question and the answer as they come, and the answer as it ends.
    assert await calls.of_function_with("Assistant said") == 3


async def test_a_finished_block_is_not_parsed_again_while_the_answer_grows(page: Page, app: App) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    chat = await ChatPage(page, app).open()
    calls = await Calls.watch(page)
    await chat.ask(tokens=1500, interval_ms=2, markdown=True)
    answer = await chat.ended()
    blocks = await answer.locator(".prose > *").count()
    parsed = await calls.of_method("runSync")
    assert blocks > 50
    # At most: each block as it ends, and at each update the one that grows. All of them at each would be far more.
    assert blocks <= parsed <= blocks + len(frames)


async def test_a_chat_that_comes_on_top_draws_no_other_again(page: Page, app: App) -> None:
    for number in range(20):
        app.http.post("/chats/", json={"title": f"Below, number {number}"}).raise_for_status()
    chat = await ChatPage(page, app).open()
    await expect(chat.chats.get_by_text("Below, number 19")).to_be_visible()
    calls = await Calls.watch(page)
    app.http.post("/chats/", json={"title": "On top"}).raise_for_status()
    await expect(chat.chats.get_by_text("On top")).to_be_visible()
    # Itself and the one whose heading it takes; a chat of another test may move just now.
    assert 2 <= await calls.of_function_with("`chat-row`") <= 4


async def test_a_mark_that_was_never_closed_leaves_no_marks_behind(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(pieces=["Five *stars\n\n", "and **bold"], stall_after=2)
    await expect(chat.answers.locator(".prose [data-streamdown=strong]")).to_have_text("bold")
    assert await chat.text() == "Five *stars and bold"
    await chat.stop.click()


class Calls:
    """How often JavaScript functions are called: the browser counts, the page knows nothing of it."""

    def __init__(self, browser: CDPSession) -> None:
        self._browser = browser

    @classmethod
    async def watch(cls, page: Page) -> "Calls":
        browser = await page.context.new_cdp_session(page)
        await browser.send("Debugger.enable")
        await browser.send("Profiler.enable")
        await browser.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": False})
        return cls(browser)

    async def of_method(self, name: str) -> int:
        """Since the start. The production build keeps the names of methods, not those of functions."""
        return sum(
            function["ranges"][0]["count"]
            for script in await self._counted()
            for function in script["functions"]
            if function["functionName"] == name
        )

    async def of_function_with(self, text: str) -> int:
        """The same of the innermost function that has this text in it."""
        for script in await self._counted():
            given = await self._browser.send("Debugger.getScriptSource", {"scriptId": script["scriptId"]})
            at = given["scriptSource"].find(text)
            around = [
                function["ranges"][0]
                for function in script["functions"]
                if function["ranges"][0]["startOffset"] <= at < function["ranges"][0]["endOffset"]
            ]
            if at >= 0 and around:
                innermost = min(around, key=lambda found: found["endOffset"] - found["startOffset"])
                return int(innermost["count"])
        return 0

    async def _counted(self) -> list[dict[str, Any]]:
        scripts: list[dict[str, Any]] = (await self._browser.send("Profiler.takePreciseCoverage"))["result"]
        return scripts
