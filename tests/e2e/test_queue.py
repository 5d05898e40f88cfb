"""What is asked while an answer is being written waits, is seen in every tab, and can be changed until it is asked."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.forked import ForkedApp
from tests.provider_client import Provider

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def own_app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One that a test may kill, if it starts it again."""
    folder = tmp_path_factory.mktemp("queue")
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


def waiting(page: Page) -> Locator:
    return page.get_by_role("article", name="Waiting question")


async def held_answer(page: Page, app: App, **keys: object) -> ChatPage:
    """A chat whose answer has three words, and goes on when the provider is told so."""
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=6, hold=[3], **keys)
    await expect(chat.answers.last.locator(".prose")).to_contain_text("tok2")
    return chat


async def queue(chat: ChatPage, *questions: str) -> None:
    for question in questions:
        await chat.box.fill(question)
        await chat.box.press("Enter")
        await expect(waiting(chat.page).last).to_contain_text(question)
        await expect(chat.box).to_have_value("")


async def asked(chat: ChatPage) -> list[str]:
    return [message["content"] for message in await chat.stored() if message["role"] == "user"][1:]


@pytest.mark.used_tab
async def test_two_tabs_see_change_and_remove_what_waits(
    context: BrowserContext, page: Page, app: App, provider: Provider
) -> None:
    chat = await held_answer(page, app)
    await queue(chat, "The first to wait", "The second to wait", "The third to wait")
    other = await context.new_page()
    there = await ChatPage(other, app).open(f"/c/{await chat.chat_id()}")
    await expect(waiting(other)).to_have_count(3)
    await expect(waiting(other).first).to_contain_text("Waiting")
    await expect(waiting(other).first.get_by_role("button", name="Send now")).to_have_count(0)
    await waiting(other).nth(1).get_by_role("button", name="Remove").click()
    for tab in (page, other):
        await expect(waiting(tab)).to_have_count(2)
    await waiting(other).nth(1).get_by_role("button", name="Edit").click()
    field = other.get_by_role("textbox", name="Edit the waiting question")
    await expect(field).to_be_focused()
    await field.fill("The third, changed")
    await field.press("Enter")
    await expect(waiting(page).nth(1)).to_contain_text("The third, changed")
    await queue(there, "From the other tab")
    await expect(waiting(page)).to_have_count(3)
    await page.reload()
    await expect(waiting(page)).to_have_count(3)
    provider.go()
    for tab in (chat, there):
        await expect(tab.answers.locator(".prose").filter(has_text="From the other tab")).to_be_visible()
        await expect(tab.answers).to_have_count(4)
        await expect(waiting(tab.page)).to_have_count(0)
        await expect(tab.questions.locator(".bubble").nth(1)).to_have_text("The first to wait")
    assert await asked(chat) == ["The first to wait", "The third, changed", "From the other tab"]


@pytest.mark.used_tab
@pytest.mark.parametrize("failing", [False, True], ids=["stopped", "failed"])
async def test_after_a_bad_end_it_waits_for_a_person(page: Page, app: App, provider: Provider, failing: bool) -> None:
    chat = await held_answer(page, app, **({"error_after": 4} if failing else {}))
    await queue(chat, "Wait for me", "And for me")
    if failing:
        provider.go()
    else:
        await chat.stop.click()
    await expect(waiting(page).first).to_contain_text("Waiting for you")
    await expect(chat.send).to_be_visible()
    assert await asked(chat) == []
    await expect(page.get_by_role("button", name="Send now")).to_have_count(1)
    await page.get_by_role("button", name="Send now").click()
    await expect(chat.answers.locator(".prose").filter(has_text="And for me")).to_be_visible()
    await expect(waiting(page)).to_have_count(0)
    assert await asked(chat) == ["Wait for me", "And for me"]


@pytest.mark.used_tab
async def test_what_is_typed_into_its_form_is_not_lost_when_it_is_asked(
    page: Page, app: App, provider: Provider
) -> None:
    chat = await held_answer(page, app)
    await queue(chat, "About to be changed")
    await waiting(page).get_by_role("button", name="Edit").click()
    await page.get_by_role("textbox", name="Edit the waiting question").fill("A change that comes too late")
    provider.go()
    await expect(chat.answers.locator(".prose").filter(has_text="About to be changed")).to_be_visible()
    await expect(chat.box).to_have_value("A change that comes too late")
    await expect(chat.toasts).to_contain_text("What you typed is in the message box.")


@pytest.mark.used_tab
async def test_a_change_that_cannot_be_stays_in_its_form(page: Page, app: App) -> None:
    chat = await held_answer(page, app)
    await queue(chat, "Short")
    await waiting(page).get_by_role("button", name="Edit").click()
    field = page.get_by_role("textbox", name="Edit the waiting question")
    await field.fill("x" * 20_001)
    await page.get_by_role("button", name="Save").click()
    await expect(chat.toasts).to_contain_text("at most 20,000 are allowed")
    await expect(field).to_have_value("x" * 20_001)
    await field.press("Escape")
    await expect(waiting(page).locator(".bubble")).to_have_text("Short")


@pytest.mark.used_tab
async def test_more_than_may_wait_stay_in_the_outbox(page: Page, app: App) -> None:
    chat = await held_answer(page, app)
    await queue(chat, *(f"Question {number} of ten" for number in range(10)))
    await chat.box.fill("One too many")
    await chat.box.press("Enter")
    await expect(page.locator("[data-outbox]")).to_contain_text("10 questions wait in this chat already.")
    await waiting(page).last.get_by_role("button", name="Remove").click()
    await expect(waiting(page)).to_have_count(9)
    await page.locator("[data-outbox]").get_by_role("button", name="Try again").click()
    await expect(waiting(page).last).to_contain_text("One too many")
    await expect(page.locator("[data-outbox]")).to_have_count(0)


@pytest.mark.used_tab
async def test_an_answer_of_another_door_is_waited_for_too(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    request = {"content": 'SCRIPT {"tokens": 4, "hold": [2]}', "chat_id": await chat.chat_id()}
    async with app.client() as client, client.stream("POST", "/stream/", json=request) as stream:
        await expect(chat.stop).to_be_visible()
        await queue(chat, "After what a program asks")
        refused = await client.post("/messages/", json={"content": "A program", "chat_id": await chat.chat_id()})
        assert refused.status_code == 409
        provider.go()
        await expect(chat.answers.locator(".prose").filter(has_text="After what a program asks")).to_be_visible()
        await stream.aread()


@pytest.mark.used_tab
async def test_by_touch_it_has_a_button(page: Page, app: App) -> None:
    chat = await held_answer(page, app)
    later = page.get_by_role("button", name="Send after this answer")
    await expect(later).not_to_be_visible()
    await chat.box.fill("By a button")
    await later.click()
    await expect(waiting(page)).to_contain_text("By a button")
    await expect(later).not_to_be_visible()
    await expect(chat.stop).to_be_visible()


async def test_a_killed_server_has_it_when_it_is_back(page: Page, own_app: App) -> None:
    chat = await held_answer(page, own_app)
    await queue(chat, "Asked before the kill")
    own_app.kill()
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()
    await asyncio.to_thread(own_app.start)
    await expect(chat.answers.locator(".problem")).to_contain_text("The server ended while this answer")
    await expect(waiting(page)).to_contain_text(re.compile("Asked before the kill.*Waiting for you"))
    await page.get_by_role("button", name="Send now").click()
    # Where nothing of the first answer was saved, the model is asked both questions as one.
    await expect(chat.answers.nth(1)).to_contain_text("This is a short answer to")
    await expect(waiting(page)).to_have_count(0)
    assert await asked(chat) == ["Asked before the kill"]
