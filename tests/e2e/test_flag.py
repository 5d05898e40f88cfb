"""FEATURE_STREAMING=false: the page, and the one at /embed, take the whole-reply path by itself."""

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, fold, record, recorded
from tests.e2e.embed import EmbedPage
from tests.forked import ForkedApp
from tests.provider_client import Provider

pytestmark = pytest.mark.anyio


def words(count: int) -> str:
    return " ".join(f"tok{number}" for number in range(count))


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("whole")
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench", feature_streaming="false") as app:
        yield app


async def test_the_reply_comes_whole(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await record(page)
    await chat.ask(tokens=30, interval_ms=30)
    assert await came_whole(chat) == words(30)


async def test_a_reload_in_mid_answer_shows_no_part_of_it(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await record(page)
    await chat.ask(tokens=-1, interval_ms=20)
    await chat.saved("tok20 ")
    await page.reload()
    await chat.stop.click()
    assert (await came_whole(chat)).startswith(words(20))


async def came_whole(chat: ChatPage) -> str:
    """The text of the answer, which nobody has seen a part of."""
    await chat.ended()
    await expect(chat.answers.locator(".figures:not(:empty)")).to_have_count(1)
    text = fold((await chat.stored())[-1]["content"])
    assert text == words(len(text.split()))
    steps = [fold(step) for step in await recorded(chat.page)]
    assert steps[0] == "Assistant is typing"
    assert all(step.startswith(text) for step in steps[1:])
    assert await chat.text() == text
    return text


async def test_stop_works_too(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")


async def test_the_embedded_chat_takes_whole_replies(page: Page, app: App, provider: Provider) -> None:
    provider.clear()
    chat = await EmbedPage(page).open(app.url)
    await record(page)
    await chat.ask(tokens=20, interval_ms=5)
    await expect(chat.connection).to_have_text(re.compile("Whole replies.*turned off"))
    await expect(chat.status).to_have_text("Answer complete")
    assert await chat.text() == words(20)
    assert (await recorded(page))[0] == "Assistant is typing"
    await chat.ask(status=500)
    await expect(chat.error).to_contain_text("has a problem")
    assert provider.completions() == 2


async def test_stop_ends_a_whole_reply_of_the_embedded_chat(page: Page, app: App, provider: Provider) -> None:
    """The first of a chat, whose id nobody knows before the reply is there."""
    provider.clear()
    chat = await EmbedPage(page).open(app.url)
    await chat.ask(tokens=-1, interval_ms=20)
    await provider.until(lambda seen: len(seen) == 1)
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    await provider.until(lambda seen: seen[0]["closed_by_client"])
    last = (await chat.stored())[-1]
    assert last["status"] == "stopped"
    assert await chat.text() == fold(last["content"])
    await expect(chat.error).to_have_count(0)
