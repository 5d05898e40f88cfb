"""By keyboard alone, and with input methods."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

NAME = "document.activeElement.ariaLabel || document.activeElement.textContent.trim().slice(0, 40)"
# While an input method composes, every key is 229, "Process".
PROCESS = {"type": "rawKeyDown", "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229}


async def test_esc_stops_the_answer(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    await page.keyboard.press("Escape")
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    await expect(chat.box).to_be_focused()


async def test_the_shortcuts_are_listed_under_the_question_mark(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.press("?")
    await expect(chat.box).to_have_value("?")
    await chat.box.fill("")
    await chat.box.blur()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("/")
    await expect(chat.box).to_be_focused()


async def test_new_chat_by_keyboard(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    await page.keyboard.press("Control+Shift+O")
    await expect(page).to_have_url(app.url + "/")
    await expect(chat.answers).to_have_count(0)
    await expect(chat.box).to_be_focused()


async def test_everything_can_be_reached_with_the_tab_key(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    names = set()
    await chat.box.focus()
    for _ in range(12):
        await page.keyboard.press("Shift+Tab")
        names.add(await page.evaluate(NAME))
    await page.get_by_role("link", name="Rill", exact=True).focus()
    for _ in range(4):
        await page.keyboard.press("Tab")
        names.add(await page.evaluate(NAME))
    for name in ("New chat", "Search", "Theme", "Edit message", "Copy message", "Regenerate", "Good answer"):
        assert name in names, f"{name} is not among {names}"


@pytest.mark.parametrize(("composed", "committed"), [("にほん", "日本"), ("ni hao", "你好"), ("ㅎㅏㄴ", "한")])
async def test_enter_during_composition_does_not_send(
    context: BrowserContext, page: Page, app: App, composed: str, committed: str
) -> None:
    """Through the browser's own protocol, as an input method does it."""
    chat = await ChatPage(page, app).open()
    await chat.box.focus()
    browser = await context.new_cdp_session(page)
    composition = {"text": composed, "selectionStart": 0, "selectionEnd": len(composed)}
    await browser.send("Input.imeSetComposition", composition)
    await browser.send("Input.dispatchKeyEvent", PROCESS)
    await browser.send("Input.insertText", {"text": committed})
    await expect(chat.box).to_have_value(committed)
    await expect(chat.questions).to_have_count(0)
    await chat.box.press("Enter")
    await expect(chat.questions.locator(".bubble")).to_have_text(committed)


async def test_a_long_paste_grows_the_box_and_is_refused_with_a_sentence(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    low = (await chat.box.bounding_box() or {})["height"]
    await chat.box.fill("word " * 20_000)
    high = (await chat.box.bounding_box() or {})["height"]
    assert low < high <= 0.41 * 900
    await chat.box.press("Enter")
    await expect(chat.toasts).to_contain_text("Shorten it")
    await expect(chat.box).to_have_value("word " * 20_000)
