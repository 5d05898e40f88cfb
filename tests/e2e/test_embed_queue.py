"""At `/embed` too, what is asked while an answer is being written waits, is seen in every tab, and can be changed."""

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.app import App
from tests.e2e.embed import EmbedPage
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


def waiting(page: Page) -> Locator:
    return page.get_by_role("article", name="Waiting question")


async def held_answer(page: Page, app: App) -> EmbedPage:
    """One that goes on when the provider is told so."""
    chat = await EmbedPage(page).open(app.url)
    await chat.ask(tokens=6, hold=[3])
    await expect(chat.answers.last.locator(".prose")).to_contain_text("tok2")
    return chat


async def queue(chat: EmbedPage, page: Page, *questions: str) -> None:
    for question in questions:
        await chat.box.fill(question)
        await page.get_by_role("button", name="Send after this answer").click()
        await expect(waiting(page).last).to_contain_text(question)
        await expect(chat.box).to_have_value("")


async def asked(chat: EmbedPage) -> list[str]:
    return [message["content"] for message in await chat.stored() if message["role"] == "user"][1:]


async def test_two_tabs_see_change_and_remove_what_waits(
    context: BrowserContext, page: Page, app: App, provider: Provider
) -> None:
    chat = await held_answer(page, app)
    await queue(chat, page, "The first to wait", "The second to wait", script(text="The last answer"))
    chat_id = await page.evaluate("sessionStorage.getItem('embed:chat')")
    other = await context.new_page()
    await other.add_init_script(f"sessionStorage.setItem('embed:chat', {chat_id!r})")
    there = await EmbedPage(other).open(app.url)
    await expect(waiting(other)).to_have_count(3)
    await expect(waiting(other).first).to_contain_text("Waiting")
    await waiting(other).nth(1).get_by_role("button", name="Remove").click()
    await expect(there.box).to_be_focused()
    for tab in (page, other):
        await expect(waiting(tab)).to_have_count(2)
    await waiting(other).first.get_by_role("button", name="Edit").click()
    field = other.get_by_role("textbox", name="Edit the waiting question")
    await expect(field).to_be_focused()
    await field.fill("x" * 20_001)
    await field.press("Enter")
    await expect(there.error).to_contain_text("at most 20,000 are allowed")
    await field.fill("The first, changed")
    await field.press("Enter")
    await expect(waiting(page).first).to_contain_text("The first, changed")
    provider.go()
    for one in (chat, there):
        await expect(one.answers).to_have_count(3)
        await expect(one.answers.last).to_contain_text("The last answer")
        await expect(one.questions.nth(1)).to_contain_text("The first, changed")
    for tab in (page, other):
        await expect(waiting(tab)).to_have_count(0)
    assert await asked(chat) == ["The first, changed", script(text="The last answer")]


async def test_after_a_stop_it_waits_for_a_person(page: Page, app: App) -> None:
    chat = await held_answer(page, app)
    await queue(chat, page, script(text="And then?"))
    await chat.stop.click()
    await expect(waiting(page)).to_contain_text("Waiting for you")
    await expect(chat.send).to_be_visible()
    await page.reload()
    await expect(waiting(page)).to_contain_text("Waiting for you")
    assert await asked(chat) == []
    await waiting(page).get_by_role("button", name="Send now").click()
    await expect(chat.answers.last).to_contain_text("And then?")
    await expect(chat.status).to_have_text("Answer complete")
    await expect(waiting(page)).to_have_count(0)
    await expect(chat.answers).to_have_count(2)
