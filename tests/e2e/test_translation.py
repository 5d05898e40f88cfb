"""The page survives a browser that translates it: text nodes are replaced while React goes on with its own."""

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import EmbedPage

pytestmark = pytest.mark.anyio

# As Chrome does it: each text node gives way to a <font> within a <font>, with a text node of its own, at each change.
# `how`: in one step, or in two; or the text goes into the <font> itself.
TRANSLATE = """
(how) => {
  const font = (...inner) => {
    const element = document.createElement("font");
    element.append(...inner);
    return element;
  };
  const put = {
    replace: (text) => text.replaceWith(font(font(text.data))),
    before: (text) => { text.before(font(font(text.data))); text.remove(); },
    after: (text) => { text.after(font(font(text.data))); text.remove(); },
    later: (text) => {
      const { parentNode, nextSibling, data } = text;
      text.remove();
      parentNode.insertBefore(font(font(data)), nextSibling);
    },
    wrap: (text) => {
      const outer = font(font());
      text.replaceWith(outer);
      outer.firstChild.append(text);
    },
  }[how];
  window.translated = 0;
  const translate = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const text of texts) {
      if (!text.data.trim() || text.parentElement.closest("font, script, style, textarea, svg, option")) continue;
      put(text);
      window.translated += 1;
    }
  };
  new MutationObserver(translate).observe(document.body, { subtree: true, childList: true, characterData: true });
  translate();
}
"""
ANSWER = "Plain and **bold** and `code`, then more words.\n\n- one **two** three\n- four\n\nThe *last* words are here"
SHOWN = "Plain and bold and code, then more words. one two three four The last words are here"


@pytest.mark.parametrize("how", ["replace", "before", "after", "later", "wrap"])
@pytest.mark.used_tab
async def test_no_word_of_a_growing_answer_is_lost(page: Page, app: App, how: str) -> None:
    chat = await ChatPage(page, app).open()
    await page.reload()
    await chat.open()
    await page.evaluate(TRANSLATE, how)
    await chat.ask(text=ANSWER, interval_ms=5)
    await chat.ended()
    assert await chat.text() == SHOWN
    await chat.again("Regenerate")
    await chat.ended()
    assert await chat.text() == SHOWN
    await expect(page.locator(".version")).to_have_text("2 / 2")
    await page.get_by_role("button", name="Previous version").click()
    await expect(page.locator(".version")).to_have_text("1 / 2")
    assert await chat.text() == SHOWN
    assert await page.evaluate("window.translated") > 20


async def test_the_whole_page_works_translated(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await page.evaluate(TRANSLATE, "replace")
    await chat.ask(text=ANSWER, interval_ms=5)
    await chat.ended()
    first = await chat.chat_id()
    await chat.again("Regenerate")
    await chat.ended()
    # Stopped, tried again, and rated with a remark.
    await chat.ask(tokens=-1, interval_ms=10)
    await expect(chat.answers.last.locator(".prose")).to_contain_text("tok5")
    await chat.stop.click()
    await chat.ended()
    await chat.again("Continue")
    await chat.ended()
    await page.get_by_role("button", name="Bad answer").last.click()
    await page.get_by_role("textbox", name="Remark").fill("Because")
    await page.get_by_role("button", name="Save").first.click()
    await expect(chat.toasts).to_contain_text("saved")
    # An edited question.
    await chat.questions.first.hover()
    await page.get_by_role("button", name="Edit message").first.click()
    await page.get_by_role("textbox", name="Edit your message").press("Enter")
    await expect(page.locator(".version").first).to_have_text("2 / 2")
    await expect(chat.send).to_be_visible()
    # Another chat and back, the search, the dialogs, a rename.
    await page.get_by_role("link", name="New chat").first.click()
    await chat.ask("A second chat")
    await chat.ended()
    second = await chat.chat_id()
    await page.keyboard.press("Control+k")
    search = page.get_by_role("searchbox", name="Search")
    for words, count in (("second chat", 1), ("nothing like it", 0), ("A second", 1)):
        await search.fill(words)
        results = page.get_by_role("list", name="Results").get_by_role("link")
        await (expect(results.first).to_be_visible() if count else expect(results).to_have_count(0))
    await results.first.click()
    await page.locator(f"nav a[href$='{second}']").hover()
    await page.locator(f"li:has(a[href$='{second}'])").get_by_role("button").click()
    await page.get_by_role("menuitem", name="Rename").click()
    await page.get_by_role("textbox", name="Title").fill("Another name")
    await page.get_by_role("textbox", name="Title").press("Enter")
    await expect(page.locator(f"nav a[href$='{second}']")).to_have_text("Another name")
    await page.get_by_role("button", name="Settings of this chat").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.locator(f"nav a[href$='{first}']").click()
    await expect(page.locator(".version").first).to_have_text("2 / 2")
    # The server goes and comes again.
    app.stop()
    await expect(page.locator(".chip")).to_contain_text("Reconnecting")
    app.start()
    await expect(page.locator(".chip")).to_have_text("Live")
    await chat.ask(text=ANSWER, interval_ms=5)
    await chat.ended()
    assert await chat.text() == SHOWN


async def test_a_page_that_is_translated_from_the_start(page: Page, app: App) -> None:
    """Before React has taken over the first HTML."""
    await page.add_init_script(f"addEventListener('DOMContentLoaded', () => ({TRANSLATE})('replace'))")
    chat = await ChatPage(page, app).open()
    await chat.ask(text=ANSWER, interval_ms=5)
    await chat.ended()
    assert await chat.text() == SHOWN


@pytest.mark.parametrize("how", ["replace", "wrap"])
async def test_embed_translated(page: Page, app: App, how: str) -> None:
    chat = await EmbedPage(page).open(app.url)
    await page.evaluate(TRANSLATE, how)
    for _ in range(2):
        await chat.ask(text=ANSWER, interval_ms=5)
        await chat.ended()
        assert await chat.text() == SHOWN
    await chat.ask(status=500)
    await expect(chat.error).to_be_visible()
    await page.get_by_role("button", name="Dismiss").click()
    await page.get_by_role("button", name="Try again").click()
    await expect(chat.error).to_be_visible()
    await page.get_by_role("button", name="New chat").click()
    await chat.ask(text=ANSWER, interval_ms=5)
    await chat.ended()
    assert await chat.text() == SHOWN
