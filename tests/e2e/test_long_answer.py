"""An answer of 50 KB is an answer like any other. How smoothly it grows is measured by `make bench`."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SIZE = 50_000
# Asked between frames: in a frame's own callbacks what has just been drawn is not followed yet.
POLLING_MS = 50
LONG = f"() => document.querySelector('.prose')?.textContent.length > {SIZE}"
AT_THE_END = """() => {
  const area = document.querySelector(".scroll-area");
  return area.scrollHeight - area.clientHeight - area.scrollTop < 24;
}"""


async def test_the_page_shows_what_is_stored(context: BrowserContext, page: Page, app: App) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=10_000, interval_ms=0, markdown=True)
    answer = await chat.ended()
    stored = (await chat.stored())[-1]["content"]
    assert len(stored) > SIZE
    await page.wait_for_function(AT_THE_END, polling=POLLING_MS)
    await answer.get_by_role("button", name="Copy message").click()
    assert await page.evaluate("navigator.clipboard.readText()") == stored
    grown = await answer.locator(".prose").text_content()
    await page.reload()
    # What is far from the screen is drawn bit by bit, whenever the browser has nothing else to do.
    await expect(chat.answers.locator(".prose")).to_have_text(grown or "")


async def test_the_view_follows_and_the_box_stays_usable(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    # Most of it at once, the rest as fast as a quick model.
    await chat.ask(tokens=-1, burst=11_000, interval_ms=5, markdown=True)
    await page.wait_for_function(LONG)
    await page.wait_for_function(AT_THE_END, polling=POLLING_MS)
    await chat.box.press_sequentially("And another thing")
    await expect(chat.box).to_have_value("And another thing")
    await page.wait_for_function(AT_THE_END, polling=POLLING_MS)
    await page.mouse.move(700, 300)
    await page.mouse.wheel(0, -2000)
    await expect(page.get_by_role("button", name="Jump to latest")).to_be_visible()
    await chat.stop.click()
    answer = await chat.ended()
    await expect(answer.locator(".problem")).to_have_text("Stopped")
    await expect(chat.box).to_have_value("And another thing")
