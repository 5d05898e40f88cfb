"""A database that fails for a moment leaves no page behind that shows nothing new until it is loaded again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.forked import ForkedApp
from tests.outage import outage
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_app(page_built: None, provider: Provider, tmp_path: Path) -> Iterator[App]:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


async def test_the_page_and_its_list_of_chats_go_on_after_a_failure_of_the_database(
    page: Page, own_app: App, provider: Provider
) -> None:
    chat = await ChatPage(page, own_app).open()
    await chat.ask(tokens=6, hold=[3])
    await expect(chat.answers.locator(".prose")).to_contain_text("tok2")
    chat_id = await chat.chat_id()
    with outage(own_app.folder):
        provider.go()
        # Both have noticed.
        for failure in ("the list of chats could not be read", "the chat of a page could not be followed"):
            while failure not in own_app.logged():
                await page.wait_for_timeout(50)
    await chat.ended()
    assert (await chat.text()).startswith("tok0 tok1 tok2 tok3 tok4 tok5")
    # What others ask comes to the page as it did.
    ask = {"content": script(text="Still here."), "chat_id": chat_id}
    own_app.http.post("/messages/", json=ask).raise_for_status()
    await expect(chat.answers).to_have_count(2)
    await expect(chat.answers.last).to_contain_text("Still here.")
    own_app.http.post("/messages/", json={"content": script(text="A new chat")}).raise_for_status()
    await expect(chat.chats).to_have_count(2)
    assert own_app.logged().count("the list of chats could not be read") == 1


async def test_a_page_that_is_opened_while_the_database_fails_shows_its_chat_when_it_is_back(
    page: Page, own_app: App
) -> None:
    reply = own_app.http.post("/messages/", json={"content": script(text="Kept.")}).raise_for_status().json()
    with outage(own_app.folder):
        await page.goto(f"{own_app.url}/c/{reply['chat_id']}")
        while "a chat could not be opened" not in own_app.logged():
            await page.wait_for_timeout(50)
    chat = ChatPage(page, own_app)
    await expect(chat.answers).to_contain_text("Kept.")
    await expect(chat.chats).to_have_count(1)


async def test_a_list_of_chats_that_cannot_be_loaded_says_so_and_comes_by_itself(page: Page, own_app: App) -> None:
    own_app.http.post("/messages/", json={"content": script(text="Listed.")}).raise_for_status()
    chat = ChatPage(page, own_app)
    sentence = page.get_by_role("navigation", name="Chats").get_by_role("alert")
    with outage(own_app.folder):
        await page.goto(own_app.url)
        await expect(sentence).to_have_text("The chats cannot be loaded just now. It is tried again.")
        await expect(chat.chats).to_have_count(0)
    await expect(chat.chats).to_have_count(1)
    await expect(sentence).to_have_count(0)
