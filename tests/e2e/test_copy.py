"""Copying where the browser keeps the clipboard's API from the page, as over plain http on a LAN address."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page

pytestmark = pytest.mark.anyio

NO_API = """
Object.defineProperty(Navigator.prototype, "clipboard", { get: () => undefined });
delete window.ClipboardItem;
"""
# It is there, as in a frame without the permission, and says no.
REFUSED = """
Clipboard.prototype.writeText = Clipboard.prototype.write = async () => {
  throw new DOMException("Write permission denied.", "NotAllowedError");
};
"""
NO_COMMAND = "Document.prototype.execCommand = () => false;"
TEXT = "A *word*.\n\n```python\nprint('é')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"


async def gives(chat: ChatPage | EmbedPage, text: str) -> None:
    """Pasted, the clipboard gives this text; it may be copied a moment after the click."""
    pasted = None
    while pasted != text:
        await chat.box.fill("")
        await chat.box.press("Control+v")
        pasted = (await chat.box.input_value()).strip()
    await chat.box.fill("")


async def table_menu(answer: Locator) -> None:
    await answer.locator("[data-streamdown=table-wrapper]").hover()
    await answer.locator("[data-streamdown=table-wrapper] button").first.click()


@pytest.mark.parametrize("open_it", [the_page, the_embed])
@pytest.mark.parametrize("browser_is", [NO_API, REFUSED], ids=["no_api", "refused"])
async def test_messages_code_and_tables_are_copied(page: Page, app: App, open_it: Open, browser_is: str) -> None:
    await page.add_init_script(browser_is)
    chat = await open_it(page, app)
    await chat.ask(text=TEXT)
    answer = await chat.ended()
    if isinstance(chat, ChatPage):
        await page.get_by_role("button", name="Copy message").last.click()
        await expect(page.get_by_text("Copied", exact=True)).to_be_attached()
        await gives(chat, TEXT)
    await answer.get_by_role("button", name="Copy Code").click()
    await gives(chat, "print('é')")
    await table_menu(answer)
    await answer.get_by_role("button", name="TSV").click()
    await gives(chat, "a\tb\n1\t2")


@pytest.mark.parametrize("open_it", [the_page, the_embed])
async def test_a_sentence_where_nothing_can_be_copied(page: Page, app: App, open_it: Open) -> None:
    await page.add_init_script(NO_API + NO_COMMAND)
    chat = await open_it(page, app)
    await chat.ask(text=TEXT)
    answer = await chat.ended()
    sentence = page.get_by_role("alert").filter(has_text="Select the text")
    await answer.get_by_role("button", name="Copy Code").click()
    await expect(sentence).to_be_visible()
    if isinstance(chat, ChatPage):
        await page.evaluate("document.querySelector('.said').remove()")
        await page.get_by_role("button", name="Copy message").last.click()
        await expect(sentence).to_be_visible()
        await expect(page.get_by_text("Copied", exact=True)).to_have_count(0)
