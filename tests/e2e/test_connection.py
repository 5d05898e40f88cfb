"""The connection's sign tells the truth: before the first socket, without scripts, behind a proxy with no websocket."""

import re

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import EmbedPage
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio


async def test_without_scripts_nothing_says_that_the_page_is_live(browser: Browser, app: App) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    for path in ("/", "/c/018f0000-0000-7000-8000-000000000000", "/embed"):
        await page.goto(app.url + path)
        await expect(page.get_by_text("Live", exact=True)).to_have_count(0)
    await page.goto(app.url)
    await expect(page.locator("[data-connection=connecting]")).to_have_text("Connecting …")
    await context.close()


async def test_before_the_first_socket_is_open_the_page_only_connects(page: Page, app: App) -> None:
    opening: list[WebSocketRoute] = []
    await page.route_web_socket("**/_event/**", lambda socket: opening.append(socket))
    await page.goto(app.url)
    await expect(page.locator("[data-connection=connecting]")).to_have_text("Connecting …")
    while not opening:
        await page.wait_for_timeout(20)
    chat = ChatPage(page, app)
    await chat.box.fill("Asked before there was a connection")
    await chat.box.press("Enter")
    await expect(page.locator("[data-outbox=sending]")).to_be_visible()
    await expect(page.locator("[data-connection=live]")).to_have_count(0)
    opening[0].connect_to_server()
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    await expect(chat.answers.locator(".prose")).to_contain_text("Asked before there was a connection")
    await expect(chat.questions).to_have_count(1)


async def test_a_proxy_that_lets_no_websocket_through_is_named_with_what_to_set(page: Page, app: App) -> None:
    async with Proxy(app.port) as proxy:
        await page.goto(proxy.url)
        chat = ChatPage(page, app)
        await chat.box.fill("Asked behind a proxy")
        await chat.box.press("Enter")
        await expect(page.locator("[data-connection=blocked]")).to_have_text("No websocket gets through")
        sentence = page.get_by_role("alert").filter(has_text="websocket")
        for word in ("Upgrade", "Connection", "Host", "/_event", "ALLOWED_HOSTS", proxy.url.removeprefix("http://")):
            await expect(sentence).to_contain_text(word)
        await expect(page.locator("[data-outbox]")).to_contain_text("Not sent yet.")
        await expect(page.get_by_text("Reconnecting")).to_have_count(0)
        # Also where the keyboard leaves little room.
        await page.set_viewport_size({"width": 390, "height": 420})
        await expect(page.locator("html[data-low]")).to_be_attached()
        await expect(sentence).to_be_in_viewport()
        # What needs none is one click away, and works there.
        await sentence.get_by_role("link").click()
        await page.wait_for_url(re.compile("/embed"))
        embed = EmbedPage(page)
        await embed.ask("Asked without a websocket")
        await expect(await embed.ended()).to_contain_text("Asked without a websocket")


async def test_a_link_that_leaves_nothing_does_not_end_the_connection(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(text="Write to [us](mailto:us@example.org), or [call](tel:+15550100).")
    await chat.ended()
    await chat.ask(tokens=-1, interval_ms=20)
    growing = chat.answers.last.locator(".prose")
    await expect(growing).to_contain_text("tok5")
    sockets: list[object] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    await page.evaluate("addEventListener('beforeunload', () => (window.asked = (window.asked ?? 0) + 1))")
    # An answer's own links open beside the page; a link of a page that somebody adds may not.
    for asked, link in enumerate(("mailto:us@example.org", "tel:+15550100"), 1):
        await page.evaluate("(href) => Object.assign(document.createElement('a'), { href }).click()", link)
        await page.wait_for_function("(times) => window.asked === times", arg=asked)
        shown = await growing.inner_text()
        await expect(growing).not_to_have_text(shown)
    await chat.answers.first.get_by_role("link", name="us").click()
    shown = await growing.inner_text()
    await expect(growing).not_to_have_text(shown)
    assert not sockets
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    await chat.stop.click()
    await expect(chat.answers.last.locator(".problem")).to_have_text("Stopped")
