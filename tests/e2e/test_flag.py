"""FEATURE_STREAMING=false: the page takes the whole-reply path by itself."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, fold
from tests.provider_client import Provider

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("whole")
    with App(folder, openai_base_url=provider.base_url, openai_model="bench", feature_streaming="false") as app:
        yield app


async def test_the_reply_comes_whole(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=30, interval_ms=30)
    await expect(chat.answers.get_by_text("Assistant is typing")).to_be_visible()
    texts = set()
    while (text := await chat.answers.first.inner_text()) and "tok" not in text:
        texts.add(text)
    assert texts == {"Assistant is typing"}
    assert await chat.text() == fold((await chat.stored())[-1]["content"])
    assert "tok29" in await chat.text()


async def test_stop_works_too(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
