"""On a phone: touch, no mouse, a keyboard on the screen; and a page that is zoomed in to a phone's size."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_chat
from tests.e2e.conftest import PATIENCE_MS
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page
from tests.provider_client import script

pytestmark = pytest.mark.anyio

PHONE = {"width": 390, "height": 844}
# With the keyboard up.
LOW = {"width": 390, "height": 420}
# 1280 × 1024 at 400 %.
ZOOMED = {"width": 320, "height": 256}
DRAWER_IS_OPEN = "document.documentElement.hasAttribute('data-drawer')"
BEHIND_IS_INERT = "document.querySelector('main').inert"
FIELDS = "[...document.querySelectorAll('input, textarea, select')]"
SIZES = f"{FIELDS}.map((field) => parseFloat(getComputedStyle(field).fontSize))"
# Once what changed the page's size is through.
SCROLL_UP = """
async (area) => {
  // Once the new size has been laid out, and the view is at the end again.
  const state = () => [area.scrollHeight, area.clientHeight, area.scrollTop].join();
  for (let [same, last] = [0, ""]; same < 5; last = state()) {
    await new Promise(requestAnimationFrame);
    const atEnd = area.scrollHeight - area.clientHeight - area.scrollTop < 2;
    same = atEnd && state() === last ? same + 1 : 0;
  }
  // As a reader's scroll comes: between frames. In one it is taken back where something grows in that frame.
  await new Promise((resolve) => setTimeout(resolve));
  area.scrollBy(0, -300);
}
"""
# What of the conversation's height is seen: not what lies under something else.
SEEN = """
() => {
  const area = document.querySelector(".scroll-area").getBoundingClientRect();
  const jump = document.querySelector(".jump")?.getBoundingClientRect();
  const covered = jump ? Math.max(0, Math.min(jump.bottom, area.bottom) - Math.max(jump.top, area.top)) : 0;
  return [area.height / innerHeight, covered];
}
"""


@pytest.fixture(scope="module")
async def phone(browser: Browser) -> AsyncIterator[Page]:
    """One page for all tests here, an error in which fails them."""
    context = await browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert not errors


@pytest.mark.parametrize("open_it", [the_page, the_embed])
async def test_enter_breaks_the_line_and_the_button_sends(phone: Page, app: App, open_it: Open) -> None:
    await phone.set_viewport_size(PHONE)
    chat = await open_it(phone, app)
    await chat.box.tap()
    await phone.keyboard.type("one")
    await phone.keyboard.press("Enter")
    await phone.keyboard.type("two")
    await expect(chat.box).to_have_value("one\ntwo")
    await expect(chat.questions).to_have_count(0)
    await chat.send.tap()
    await expect(chat.questions.locator(".bubble")).to_have_text("one\ntwo")
    await expect(chat.send).to_be_visible()
    await phone.wait_for_function("document.activeElement !== document.body")


async def test_the_drawer_closes_whichever_way_one_leaves_it(phone: Page, app: App) -> None:
    await phone.set_viewport_size(PHONE)
    chat_id, _ = import_chat(app, 1, "Found in the drawer")
    chat = await ChatPage(phone, app).open(f"/c/{chat_id}")
    button = phone.get_by_role("button", name="Show chats")

    async def opened() -> None:
        await button.tap()
        assert await phone.evaluate(DRAWER_IS_OPEN)
        assert await phone.evaluate(BEHIND_IS_INERT)
        assert await phone.evaluate("document.querySelector('#sidebar').contains(document.activeElement)")
        await expect(button).to_have_attribute("aria-expanded", "true")

    async def closed(path: str) -> None:
        await phone.wait_for_function(f"!({DRAWER_IS_OPEN})")
        await expect(phone).to_have_url(app.url + path)
        assert not await phone.evaluate(BEHIND_IS_INERT)
        assert await phone.evaluate("document.activeElement !== document.body")

    await opened()
    await phone.go_back()
    await closed(f"/c/{chat_id}")
    await opened()
    await phone.keyboard.press("Escape")
    await closed(f"/c/{chat_id}")
    await opened()
    await phone.touchscreen.tap(380, 400)
    await closed(f"/c/{chat_id}")
    await opened()
    await phone.locator("#sidebar").get_by_role("link", name="Rill", exact=True).tap()
    await closed("/")
    # Where it leads is open already.
    await opened()
    await phone.locator("#sidebar").get_by_role("link", name="Rill", exact=True).tap()
    await closed("/")
    await opened()
    await phone.get_by_role("button", name="Search").tap()
    await phone.get_by_role("searchbox", name="Search").fill("Found in the drawer")
    await phone.get_by_role("list", name="Results").get_by_role("link").first.tap()
    await closed(f"/c/{chat_id}")
    await expect(chat.answers).to_have_count(1)
    # The drawer was no page: one step back is the one before.
    await phone.go_back()
    await expect(phone).to_have_url(app.url + "/")


async def test_esc_closes_the_drawer_and_stops_no_answer(phone: Page, app: App) -> None:
    await phone.set_viewport_size(PHONE)
    chat = await ChatPage(phone, app).open(f"/c/{import_chat(app, 1)[0]}")
    # The tab may show what it showed last until the chat is loaded.
    await expect(chat.answers).to_have_count(1)
    await chat.box.fill(script(tokens=-1, interval_ms=20))
    await chat.send.tap()
    await expect(chat.stop).to_be_visible()
    await phone.get_by_role("button", name="Show chats").tap()
    await phone.keyboard.press("Escape")
    await phone.wait_for_function(f"!({DRAWER_IS_OPEN})")
    await expect(chat.stop).to_be_visible()
    await phone.keyboard.press("Escape")
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")


async def test_fields_are_large_enough_not_to_be_zoomed_to(phone: Page, app: App) -> None:
    await phone.set_viewport_size(PHONE)
    chat = await ChatPage(phone, app).open(f"/c/{import_chat(app, 1)[0]}")
    # The tab may show what it showed last until the chat is loaded.
    await expect(chat.answers).to_have_count(1)
    await phone.get_by_role("button", name="Bad answer").tap()
    await phone.get_by_role("textbox", name="Remark").wait_for()
    await phone.get_by_role("button", name="Edit message").tap()
    await phone.get_by_role("textbox", name="Edit your message").wait_for()
    assert min(await phone.evaluate(SIZES)) >= 16
    await phone.get_by_role("button", name="Settings of this chat").tap()
    await phone.get_by_role("textbox", name="System prompt").wait_for()
    assert min(await phone.evaluate(SIZES)) >= 16
    await phone.keyboard.press("Escape")
    await expect(chat.box).to_be_visible()


@pytest.mark.parametrize("size", [LOW, ZOOMED], ids=["keyboard", "zoomed"])
@pytest.mark.parametrize("open_it", [the_page, the_embed])
async def test_half_of_a_low_page_is_conversation(phone: Page, app: App, open_it: Open, size: dict[str, int]) -> None:
    await phone.set_viewport_size(PHONE)
    chat = await open_it(phone, app)
    await chat.box.fill(script(tokens=400, interval_ms=0))
    await chat.send.tap()
    await expect(chat.status.filter(has_text="Answer complete")).to_have_count(1)
    await phone.set_viewport_size(size)
    await chat.box.fill("A long draft.\n" * 40)
    if isinstance(chat, EmbedPage):
        share, _ = await phone.evaluate(SEEN)
        assert share >= 0.5
    else:
        await phone.locator(".scroll-area").evaluate(SCROLL_UP)
        await expect(phone.get_by_role("button", name="Jump to latest")).to_be_visible()
        share, covered = await phone.evaluate(SEEN)
        assert share >= 0.5
        assert covered == 0
    assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await chat.box.evaluate("(box) => box.scrollHeight > box.clientHeight")
