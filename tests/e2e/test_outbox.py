"""What was sent is the person's until the server has it: offline, frozen, a full database, too long, two tabs."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Locator, Page, WebSocketRoute, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import EmbedPage
from tests.forked import ForkedApp
from tests.provider_client import Provider, script
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def own_app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One that a test may freeze, and whose database it may break."""
    folder = tmp_path_factory.mktemp("outbox")
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


@asynccontextmanager
async def frozen(app: App) -> AsyncIterator[None]:
    os.killpg(app.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(app.pid, signal.SIGCONT)


async def go_offline(context: BrowserContext, page: Page) -> None:
    """Until the page knows: what was sent before is in the open socket, and arrives when the network is back."""
    await context.set_offline(True)
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()


def unsent(page: Page, text: str = "") -> Locator:
    return page.locator("[data-outbox]").filter(has_text=text)


async def asked(app: App, text: str) -> int:
    """How often the database has a question."""
    with sqlite3.connect(app.folder / "chat.db") as database:
        return database.execute("SELECT count(*) FROM message WHERE role = 'user' AND content = ?", [text]).fetchone()[
            0
        ]


@pytest.mark.new_profile
@pytest.mark.parametrize("new", [True, False], ids=["a new chat", "an old one"])
async def test_what_was_sent_offline_survives_a_reload_and_is_asked_once(
    context: BrowserContext, page: Page, app: App, new: bool
) -> None:
    chat = await ChatPage(page, app).open()
    if not new:
        await chat.ask("Before")
        await chat.ended()
    text = f"Asked without a network, new={new}"
    await go_offline(context, page)
    await chat.box.fill(text)
    await chat.box.press("Enter")
    await expect(chat.questions.last.locator(".bubble")).to_have_text(text)
    await expect(chat.box).to_have_value("")
    await expect(unsent(page, "Not sent")).to_be_visible()
    await expect(unsent(page).get_by_role("button", name="Try again")).to_be_visible()
    await expect(unsent(page).get_by_role("button", name="Edit")).to_be_visible()
    await context.set_offline(False)
    await page.reload()
    await expect(chat.answers.last.locator(".prose")).to_contain_text(text)
    await expect(unsent(page)).to_have_count(0)
    await expect(chat.questions.filter(has_text=text)).to_have_count(1)
    assert await asked(app, text) == 1


@pytest.mark.new_profile
async def test_what_was_sent_offline_goes_out_by_itself_and_can_be_taken_back(
    context: BrowserContext, page: Page, app: App
) -> None:
    chat = await ChatPage(page, app).open()
    await go_offline(context, page)
    await chat.box.fill("Taken back")
    await chat.box.press("Enter")
    await unsent(page).get_by_role("button", name="Edit").click()
    await expect(chat.box).to_have_value("Taken back")
    await expect(unsent(page)).to_have_count(0)
    await chat.box.fill("Sent in the end")
    await chat.box.press("Enter")
    await context.set_offline(False)
    await expect(chat.answers.locator(".prose")).to_contain_text("Sent in the end")
    assert (await asked(app, "Taken back"), await asked(app, "Sent in the end")) == (0, 1)


async def test_a_frozen_server_gets_the_message_once_it_is_back(page: Page, own_app: App) -> None:
    chat = await ChatPage(page, own_app).open()
    async with frozen(own_app):
        await chat.box.fill("Asked of a frozen server")
        await chat.box.press("Enter")
        await expect(chat.questions.locator(".bubble")).to_have_text("Asked of a frozen server")
        await expect(unsent(page)).to_contain_text("Sending")
        place = await chat.questions.locator(".bubble").bounding_box()
        await expect(page.locator("[data-connection=live]")).to_have_count(0)
    await expect(chat.answers.locator(".prose")).to_contain_text("Asked of a frozen server")
    assert await chat.questions.locator(".bubble").bounding_box() == place
    assert await asked(own_app, "Asked of a frozen server") == 1


async def test_an_enter_during_a_freeze_survives_a_reload_after_it(page: Page, own_app: App) -> None:
    chat = await ChatPage(page, own_app).open()
    async with frozen(own_app):
        await chat.box.fill("Frozen, then reloaded")
        await chat.box.press("Enter")
        await expect(unsent(page)).to_be_visible()
        reload = asyncio.create_task(page.reload())
        await page.wait_for_event("request")
    await reload
    await expect(page.get_by_text("Frozen, then reloaded").first).to_be_visible()
    await expect(unsent(page)).to_have_count(0)
    assert await asked(own_app, "Frozen, then reloaded") == 1


async def test_a_broken_database_says_so_and_the_message_is_sent_again(page: Page, own_app: App) -> None:
    chat = await ChatPage(page, own_app).open()
    with sqlite3.connect(own_app.folder / "chat.db") as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    await chat.box.fill("Asked of a full database")
    await chat.box.press("Enter")
    await expect(unsent(page)).to_contain_text("Not sent.")
    await expect(unsent(page)).to_contain_text("Try again")
    await expect(page.get_by_text("administrator")).to_have_count(0)
    with sqlite3.connect(own_app.folder / "chat.db") as database:
        database.execute("DROP TRIGGER full")
    await page.reload()
    await expect(unsent(page)).to_contain_text("Not sent.")
    await unsent(page).get_by_role("button", name="Try again").click()
    await expect(chat.answers.locator(".prose")).to_contain_text("Asked of a full database")
    await expect(unsent(page)).to_have_count(0)


async def test_what_is_far_too_long_is_refused_before_it_is_sent(page: Page, app: App) -> None:
    size = 120_000
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sizes.append(len(frame))))
    chat = await ChatPage(page, app).open()
    await chat.box.evaluate("(box, size) => (box.value = 'x'.repeat(size))", size)
    await chat.box.press("Enter")
    await expect(chat.toasts).to_contain_text(f"The message has {size:,} characters; at most 20,000 are allowed.")
    assert len(await chat.box.input_value()) == size
    await chat.box.fill("Short enough")
    await chat.box.press("Enter")
    await expect(chat.answers.locator(".prose")).to_contain_text("Short enough")
    assert max(sizes) < 10_000


async def test_a_huge_paste_is_refused_before_it_is_in_the_box(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.fill("Typed before")
    await chat.box.evaluate(
        """(box) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "x".repeat(6_000_000));
          const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
          if (box.dispatchEvent(paste)) box.value += "pasted";
        }"""
    )
    await expect(chat.toasts).to_contain_text("The message has 6,000,000 characters; at most 20,000 are allowed.")
    await expect(chat.box).to_have_value("Typed before")


async def test_a_message_that_is_allowed_comes_through_the_socket(
    page: Page, page_built: None, provider: Provider, tmp_path: Path
) -> None:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "max_message_chars": "3000000"}
    with ForkedApp(tmp_path, **settings) as app:
        chat = await ChatPage(page, app).open()
        question = "long " * 250_000 + script(text="Read.")
        await chat.box.evaluate("(box, text) => (box.value = text)", question)
        await chat.send.click()
        await expect(chat.answers.last.locator(".figures:not(:empty), .problem")).not_to_have_count(0)
        await expect(unsent(page)).to_have_count(0)
        assert (await chat.stored())[0]["content"] == question


class Held:
    """What the server says to a page, which hears it later."""

    def __init__(self) -> None:
        self.holds = False
        self._page: WebSocketRoute
        self._waiting: list[str | bytes] = []

    async def on(self, page: Page) -> "Held":
        await page.route_web_socket("**/_event/**", self._route)
        return self

    def go(self) -> None:
        self.holds = False
        for message in self._waiting:
            self._page.send(message)

    def _route(self, page: WebSocketRoute) -> None:
        self._page = page
        page.connect_to_server().on_message(self._hear)

    def _hear(self, message: str | bytes) -> None:
        if self.holds:
            self._waiting.append(message)
        else:
            self._page.send(message)


@pytest.mark.new_profile
async def test_a_message_waits_for_another_tabs_answer_that_the_page_has_not_heard_of(page: Page, app: App) -> None:
    held = await Held().on(page)
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    held.holds = True
    request = {"content": script(tokens=-1, interval_ms=20), "chat_id": await chat.chat_id()}
    async with app.client() as other, other.stream("POST", "/stream/", json=request):
        await chat.box.fill("In the same moment")
        await chat.box.press("Enter")
        await expect(unsent(page)).to_contain_text("Sending")
        held.go()
        await expect(page.get_by_role("article", name="Waiting question")).to_contain_text("In the same moment")
        await expect(unsent(page)).to_have_count(0)
    await chat.stop.click()
    await page.get_by_role("button", name="Send now").click()
    await expect(chat.answers.last.locator(".prose")).to_contain_text("In the same moment")
    assert await asked(app, "In the same moment") == 1


async def test_a_suggestion_is_sent_like_any_message(page: Page, own_app: App) -> None:
    chat = await ChatPage(page, own_app).open()
    suggestion = page.locator(".suggestion").first
    text = await suggestion.inner_text()
    async with frozen(own_app):
        await suggestion.click()
        await expect(chat.questions.locator(".bubble")).to_have_text(text)
    await expect(chat.answers.locator(".prose")).to_contain_text(text)
    assert await asked(own_app, text) == 1


async def editing(page: Page, app: App, text: str) -> tuple[ChatPage, Locator]:
    """A chat with a question whose form has this text."""
    chat = await ChatPage(page, app).open(f"/c/{import_turns(app, [('The old question', 'The old answer')], text)}")
    await chat.questions.hover()
    await page.get_by_role("button", name="Edit message").click()
    field = page.get_by_role("textbox", name="Edit your message")
    await field.fill(text)
    return chat, field


@pytest.mark.new_profile
async def test_an_edit_that_is_sent_offline_survives_and_is_asked_once(
    context: BrowserContext, page: Page, app: App
) -> None:
    text = "Edited without a network"
    chat, field = await editing(page, app, text)
    await go_offline(context, page)
    await field.press("Enter")
    await field.press("Enter")
    await expect(page.locator(".edit")).to_contain_text("Sending")
    await expect(field).to_have_value(text)
    await context.set_offline(False)
    await page.reload()
    await expect(chat.answers.locator(".prose")).to_contain_text(text)
    await expect(field).to_have_count(0)
    await expect(chat.questions).to_have_count(1)
    assert await asked(app, text) == 1


async def test_an_edit_that_is_refused_stays_in_its_form(page: Page, app: App) -> None:
    chat, field = await editing(page, app, "Edited while another answer grows")
    request = {"content": script(tokens=-1, interval_ms=20), "chat_id": await chat.chat_id()}
    async with app.client() as other, other.stream("POST", "/stream/", json=request):
        await expect(chat.stop).to_be_visible()
        await field.press("Enter")
        await expect(page.locator(".edit")).to_contain_text("Not sent. An answer is still being written in this chat.")
        await expect(field).to_have_value("Edited while another answer grows")
    await chat.stop.click()
    await expect(chat.send).to_be_visible()
    await field.fill("x" * 20_001)
    await field.press("Enter")
    await expect(chat.toasts.filter(has_text="at most 20,000")).to_be_visible()
    await expect(field).to_have_value("x" * 20_001)
    await field.fill("Edited in the end")
    await field.press("Enter")
    await expect(chat.answers.first.locator(".prose")).to_contain_text("Edited in the end")
    await expect(field).to_have_count(0)
    assert await asked(app, "Edited while another answer grows") == 0


# At the page that needs no websocket


@pytest.mark.parametrize("new", [True, False], ids=["a new chat", "an old one"])
async def test_the_embedded_page_keeps_what_the_server_does_not_have(page: Page, own_app: App, new: bool) -> None:
    text = f"Embedded, without a network, new={new}"
    async with Proxy(own_app.port) as proxy:
        chat = await EmbedPage(page).open(proxy.url)
        if not new:
            await chat.ask("Before")
            await chat.ended()
        before = proxy.keys()
        # The page and its history come, questions find nobody.
        await page.route("**/stream/*ids=1*", lambda route: route.abort("connectionfailed"))
        await chat.ask(text)
        await expect(page.locator(".note")).to_contain_text("Not sent yet.")
        await expect(page.get_by_text("Assistant is typing")).to_have_count(0)
        await expect(chat.connection).not_to_have_text("Live")
        await page.reload()
        await expect(chat.questions.last).to_contain_text(text)
        await expect(page.locator(".note")).to_contain_text("Not sent yet.")
        # From now on it may get through at any moment, also before the page is left.
        await page.unroute_all()
        await page.reload()
        await expect(chat.answers.last.locator(".prose")).to_contain_text(text)
        await expect(page.locator(".note")).to_have_count(0)
        await expect(chat.questions.filter(has_text=text)).to_have_count(1)
        await expect(chat.box).to_have_value("")
        assert len(proxy.keys() - before) == 1
    assert await asked(own_app, text) == 1


# For the clock is the whole profile's.
@pytest.mark.new_profile
async def test_the_embedded_page_gets_its_answer_from_a_frozen_server_after_a_reload(page: Page, own_app: App) -> None:
    chat = await EmbedPage(page).open(own_app.url)
    await page.clock.install()
    await page.clock.pause_at(datetime.now() + timedelta(hours=1))
    async with frozen(own_app):
        await chat.ask("Embedded and frozen")
        await expect(page.locator(".note")).to_contain_text("Sending")
        await page.clock.fast_forward(4_000)
        await expect(chat.connection).to_have_text("The server does not answer. Waiting …")
        await page.clock.resume()
        reload = asyncio.create_task(page.reload())
        await page.wait_for_event("request")
    await reload
    await expect(chat.answers.locator(".prose")).to_contain_text("Embedded and frozen")
    await expect(chat.questions).to_have_count(1)
    assert await asked(own_app, "Embedded and frozen") == 1


# For the clock is the whole profile's.
@pytest.mark.new_profile
async def test_the_embedded_page_waits_for_a_slow_server_and_streams(page: Page, own_app: App) -> None:
    chat = await EmbedPage(page).open(own_app.url)
    await page.clock.install()
    await page.clock.pause_at(datetime.now() + timedelta(hours=1))
    async with frozen(own_app):
        await chat.ask(tokens=-1, interval_ms=20)
        async with page.expect_request("**/healthz"):
            # Longer than a stream takes to begin.
            await page.clock.fast_forward(6_000)
        await expect(chat.connection).to_have_text("The server does not answer. Waiting …")
        await page.clock.resume()
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    await expect(chat.connection).to_have_text("Live")
    await chat.stop.click()
    await expect(chat.status).to_have_text("Answer ended")


# For the clock is the whole profile's.
@pytest.mark.new_profile
async def test_the_embedded_page_says_not_sent_and_tries_again_with_the_same_key(page: Page, own_app: App) -> None:
    text = "Embedded and tried again"
    keys: set[str] = set()
    page.on("request", lambda request: keys.add(request.headers.get("idempotency-key", "")))
    chat = await EmbedPage(page).open(own_app.url)
    await page.clock.install()
    await page.route("**/stream/*ids=1*", lambda route: route.abort("connectionfailed"))
    await chat.ask(text)
    while not await chat.error.count():
        await page.clock.run_for(1000)
    await expect(chat.error).to_contain_text("Not sent.")
    await expect(chat.connection).not_to_have_text("Live")
    await expect(chat.box).to_have_value(text)
    await page.unroute_all()
    await chat.error.get_by_role("button", name="Try again").click()
    await expect(chat.answers.locator(".prose")).to_contain_text(text)
    await expect(chat.box).to_have_value("")
    assert len(keys - {""}) == 1
    assert await asked(own_app, text) == 1
