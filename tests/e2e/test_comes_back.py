"""The page comes back by itself: lost network, restarted server, another tab; and what a cut answer offers."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.app import App
from tests.e2e.chat import COUNT_RETURNS, ChatPage, come_back, fold, leave
from tests.forked import ForkedApp
from tests.provider_client import Provider

pytestmark = pytest.mark.anyio
# Those that are opened since the page came into sight; of a page out of the cache Playwright does not tell them.
COUNT_SOCKETS = """
window.sockets = 0;
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    window.sockets += 1;
  }
};
addEventListener("visibilitychange", () => (window.sockets = 0), true);
"""


@pytest.fixture(scope="module")
def own_app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One that a test may kill, if it starts it again."""
    folder = tmp_path_factory.mktemp("own")
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench", shutdown_grace="0") as app:
        yield app


# A browser without a network is so in all tabs of a process.
@pytest.mark.new_profile
async def test_offline_and_back(context: BrowserContext, page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=25)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    await context.set_offline(True)
    # Sooner than an attempt to connect that nobody hears the end of is given up.
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible(timeout=10_000)
    held = len((await chat.text()).split())
    await context.set_offline(False)
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    await expect(chat.answers.locator(".prose")).to_contain_text(f"tok{held + 20}")
    await chat.stop.click()
    await chat.ended()
    assert await chat.text() == fold((await chat.stored())[-1]["content"])


@pytest.mark.browser_cache
@pytest.mark.parametrize("times", [1, 2], ids=["once", "again while it connects"])
async def test_back_out_of_the_browsers_cache(page: Page, app: App, provider: Provider, times: int) -> None:
    """An answer goes on and ends while the page is in there; the page connects anew, once."""
    await page.add_init_script(COUNT_RETURNS + COUNT_SOCKETS)
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=40, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    chat_id = await chat.chat_id()
    for nth in range(times):
        await leave(page, provider)
        while nth == 0 and (await chat.stored(chat_id))[-1]["status"] == "streaming":
            await asyncio.sleep(0.05)
        await come_back(page, nth + 1)
    await chat.ended()
    assert await chat.text() == fold((await chat.stored())[-1]["content"])
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    await chat.ask("Are you there?")
    await expect(chat.answers.nth(1).locator(".prose")).to_contain_text("Are you there?")
    assert await page.evaluate("window.sockets") == 1


async def test_the_server_dies_in_mid_answer_and_comes_back(page: Page, own_app: App) -> None:
    chat = await ChatPage(page, own_app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok100")
    await chat.saved("tok0 tok1 tok2")
    own_app.kill()
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()
    assert "tok100" in await chat.text()
    await asyncio.to_thread(own_app.start)
    await expect(chat.answers.locator(".problem")).to_contain_text("The server ended while this answer")
    stored = (await chat.stored())[-1]
    assert stored["status"] == "interrupted"
    assert fold(stored["content"]).startswith("tok0 tok1 tok2")
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    await chat.ask("Are you back?")
    await expect(chat.answers.nth(1).locator(".prose")).to_contain_text("Are you back?")


async def test_an_orderly_restart_stops_and_saves_the_answer(page: Page, own_app: App) -> None:
    chat = await ChatPage(page, own_app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok50")
    await asyncio.to_thread(own_app.stop)
    # Told before the server went, not after it came back.
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    shown = await chat.text()
    await asyncio.to_thread(own_app.start)
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    assert shown == await chat.text() == fold((await chat.stored())[-1]["content"])


async def test_stop_from_the_second_tab(context: BrowserContext, page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok10")
    second = await ChatPage(await context.new_page(), app).open(f"/c/{await chat.chat_id()}")
    await expect(second.answers.locator(".prose")).to_contain_text("tok20")
    await second.stop.click()
    for tab in (chat, second):
        await expect(tab.answers.locator(".problem")).to_have_text("Stopped")
        await expect(tab.send).to_be_visible()
    assert await chat.text() == await second.text() == fold((await chat.stored())[-1]["content"])


async def test_continue_goes_on_where_the_answer_was_cut(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=20, interval_ms=1, drop_after=5)
    await expect(chat.answers.locator(".problem")).to_contain_text("broke off")
    provider.clear()
    await chat.again("Continue")
    await chat.ended()
    await expect(chat.answers.locator(".problem")).to_have_count(0)
    await expect(chat.answers).to_have_count(1)
    stored = (await chat.stored())[-1]
    assert stored["status"] == "complete"
    assert stored["content"].startswith("tok0 tok1 tok2 tok3 tok4 ")
    assert len(stored["content"]) > len("tok0 tok1 tok2 tok3 tok4 ")
    assert await chat.text() == fold(stored["content"])
    asked = provider.requests()[-1]["body"]["messages"]
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]
    assert asked[2]["content"] == "tok0 tok1 tok2 tok3 tok4 "


async def test_regenerate_writes_another_version_and_keeps_the_old_one(
    page: Page, app: App, provider: Provider
) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    await chat.stop.click()
    old = (await chat.stored())[-1]
    provider.clear()
    await chat.again("Try again")
    await expect(chat.stop).to_be_visible()
    await expect(chat.answers).to_have_count(1)
    await provider.until(bool)
    await chat.stop.click()
    await expect((await chat.ended()).locator(".problem")).to_have_text("Stopped")
    new = (await chat.stored())[-1]
    assert new["id"] != old["id"]
    assert new["parent_id"] == old["parent_id"]
    kept = await page.request.get(f"{app.url}/stream/{old['id']}?after=0")
    assert "tok5" in await kept.text()
    roles = [message["role"] for message in provider.requests()[-1]["body"]["messages"]]
    assert roles == ["system", "user"]
