"""By keyboard alone, and with input methods."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page
from tests.provider_client import script

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

NAME = "document.activeElement.ariaLabel || document.activeElement.textContent.trim().slice(0, 40)"
# Until something was scrolled ten times.
SCROLLED = """() => new Promise((done) => {
  let left = 10;
  document.addEventListener("scroll", () => --left || done(), true);
})"""
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


FOCUSED = "document.activeElement !== document.body"


async def test_after_send_and_stop_by_mouse_typing_goes_into_the_box(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.fill(script(tokens=-1, interval_ms=20))
    await chat.send.click()
    await expect(chat.box).to_be_focused()
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    await chat.stop.click()
    await expect(chat.box).to_be_focused()
    await expect(chat.send).to_be_visible()
    await page.keyboard.type("and so")
    await expect(chat.box).to_have_value("and so")
    # Also what is typed with the focus beside all fields.
    await chat.box.fill("")
    await page.get_by_role("button", name="Regenerate").focus()
    await page.keyboard.type("more")
    await expect(chat.box).to_have_value("more")
    await chat.box.fill("")


async def test_the_focus_is_never_lost(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    regenerate = page.get_by_role("button", name="Regenerate")
    await chat.again("Regenerate")
    await chat.ended()
    await page.wait_for_function(FOCUSED)
    await page.get_by_role("button", name="Previous version").press("Enter")
    await expect(page.locator(".version")).to_have_text("1 / 2")
    await expect(page.get_by_role("button", name="Next version")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".version")).to_have_text("2 / 2")
    await expect(page.get_by_role("button", name="Previous version")).to_be_focused()
    await regenerate.focus()
    await chat.again("Regenerate")
    await chat.ended()
    await page.wait_for_function(FOCUSED)
    await chat.ask(status=500)
    await chat.ended()
    await page.get_by_role("button", name="Try again").last.click()
    await expect(page.locator(".version").last).to_have_text("2 / 2")
    await page.wait_for_function(FOCUSED)


async def test_the_focus_after_rename_delete_and_undo(page: Page, app: App) -> None:
    import_turns(app, [("a", "b")], "The one below")
    import_turns(app, [("a", "b")], "The one in the middle")
    chat = await ChatPage(page, app).open(f"/c/{import_turns(app, [('a', 'b')], 'The one on top')}")
    middle = page.get_by_role("link", name="The one in the middle")

    async def act(name: str) -> None:
        await middle.focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Enter")
        await page.get_by_role("menuitem", name=name).press("Enter")

    await act("Rename")
    await page.get_by_role("textbox", name="Title").press("Enter")
    await expect(middle).to_be_focused()
    await act("Delete")
    await expect(middle).to_have_count(0)
    await expect(page.get_by_role("link", name="The one below")).to_be_focused()
    await page.get_by_role("button", name="Undo").press("Enter")
    await expect(middle).to_have_count(1)
    await expect(chat.toasts.filter(has_text="Undo")).to_have_count(0)
    await page.wait_for_function(FOCUSED)


async def test_esc_does_the_nearest_thing_only(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    await page.get_by_role("button", name="Theme").click()
    await expect(page.get_by_role("menu")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)
    # Not while an input method is open: its own key, and Safari's.
    for held in ("keyCode: 229", "isComposing: true"):
        await chat.box.evaluate(
            f"(box) => box.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Escape', bubbles: true, {held} }}))"
        )
    await page.keyboard.press("Control+k")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(chat.stop).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")


async def test_results_by_arrows_and_enter(page: Page, app: App) -> None:
    ids = [import_turns(app, [("a", "b")], f"Zirconium {n}") for n in range(3)]
    await ChatPage(page, app).open()
    await page.keyboard.press("Control+k")
    box = page.get_by_role("searchbox", name="Search")
    links = page.get_by_role("list", name="Results").get_by_role("link")
    await box.fill("zirconium")
    await expect(links).to_have_count(3)
    await box.press("ArrowDown")
    await box.press("ArrowDown")
    chosen = links.nth(1)
    await expect(box).to_have_attribute("aria-activedescendant", await chosen.get_attribute("id") or "none")
    address = await chosen.get_attribute("href")
    await box.press("Enter")
    await expect(page).to_have_url(app.url + str(address))
    await expect(page.get_by_role("dialog")).to_have_count(0)
    # Enter at once waits for what is looked for now.
    await page.keyboard.press("Control+k")
    await box.fill("zirconium 0")
    await box.press("Enter")
    await expect(page).to_have_url(f"{app.url}/c/{ids[0]}")


async def test_the_skip_link(page: Page, app: App) -> None:
    chat_id = import_turns(app, [("a", "b")], "To be skipped to")
    await ChatPage(page, app).open(f"/c/{chat_id}")
    skip = page.get_by_role("link", name="Skip to the conversation")
    await skip.focus()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator(".scroll-area")).to_be_focused()
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}")


async def test_the_list_of_chats_has_one_stop_a_chat(page: Page, app: App) -> None:
    for title in ("Stop one", "Stop two", "Stop three"):
        import_turns(app, [("a", "b")], title)
    await ChatPage(page, app).open()
    stop = {title: page.get_by_role("link", name=title) for title in ("Stop one", "Stop two", "Stop three")}
    await stop["Stop three"].focus()
    await page.keyboard.press("Tab")
    await expect(stop["Stop two"]).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(stop["Stop one"]).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("button", name="Actions for Stop two")).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await expect(stop["Stop two"]).to_be_focused()
    await page.keyboard.press("Shift+F10")
    await expect(page.get_by_role("menuitem", name="Rename")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)


@pytest.mark.parametrize("open_it", [the_page, the_embed])
async def test_the_page_keys_in_an_empty_box_scroll_the_conversation(page: Page, app: App, open_it: Open) -> None:
    chat = await open_it(page, app)
    await chat.ask(tokens=3000, interval_ms=0, burst=3000)
    await chat.ended()
    top = "document.querySelector('.scroll-area').scrollTop"
    end = await page.evaluate(top)
    await chat.box.press("PageUp")
    await page.wait_for_function(f"{top} < {end} - 200")
    await chat.box.press("PageDown")
    await page.wait_for_function(f"{top} > {end} - 30")
    # With text in it they are the box's own.
    await chat.box.fill("words")
    await chat.box.press("PageUp")
    assert await page.evaluate(top) > end - 30
    # The next test is of another page.
    await page.goto("about:blank")


async def test_icon_buttons_say_what_they_do_and_their_keys(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    tip = page.get_by_role("tooltip")
    await page.get_by_role("button", name="Theme").hover()
    await expect(tip).to_have_text("Theme")
    await chat.ask(tokens=-1, interval_ms=1)
    await chat.stop.hover()
    await expect(tip).to_have_text("Stop generating Esc")
    await page.mouse.move(600, 300)
    await expect(tip).not_to_be_visible()
    await chat.box.focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(chat.stop).to_be_focused()
    # The answer scrolls, its text moves beneath the mouse, and neither takes the tip away.
    await page.evaluate(SCROLLED)
    await expect(tip).to_have_text("Stop generating Esc")
    await page.keyboard.press("Escape")
    await expect(tip).not_to_be_visible()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    # A button that the focus scrolls into view.
    copy = page.get_by_role("button", name="Copy message").first
    await expect(copy).not_to_be_in_viewport()
    await copy.focus()
    await expect(copy).to_be_in_viewport()
    await expect(tip).to_have_text("Copy message")
    button, beside = await copy.bounding_box(), await tip.bounding_box()
    assert button and beside
    assert 0 <= beside["y"] - (button["y"] + button["height"]) < 10, (button, beside)


async def test_esc_and_the_tips_in_the_embedded_chat(page: Page, app: App) -> None:
    chat = await EmbedPage(page).open(app.url)
    await chat.ask(text="| a | b |\n|---|---|\n| 1 | 2 |")
    await chat.ended()
    table = chat.answers.first.locator("[data-streamdown=table-wrapper]")
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.last.locator(".prose")).to_contain_text("tok5")
    await chat.stop.hover()
    await expect(page.get_by_role("tooltip")).to_have_text("Stop generating Esc")
    # Not while an input method is open, and the menu of a table before the answer.
    for held in ("keyCode: 229", "isComposing: true"):
        await chat.box.evaluate(
            f"(box) => box.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Escape', bubbles: true, {held} }}))"
        )
    await table.hover()
    await table.get_by_role("button").first.click()
    await expect(table.get_by_role("button", name="TSV")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(table.get_by_role("button", name="TSV")).to_have_count(0)
    await expect(chat.stop).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(chat.answers.last.locator(".problem")).to_have_text("Stopped")


async def test_the_focus_is_never_lost_in_the_embedded_chat(page: Page, app: App) -> None:
    chat = await EmbedPage(page).open(app.url)
    await chat.ask(status=500)
    await chat.ended()
    for name in ("Dismiss", "Try again"):
        await page.get_by_role("button", name=name).last.click()
        await page.wait_for_function(FOCUSED)
    await expect(chat.status).to_have_text("Answer ended")
    await expect(page.get_by_role("button", name="Try again").last).to_be_visible()
    await page.wait_for_function(FOCUSED)
    await page.keyboard.type("and so")
    await expect(chat.box).to_have_value("and so")
    await page.get_by_role("button", name="New chat").click()
    await expect(chat.answers).to_have_count(0)
    await expect(chat.box).to_be_focused()
