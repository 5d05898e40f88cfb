"""Thoughts in the text of an answer, on the page and in /embed."""

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import Open, the_embed, the_page
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_thoughts_are_no_part_of_an_answer(page: Page, app: App, provider: Provider, opened: Open) -> None:
    chat = await opened(page, app)
    await chat.ask(pieces=["<thi", "nk>\nLet me", " see.</think>\n\n", "Forty-two"])
    answer = await chat.ended()
    assert await chat.text() == "Forty-two"
    provider.clear()
    # Only the closing tag: what was shown is taken back.
    await chat.ask(pieces=["Let me", " see.\n", "</think>\n\n", "Forty-three"], hold=[2])
    await expect(chat.answers.last).to_contain_text("Let me see.")
    provider.go()
    answer = await chat.ended()
    await expect(answer).not_to_contain_text("Let me see.")
    assert await chat.text() == "Forty-three"
    assert [message["content"] for message in await chat.stored()][1::2] == ["Forty-two", "Forty-three"]


async def test_a_tab_that_came_in_mid_thought_takes_them_back_too(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    provider.clear()
    await chat.ask(script(pieces=["Let me", " see.\n", "</think>\n\n", "Forty-four"], hold=[2]))
    await chat.saved("Let me see.")
    await page.reload()
    await expect(chat.answers.last).to_contain_text("Let me see.")
    provider.go()
    await expect(chat.answers.last).to_contain_text("Forty-four")
    await expect(chat.answers.last).not_to_contain_text("Let me see.")
