"""The settings of a chat, also of one that is only about to begin."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.forked import ForkedApp
from tests.provider_client import Provider

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Its own model is another than the one that the provider lists."""
    folder = tmp_path_factory.mktemp("settings")
    settings = {"openai_model": "usual", "system_prompt": "Usual prompt."}
    with ForkedApp(folder, openai_base_url=provider.base_url, **settings) as app:
        yield app


def button(page: Page) -> Locator:
    return page.get_by_role("button", name="Settings of this chat")


async def set_up(page: Page, model: str = "", system_prompt: str = "", temperature: str = "") -> None:
    await button(page).click()
    dialog = page.get_by_role("dialog", name="Settings of this chat")
    # The provider's models are there.
    await expect(dialog.get_by_role("option", name="bench")).to_be_attached()
    await dialog.get_by_role("combobox", name="Model").select_option(model)
    await dialog.get_by_role("textbox", name="System prompt").fill(system_prompt)
    await dialog.get_by_role("spinbutton", name="Temperature").fill(temperature)
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)


def asked(provider: Provider) -> dict[str, Any]:
    """The last request: its model, temperature and system prompt."""
    body = provider.requests()[-1]["body"]
    return {
        "model": body["model"],
        "temperature": body.get("temperature"),
        "prompt": body["messages"][0]["content"],
    }


USUAL = {"model": "usual", "temperature": None, "prompt": "Usual prompt."}
OWN = {"model": "bench", "temperature": 0.2, "prompt": "Talk like a pirate."}


async def test_they_count_from_the_first_message_of_a_new_chat(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await expect(button(page)).to_have_text("usualSettings of this chat")
    await set_up(page, "bench", "Talk like a pirate.", "0.2")
    own = "bench · own prompt · temperature 0.2Settings of this chat"
    await expect(button(page)).to_have_text(own)
    await expect(button(page)).to_be_focused()
    # What is chosen stays chosen until the chat begins.
    await page.reload()
    await expect(button(page)).to_have_text(own)
    await chat.ask("Who goes there?")
    await chat.ended()
    assert asked(provider) == OWN
    await expect(button(page)).to_have_text(own)
    # Of a next new chat it is the model only.
    first = await chat.chat_id()
    await page.get_by_role("link", name="New chat").first.click()
    await expect(button(page)).to_have_text("benchSettings of this chat")
    await chat.ask("And who are you?")
    await chat.ended()
    assert asked(provider) == USUAL | {"model": "bench"}
    await chat.open(f"/c/{first}")
    await expect(button(page)).to_have_text(own)
    await chat.ask("Still a pirate?")
    await chat.ended()
    assert asked(provider) == OWN


async def test_those_of_a_chat_are_that_chats_only(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    assert asked(provider) == USUAL
    await set_up(page, "bench", "Talk like a pirate.", "0.2")
    await chat.ask("Hello again")
    await chat.ended()
    assert asked(provider) == OWN
    await page.get_by_role("link", name="New chat").first.click()
    await expect(button(page)).to_have_text("usualSettings of this chat")
    await chat.ask("A new one")
    await chat.ended()
    assert asked(provider) == USUAL


async def test_a_refused_first_message_keeps_them(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await set_up(page, system_prompt="Talk like a pirate.")
    before = app.http.get("/chats/").json()
    await chat.ask("x" * 32_001)
    await expect(chat.toasts.filter(has_text="Shorten it")).to_be_visible()
    assert app.http.get("/chats/").json() == before
    await chat.ask("Short")
    await chat.ended()
    assert asked(provider) == USUAL | {"prompt": "Talk like a pirate."}


async def test_what_was_not_saved_is_not_there_again(page: Page, app: App) -> None:
    await ChatPage(page, app).open()
    await set_up(page, system_prompt="Kept.")
    prompt = page.get_by_role("textbox", name="System prompt")
    await button(page).click()
    await prompt.fill("Thought better of.")
    await page.keyboard.press("Escape")
    await expect(prompt).to_have_count(0)
    await button(page).click()
    await expect(prompt).to_have_value("Kept.")


async def test_a_model_that_is_listed_no_more_stays(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    url = f"/chats/{await chat.chat_id()}"
    app.http.patch(url, json={"model": "retired"}).raise_for_status()
    await button(page).click()
    dialog = page.get_by_role("dialog", name="Settings of this chat")
    await expect(dialog.get_by_role("combobox", name="Model")).to_have_value("retired")
    await dialog.get_by_role("textbox", name="System prompt").fill("Be brief.")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    saved = app.http.get(url).json()
    assert (saved["model"], saved["system_prompt"]) == ("retired", "Be brief.")


async def test_an_agent_offers_models_of_its_own(page: Page, page_built: None, tmp_path: Path) -> None:
    with ForkedApp(tmp_path, replies="tests.test_context:chooses") as app:
        chat = await ChatPage(page, app).open()
        await button(page).click()
        dialog = page.get_by_role("dialog", name="Settings of this chat")
        model = dialog.get_by_role("combobox", name="Model")
        await expect(model.get_by_role("option")).to_have_text(["The app's default", "fast", "deep"])
        assert "OPENAI" not in await dialog.inner_text()
        await model.select_option("deep")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        await chat.box.fill("Which one?")
        await chat.box.press("Enter")
        await expect(chat.answers.last.locator(".prose")).to_have_text("deep")
