"""What a page's connection does otherwise than Reflex's: a new chat's address, and the end of what a page started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app import App
from tests.e2e.chat import import_chat
from tests.forked import ForkedApp
from tests.page_client import CHATS, COMPOSER, LINE, PageClient
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("page_built")]

ENDLESS = script(tokens=-1, interval_ms=20)


@pytest.fixture
def app(page_built: None, provider: Provider, tmp_path: Path) -> Iterator[App]:
    """With no chats but those of here."""
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


async def opened(app: App, path: str = "/") -> PageClient:
    page = PageClient(app.url)
    await page.load(path)
    await page.until(lambda: page.loaded and page.hydrated and page.value(COMPOSER, "model"))
    return page


async def test_a_new_chats_address_loads_nothing_and_all_goes_on(app: App) -> None:
    page = await opened(app)
    page.frames.clear()
    await page.ask(ENDLESS)
    await page.until(lambda: page.path != "/" and page.windows > 3)
    assert page.hydrated
    # Neither loaded nor followed anew.
    assert page.sent(COMPOSER, "limit") == []
    assert [offset for offset, _ in page.sent_windows()].count(0) == 1
    # What others do in it is shown.
    other = await opened(app, page.path)
    await other.ask("And then?")
    await page.until(lambda: [question["content"] for question in page.value(LINE, "questions")] == ["And then?"])
    await page.until(lambda: [title.startswith("SCRIPT") for title in page.titles()] == [True])
    await other.stop()
    # What waits behind an answer that was stopped is held.
    for one in (page, other):
        await one.until(lambda one=one: one.ended and one.value(LINE, "held"))
        await one.leave()
    assert page.shown() == other.shown()


async def test_the_address_of_a_chat_that_is_shown_no_longer_loads_it(app: App) -> None:
    """Also where the page went on before it got the address of its new chat."""
    page = await opened(app)
    await page.ask(script(tokens=5, interval_ms=1))
    await page.visit("/")
    # Then it is led to the chat.
    await page.until(lambda: page.path != "/" and page.ended and len(page.shown()) == 2)
    path, whole = page.path, page.shown()
    for elsewhere in ("/", "/insights", "/"):
        await page.visit(elsewhere)
        await page.visit(path)
        await page.until(lambda: page.loaded and page.hydrated and page.shown() == whole)
    await page.visit("/")
    await page.until(lambda: page.loaded and page.hydrated and page.shown() == [])
    await page.leave()


async def test_another_chat_comes_without_the_list_of_chats(app: App) -> None:
    """Its address ends what told the page of the list, and begins it anew."""
    chat_id, _ = import_chat(app, 2)
    page = await opened(app)
    await page.until(lambda: page.titles())
    page.frames.clear()
    await page.visit(f"/c/{chat_id}")
    await page.until(lambda: page.loaded)
    # What comes after this change has been told, the page had been told before.
    app.http.patch(f"/chats/{chat_id}", json={"title": "Another name"}).raise_for_status()
    await page.until(lambda: "Another name" in page.titles())
    assert page.sent(CHATS, "chats") == []
    await page.leave()


async def test_what_a_page_started_ends_with_its_connection(app: App) -> None:
    """What came with its address Reflex ends; this came of what the page asked for."""
    page = await opened(app)
    await page.ask(ENDLESS)
    await page.until(lambda: page.path != "/" and page.windows > 0)
    (window,) = page.texts
    before = page.windows
    await page.say_gap(window)
    await page.more_chats()
    await page.until(lambda: page.windows > before)
    await page.leave()
    other = await opened(app, page.path)
    await other.stop()
    await other.until(lambda: other.ended)
    await other.ask(script(tokens=3, interval_ms=1))
    await other.until(lambda: other.ended and len(other.shown()) == 4)
    await other.leave()
    assert "disconnected client" not in app.logged()
