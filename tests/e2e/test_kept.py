"""What is being typed is kept, in its tab; and the page works where a browser keeps nothing."""

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import EmbedPage

pytestmark = pytest.mark.anyio

BLOCKED = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("Access is denied", "SecurityError"); } });
}
"""
FULL = """
Storage.prototype.setItem = () => { throw new DOMException("The quota has been exceeded.", "QuotaExceededError"); };
"""
BROKEN = "Storage.prototype.getItem = Storage.prototype.setItem = () => { throw new Error('broken'); };"


@pytest.mark.new_profile
@pytest.mark.parametrize("storage", [BLOCKED, FULL, BROKEN], ids=["blocked", "full", "broken"])
async def test_storage_is_never_needed(context: BrowserContext, page: Page, app: App, storage: str) -> None:
    await context.add_init_script(storage)
    chat = await ChatPage(page, app).open()
    await page.get_by_role("button", name="Theme").click()
    await page.get_by_role("menuitem", name="Dark").click()
    await expect(page.locator("html.dark")).to_be_attached()
    await chat.ask("With no storage")
    await expect(await chat.ended()).to_contain_text("With no storage")
    await chat.ask("And a second one")
    await expect(await chat.ended()).to_contain_text("And a second one")
    await page.reload()
    await expect(chat.answers).to_have_count(2)
    embed = await EmbedPage(page).open(app.url)
    await embed.ask("Embedded, with no storage")
    await expect(await embed.ended()).to_contain_text("Embedded, with no storage")


async def test_a_draft_belongs_to_its_tab(context: BrowserContext, page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.fill("Of the first tab")
    second = await ChatPage(await context.new_page(), app).open()
    await expect(second.box).to_have_value("")
    await second.box.fill("Of the second tab")
    for tab, text in ((chat, "Of the first tab"), (second, "Of the second tab")):
        await tab.page.reload()
        await expect(tab.box).to_have_value(text)
    await second.ask("Sent by the second tab")
    await second.ended()
    await page.reload()
    await expect(chat.box).to_have_value("Of the first tab")


def settings(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Settings of this chat")


async def open_settings(page: Page) -> None:
    await page.get_by_role("button", name="Settings of this chat").click()
    await expect(settings(page)).to_be_visible()


async def test_the_settings_keep_what_was_typed(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    prompt = settings(page).get_by_role("textbox", name="System prompt")
    temperature = settings(page).get_by_role("spinbutton", name="Temperature")
    await open_settings(page)
    await prompt.fill("A long prompt.")
    await temperature.fill("0.75")
    await page.mouse.click(5, 5)
    await expect(settings(page)).to_have_count(0)
    await page.reload()
    await expect(chat.box).to_be_visible()
    await open_settings(page)
    await expect(prompt).to_have_value("A long prompt.")
    await expect(temperature).to_have_value("0.75")
    await expect(settings(page)).to_contain_text("Not saved yet.")
    # Esc gives up, and can be taken back.
    await prompt.press("Escape")
    await expect(settings(page)).to_have_count(0)
    await chat.toasts.get_by_role("button", name="Bring them back").click()
    await expect(prompt).to_have_value("A long prompt.")
    await settings(page).get_by_role("button", name="Save").click()
    await expect(settings(page)).to_have_count(0)
    await expect(page.get_by_role("button", name="Settings of this chat")).to_contain_text("temperature 0.75")
    await open_settings(page)
    await expect(settings(page)).not_to_contain_text("Not saved yet.")
    await settings(page).get_by_role("button", name="Close").click()


async def test_a_rename_is_saved_by_a_click_elsewhere(page: Page, app: App) -> None:
    import_turns(app, [("One", "Two")], "Before it is renamed")
    chat = await ChatPage(page, app).open()
    await page.get_by_role("button", name="Actions for Before it is renamed").click(force=True)
    await page.get_by_role("menuitem", name="Rename").click()
    await page.get_by_role("textbox", name="Title").fill("Renamed by a click")
    await chat.box.click()
    await expect(page.get_by_role("link", name="Renamed by a click")).to_be_visible()
    await expect(page.get_by_role("textbox", name="Title")).to_have_count(0)


async def test_an_edit_survives_another_chat_and_a_reload(page: Page, app: App) -> None:
    chat_id = import_turns(app, [("The question", "The answer")], "An edit that waits")
    other = import_turns(app, [("Another question", "Another answer")], "Somewhere else")
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await chat.questions.hover()
    await page.get_by_role("button", name="Edit message").click()
    field = page.get_by_role("textbox", name="Edit your message")
    await field.fill("The better question")
    await page.locator(f"a[href='/c/{other}']").click()
    await expect(chat.answers).to_contain_text("Another answer")
    await page.locator(f"a[href='/c/{chat_id}']").click()
    await expect(field).to_have_value("The better question")
    await page.reload()
    await expect(field).to_have_value("The better question")
    await field.press("Escape")
    await expect(field).to_have_count(0)
    await chat.toasts.get_by_role("button", name="Bring it back").click()
    await field.press("Enter")
    await expect(chat.answers.locator(".prose")).to_contain_text("The better question")
    await expect(field).to_have_count(0)
    await expect(chat.questions).to_have_count(1)


async def test_a_remark_survives_another_chat(page: Page, app: App) -> None:
    chat_id = import_turns(app, [("A question", "An answer")], "With a remark")
    other = import_turns(app, [("Another question", "Another answer")], "Without one")
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await page.get_by_role("button", name="Bad answer").click()
    remark = page.get_by_role("textbox", name="Remark")
    await remark.fill("Half a rem")
    await page.locator(f"a[href='/c/{other}']").click()
    await expect(chat.answers).to_contain_text("Another answer")
    await page.locator(f"a[href='/c/{chat_id}']").click()
    await expect(remark).to_have_value("Half a rem")
    await remark.fill("A whole remark")
    await remark.press("Enter")
    await expect(remark).to_have_count(0)
    assert (await chat.stored())[-1]["remark"] == "A whole remark"


async def test_a_dialog_that_cannot_be_drawn_is_not_the_end_of_the_page(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    problem = page.get_by_role("group", name="Display problem")
    # The form cannot reach its fields.
    await page.evaluate("sessionStorage.setItem('settings:', '{\"temperature\": \"1\"}')")
    await page.reload()
    await chat.ask("With a broken dialog")
    await expect(await chat.ended()).to_contain_text("With a broken dialog")
    await page.get_by_role("link", name="New chat").first.click()
    await page.evaluate(
        """() => {
          const { prototype } = HTMLFormElement;
          window.elements = Object.getOwnPropertyDescriptor(prototype, "elements");
          const get = () => { throw new Error("broken") };
          Object.defineProperty(prototype, "elements", { ...elements, get });
        }"""
    )
    await open_settings(page)
    await expect(problem).to_contain_text("This dialog could not be shown.")
    await page.evaluate("Object.defineProperty(HTMLFormElement.prototype, 'elements', elements)")
    await problem.get_by_role("button", name="Show again").click()
    await expect(settings(page).get_by_role("textbox", name="System prompt")).to_be_visible()
    await expect(problem).to_have_count(0)
    await settings(page).get_by_role("button", name="Close").click()
    await expect(chat.box).to_be_visible()


@pytest.mark.parametrize("kept", ["{half of it", "[1, 2]", "7", '{"temperature": {"no": "text"}}'])
async def test_a_form_that_was_kept_damaged_is_as_if_it_were_not(page: Page, app: App, kept: str) -> None:
    await ChatPage(page, app).open()
    await page.evaluate("(kept) => sessionStorage.setItem('settings:', kept)", kept)
    await page.reload()
    await open_settings(page)
    temperature = settings(page).get_by_role("spinbutton", name="Temperature")
    await expect(temperature).to_have_value("")
    await temperature.fill("0.5")
    await expect(settings(page)).to_contain_text("Not saved yet.")
    await settings(page).get_by_role("button", name="Discard the changes").click()
    await settings(page).get_by_role("button", name="Close").click()
