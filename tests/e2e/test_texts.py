"""What a model may write, in a real browser: on the page and at /embed, growing and finished.

What needs no browser is in `texts.test.mjs`, with the same pipeline.
"""

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.embed import Open, the_embed, the_page

pytestmark = pytest.mark.anyio

# A browser in which one text cannot be drawn.
UNSHOWABLE = """
const split = String.prototype.split;
String.prototype.split = function (...given) {
  if (this.includes("Unshowable") && window.broken !== false) throw new Error("An exception in a component");
  return split.apply(this, given);
};
"""


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_an_exception_in_one_message_leaves_the_others_and_its_text(page: Page, app: App, opened: Open) -> None:
    await page.add_init_script(UNSHOWABLE)
    chat = await opened(page, app)
    await chat.ask(text="A **first** answer.")
    await chat.ended()
    await chat.ask(text="Before.\n\n```\nUnshowable\n```\n\n**After**.")
    problem = page.get_by_role("group", name="Display problem")
    await expect(problem).to_contain_text("could not be shown")
    await expect(problem.locator(".plain")).to_have_text("Before.\n\n```\nUnshowable\n```\n\n**After**.")
    await expect(page.locator("[data-streamdown=strong]")).to_have_text(["first"])
    await page.evaluate("window.broken = false")
    await problem.get_by_role("button", name="Show again").click()
    await expect(page.locator("[data-streamdown=strong]")).to_have_text(["first", "After"])
    await expect(page.get_by_role("group", name="Display problem")).to_have_count(0)
    await chat.ask(text="A third one.")
    await expect(await chat.ended()).to_contain_text("A third one.")
