"""The chat in someone else's page, and the hook that it is made with: in real Chromium, through a proxy that
misbehaves, and on a page of another origin."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from chat_app.config import ROOT
from tests.app import App
from tests.beside import serving
from tests.e2e.chat import NEWEST_ANSWER, fold, record, recorded
from tests.e2e.embed import EmbedPage
from tests.forked import ForkedApp
from tests.provider_client import Provider, script
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio

PHONE = {"width": 360, "height": 640}
HOST_PAGE = Path(__file__).parent.parent / "embed_host.html"
STATUS = "[role=status]"
REACT_STUB = b"export const useEffect = 0, useLayoutEffect = 0, useMemo = 0, useSyncExternalStore = 0;"


POLICY = "default-src 'none'; script-src APP; frame-src APP"
SANDBOX = "allow-scripts allow-same-origin allow-forms"
MODULE = '<script type="module" src="APP/embed-loader.js" data-theme="dark"></script>'
PLAIN = '<script src="APP/embed-loader.js" data-theme="dark"></script>'
IMPORTED = """
<div data-rill="APP" data-theme="dark"></div>
<script type="module">import "APP/embed-loader.js";</script>
"""
HOSTS = {
    "/module": (MODULE, ""),
    "/imported": (IMPORTED, ""),
    "/policy": (PLAIN, POLICY),
    "/policy-module": (MODULE, POLICY),
    "/policy-without-frames": (PLAIN, "frame-src 'none'"),
    "/sandboxed": (f'<iframe title="Page" src="/module" sandbox="{SANDBOX}"></iframe>', ""),
    "/nowhere": ('<iframe title="Page" src="/module" sandbox="allow-scripts"></iframe>', ""),
}
"""Pages of the site by their paths: what they hold, and their content policy."""


class SomeonesSite(SimpleHTTPRequestHandler):
    """The sample page, with the packages that a bundler would put into it."""

    def __init__(self, *args: Any, app_url: list[str], **more: Any) -> None:
        self.app_url = app_url
        super().__init__(*args, directory=str(ROOT / ".web" / "node_modules"), **more)

    def do_GET(self) -> None:
        if self.path.startswith("/npm/"):
            self.path = self.path.removeprefix("/npm")
            return super().do_GET()
        if self.path == "/react-stub.js":
            return self._send(REACT_STUB, "text/javascript")
        if self.path in HOSTS:
            page, policy = (text.replace("APP", self.app_url[0]) for text in HOSTS[self.path])
            return self._send(f"<!doctype html><p>Hello</p>{page}".encode(), "text/html", policy)
        return self._send(HOST_PAGE.read_text().replace("APP", self.app_url[0]).encode(), "text/html")

    def _send(self, body: bytes, kind: str, policy: str = "") -> None:
        self.send_response(200)
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Sites:
    """Two sites with the same page; the app allows the first only. Both are other origins than the app's."""

    app_url = [""]
    friend: str
    stranger: str


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    sites = Sites()
    site = partial(SomeonesSite, app_url=sites.app_url)
    with serving(site) as friend, serving(site) as stranger:
        sites.friend, sites.stranger = (f"http://127.0.0.1:{port}" for port in (friend, stranger))
        yield sites


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One that lets the friend's pages in."""
    with ForkedApp(
        tmp_path_factory.mktemp("embedded"),
        openai_base_url=provider.base_url,
        openai_model="bench",
        max_message_chars="20000",
        cors_allowed_origins=sites.friend,
        auth="none",
    ) as app:
        sites.app_url[0] = app.url
        yield app


@pytest.fixture
async def proxy(app: App) -> AsyncIterator[Proxy]:
    async with Proxy(app.port) as proxy:
        yield proxy


async def opened(page: Page, url: str, **parameters: str) -> EmbedPage:
    return await EmbedPage(page).open(url, **parameters)


def words(count: int) -> str:
    return " ".join(f"tok{n}" for n in range(count))


async def more_shown(chat: EmbedPage) -> None:
    """Wait until the answer has grown by some words."""
    shown = len((await chat.text()).split())
    await expect(chat.answers.locator(".prose")).to_contain_text(f"tok{shown + 20}")


# A page of its own


@pytest.mark.everyday
async def test_an_answer_grows_and_stays_without_a_websocket(page: Page, app: App) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.set_viewport_size(PHONE)
    chat = await opened(page, app.url)
    await record(page)
    await record(page, STATUS)
    await chat.ask(tokens=-1, interval_ms=20)
    await page.wait_for_function("(answer) => recorded[answer].length >= 5", arg=NEWEST_ANSWER)
    await chat.stop.click()
    await expect(chat.status).to_have_text("Answer ended")
    assert await recorded(page, STATUS) == ["", "Assistant is typing", "Answer ended"]
    await expect(chat.answers).to_have_count(1)
    await expect(page).to_have_title(re.compile("^SCRIPT "))
    await expect(chat.connection).to_have_text("Live")
    text = await chat.text()
    assert text == words(len(text.split())) == fold((await chat.stored())[-1]["content"])
    await chat.ask(tokens=40)
    await expect(chat.answers).to_have_count(2)
    await expect(chat.answers.nth(1).locator(".prose")).to_have_text(words(40))
    await expect(chat.status).to_have_text("Answer complete")
    assert len(await chat.stored()) == 4
    assert await chat.text() == fold((await chat.stored())[-1]["content"])
    await expect(chat.log.get_by_role("article")).to_have_count(4)
    assert sockets == []


async def test_typing_is_shown_until_the_first_token(page: Page, app: App) -> None:
    chat = await opened(page, app.url)
    await record(page)
    await chat.ask(tokens=3, first_ms=100)
    await expect(chat.answers.locator(".prose")).to_have_text(words(3))
    typing, first, *_ = await recorded(page)
    assert typing == "Assistant is typing" and first.startswith("tok0")


@pytest.mark.everyday
async def test_a_reload_in_mid_answer_goes_on(page: Page, app: App) -> None:
    chat = await opened(page, app.url)
    await chat.ask(tokens=-1, interval_ms=25)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    await page.reload()
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    await more_shown(chat)
    await chat.stop.click()
    await expect(chat.status).to_have_text("Answer ended")
    await expect(chat.answers).to_have_count(1)
    assert await chat.text() == fold((await chat.stored())[-1]["content"])
    await page.get_by_role("button", name="New chat").click()
    await expect(chat.answers).to_have_count(0)
    await expect(chat.box).to_be_focused()
    await page.reload()
    await expect(chat.box).to_be_visible()
    await expect(chat.answers).to_have_count(0)


async def test_stop_ends_the_providers_request_and_keeps_the_text(page: Page, app: App, provider: Provider) -> None:
    provider.clear()
    chat = await opened(page, app.url)
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    await provider.until(lambda seen: any(request["closed_by_client"] for request in seen))
    last = (await chat.stored())[-1]
    assert last["status"] == "stopped"
    assert await chat.text() == fold(last["content"])


# For the clock is the whole profile's.
@pytest.mark.new_profile
async def test_a_failure_says_why_and_keeps_the_text(page: Page, app: App) -> None:
    chat = await opened(page, app.url)
    await chat.ask(tokens=20, drop_after=6)
    await expect(chat.error).to_contain_text("broke off")
    await expect(chat.answers.locator(".problem")).to_contain_text("broke off")
    assert await chat.text() == words(6)
    await chat.error.get_by_role("button", name="Dismiss").click()
    await expect(chat.error).to_have_count(0)
    await page.reload()
    await expect(chat.answers.locator(".problem")).to_contain_text("broke off")
    again = page.get_by_role("button", name="Try again")
    await again.click()
    await expect(page.get_by_role("region", name="Messages")).to_be_focused()
    await expect(chat.questions).to_have_count(2)
    await expect(chat.answers.last.locator(".problem")).to_contain_text("broke off")
    await expect(again).to_have_count(1)
    # It would not help.
    await page.clock.install()
    await chat.ask(status=401)
    await expect(chat.answers.last.locator(".problem")).to_contain_text("does not accept the key")
    await expect(again).to_have_count(0)
    # Said in two places only for a while.
    await expect(chat.error).to_contain_text("does not accept the key")
    await page.clock.fast_forward(10_000)
    await expect(chat.error).to_have_count(0)


async def test_a_refused_message_comes_back_into_the_box(page: Page, app: App) -> None:
    chat = await opened(page, app.url)
    await chat.box.fill("x" * 20_001)
    await chat.box.press("Enter")
    await expect(chat.error).to_contain_text("at most 20,000 are allowed")
    await expect(chat.box).to_have_value("x" * 20_001)
    await expect(chat.questions).to_have_count(0)


@pytest.mark.parametrize("width", [320, 480])
async def test_narrow_frames_have_no_sideways_scroll(page: Page, app: App, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 480})
    chat = await opened(page, app.url, greeting="Donaudampfschifffahrtsgesellschaftskapitän " * 3)
    sideways = "document.documentElement.scrollWidth"
    assert await page.evaluate(sideways) == width
    await chat.ask(tokens=300, interval_ms=0, markdown=True)
    await expect(chat.status).to_have_text("Answer complete")
    assert await page.evaluate(sideways) == width
    # It followed the answer, and the box is still there.
    below = "(area) => area.scrollHeight - area.scrollTop - area.clientHeight"
    assert await page.locator(".scroll-area").evaluate(below) < 24
    await expect(chat.box).to_be_in_viewport(ratio=1)


async def test_the_keyboard_is_enough(page: Page, app: App) -> None:
    chat = await opened(page, app.url)
    await page.keyboard.press("Tab")
    await expect(chat.box).to_be_focused()
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await page.keyboard.press("Tab")
    await expect(chat.send).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(chat.questions).to_have_text("one\ntwo")
    await expect(chat.status).to_have_text("Answer complete")
    # The button is the same, so the focus did not get lost while it was another.
    await expect(chat.send).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.type(script(tokens=-1, interval_ms=20))
    await page.keyboard.press("Enter")
    await expect(chat.answers.nth(1).locator(".prose")).to_contain_text("tok5")
    await page.keyboard.press("Tab")
    await expect(chat.stop).to_be_focused()
    await page.keyboard.press("Space")
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")


# Parameters


async def test_the_accent_is_applied_and_stays_readable(page: Page, app: App) -> None:
    primary = "getComputedStyle(document.documentElement).getPropertyValue('--primary')"
    await opened(page, app.url, accent="#b4009e", theme="light")
    assert await page.evaluate(primary) == "rgb(180,0,158)"
    await opened(page, app.url, accent="B4009E", theme="dark")
    assert await page.evaluate("document.documentElement.className") == "dark"
    lighter = [int(value) for value in re.findall(r"\d+", await page.evaluate(primary))]
    assert all(one >= other for one, other in zip(lighter, (180, 0, 158), strict=True))
    await opened(page, app.url, accent="ff0", theme="light")
    darker = [int(value) for value in re.findall(r"\d+", await page.evaluate(primary))]
    assert max(darker) < 160


async def test_an_accent_that_is_no_colour_is_ignored(page: Page, app: App) -> None:
    for accent in ("red", "#12345", "url(//evil.example)", "#fff;background:red", "</style><script>", ""):
        await opened(page, app.url, accent=accent)
        assert await page.evaluate("document.documentElement.style.getPropertyValue('--primary')") == "", accent


async def test_a_greeting_is_text(page: Page, app: App) -> None:
    greeting = "<img src=x onerror=alert(1)><b>Hello</b> " + "x" * 500
    await opened(page, app.url, greeting=greeting)
    assert await page.get_by_role("heading", level=2).inner_text() == greeting[:200]
    await expect(page.locator("h2 *")).to_have_count(0)


async def test_the_pages_own_policy_refuses_foreign_scripts(page: Page, app: App) -> None:
    await opened(page, app.url)
    await page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.got = 1";
      document.body.append(script);
    }""")
    assert await page.evaluate("window.got") is None


# Where it cannot stream


@pytest.mark.everyday
async def test_without_response_body_it_takes_whole_replies(page: Page, app: App, provider: Provider) -> None:
    provider.clear()
    await page.add_init_script("delete Response.prototype.body")
    chat = await opened(page, app.url)
    await chat.ask(tokens=20, interval_ms=20)
    await expect(chat.connection).to_have_text(re.compile("Whole replies.*does not stream"))
    await expect(chat.status).to_have_text("Answer complete")
    assert await chat.text() == words(20)
    assert provider.completions() == 1
    assert len(await chat.stored()) == 2


# Each frame leaves when the page has read the one before, 200 ms ago by its clock: a busy machine may be late with all.
SELF_TEST_AT_ITS_PACE = """
() => {
  const reader = ReadableStreamDefaultReader.prototype;
  const { read } = reader;
  window.selfTested = new Promise((resolve) => {
    reader.read = async function () {
      await nextFrame();
      const piece = await read.call(this);
      if (piece.done) {
        reader.read = read;
        resolve();
      }
      return piece;
    };
  });
}
"""


# For the clock is the whole profile's.
@pytest.mark.new_profile
async def test_behind_a_proxy_that_holds_streams_back_it_takes_whole_replies(
    page: Page, app: App, proxy: Proxy, provider: Provider
) -> None:
    provider.clear()
    proxy.mode = "hold"
    chat = await opened(page, proxy.url)
    await page.clock.install()
    await chat.ask(tokens=100, hold=[50])
    # Longer than it waits for the first frame, and then for the one of a server that was slow.
    while not any(request.path == "/messages/" for request in proxy.requests):
        await page.clock.run_for(1000)
    await expect(chat.connection).to_have_text(re.compile("Whole replies.*holds streams back"))
    await expect(chat.status).to_have_text("Assistant is typing")
    await provider.until(bool)
    provider.go()
    await expect(chat.status).to_have_text("Answer complete")
    assert await chat.text() == words(100)
    assert provider.completions() == 1
    assert len(proxy.keys()) == 1
    # From now on at once, until the self test sees that streams get through again.
    proxy.mode = "step"
    await page.clock.pause_at(datetime.now() + timedelta(hours=1))

    async def next_frame() -> None:
        await page.clock.fast_forward(200)
        proxy.next_piece()

    await page.expose_function("nextFrame", next_frame)
    await page.evaluate(SELF_TEST_AT_ITS_PACE)
    await chat.ask(tokens=3)
    await expect(chat.answers.nth(1).locator(".prose")).to_have_text(words(3))
    await page.evaluate("selfTested")
    await expect(chat.connection).to_contain_text("Whole replies")
    await page.clock.resume()
    proxy.mode = "pass"
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.nth(2).locator(".prose")).to_contain_text("tok5")
    await expect(chat.connection).to_have_text("Live")
    await chat.stop.click()
    await expect(chat.status).to_have_text("Answer ended")
    assert len(proxy.keys()) == 3


async def test_behind_a_proxy_that_strips_streams_it_takes_whole_replies(
    page: Page, app: App, proxy: Proxy, provider: Provider
) -> None:
    provider.clear()
    proxy.mode = "strip"
    chat = await opened(page, proxy.url)
    await chat.ask(tokens=20)
    await expect(chat.connection).to_have_text(re.compile("Whole replies.*does not let streams through"))
    await expect(chat.status).to_have_text("Answer complete")
    assert await chat.text() == words(20)
    assert provider.completions() == 1


# A connection that breaks


async def test_it_goes_on_after_the_connection_was_cut(page: Page, app: App, proxy: Proxy, provider: Provider) -> None:
    provider.clear()
    chat = await opened(page, proxy.url)
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    proxy.cut()
    await proxy.until(lambda streams: len(streams) == 2)
    await more_shown(chat)
    proxy.down = True
    proxy.cut()
    await expect(chat.connection).to_have_text("Connection lost. Reconnecting …")
    await expect(chat.status).to_have_text("Connection lost. Reconnecting …")
    held = await chat.text()
    proxy.down = False
    await more_shown(chat)
    await chat.stop.click()
    await expect(chat.status).to_have_text("Answer ended")
    text = await chat.text()
    assert text == words(len(text.split())) == fold((await chat.stored())[-1]["content"])
    assert held.startswith(words(40)) and text.startswith(held)
    assert provider.completions() == 1
    first, *others = proxy.streams()
    assert first.method == "POST" and len(others) >= 2
    for other in others:
        assert other.method == "GET"
        turn, _, number = other.headers["last-event-id"].rpartition(":")
        assert other.path == f"/stream/{turn}" and int(number) > 0


# For the clock is the whole profile's.
@pytest.mark.new_profile
async def test_a_question_that_finds_nobody_comes_back(page: Page, app: App, proxy: Proxy) -> None:
    chat = await opened(page, proxy.url)
    # Without the pauses of half a minute between the attempts.
    await page.clock.install()
    proxy.down = True
    await chat.ask("Are you there?")
    await expect(chat.connection).to_have_text("Connection lost. Reconnecting …")
    while not await chat.error.count():
        await page.clock.run_for(1000)
    await expect(chat.error).to_contain_text("cannot be reached")
    await expect(chat.box).to_have_value("Are you there?")
    proxy.down = False
    await chat.box.press("Enter")
    await expect(chat.status).to_have_text("Answer complete")
    await expect(chat.questions).to_have_count(1)


async def test_a_character_split_over_two_network_chunks_is_one(
    page: Page, app: App, proxy: Proxy, provider: Provider
) -> None:
    text = "Grüße 👋🏽 aus 漢字 und 👩‍👩‍👧 – fertig"
    proxy.mode = "raw"
    chat = await opened(page, proxy.url)
    # In one lump it would be taken for an answer that was held back.
    await chat.ask(text=text, interval_ms=20, hold=[2])
    await expect(chat.answers.locator(".prose")).to_contain_text("Grüße")
    provider.go()
    await expect(chat.status).to_have_text("Answer complete")
    assert await chat.text() == text
    await expect(chat.connection).to_have_text("Live")


# Someone else's page


async def test_the_script_tag_puts_the_chat_into_a_page(page: Page, app: App, sites: Sites) -> None:
    await page.goto(sites.friend)
    frame = page.locator("iframe[title='Ask the baker']")
    await expect(frame).to_have_css("width", "400px")
    await expect(frame).to_have_css("height", "500px")
    # It is where the tag is.
    assert await frame.evaluate("frame => frame.previousElementSibling.tagName") == "SCRIPT"
    chat = EmbedPage(page.frame_locator("iframe"))
    await expect(chat.root.get_by_role("heading", level=2)).to_have_text("What would you like to know about our bread?")
    await chat.ask(tokens=30, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok29")
    await expect(chat.status).to_have_text("Answer complete")
    assert await chat.text() == words(30)
    await chat.box.fill("And cakes?")
    await expect(chat.send).to_have_css("background-color", "rgb(180, 0, 158)")


@pytest.mark.parametrize("path", ["/module", "/imported", "/policy", "/policy-module", "/sandboxed"])
async def test_it_comes_as_a_module_under_a_policy_and_in_a_sandbox(
    path: str, page: Page, app: App, sites: Sites
) -> None:
    await page.goto(f"{sites.friend}{path}")
    host = page.frame_locator("iframe[title='Page']") if path == "/sandboxed" else page
    chat = EmbedPage(host.frame_locator("iframe[title='Chat']"))
    await expect(chat.root.locator("html")).to_have_class("dark")
    await chat.ask(text="Fresh bread")
    await expect(await chat.ended()).to_contain_text("Fresh bread")
    # One chat, and where its element is.
    frames = host.locator("iframe[title='Chat']")
    await expect(frames).to_have_count(1)
    place = "frame => (frame.previousElementSibling ?? frame.parentElement).tagName"
    assert await frames.evaluate(place) == ("DIV" if path == "/imported" else "SCRIPT")


@pytest.mark.parametrize(("path", "said"), [("/policy-without-frames", "frame-src"), ("/nowhere", "origin 'null'")])
async def test_what_a_host_must_allow_is_named_where_it_does_not(
    path: str, said: str, page: Page, app: App, sites: Sites
) -> None:
    async with page.expect_console_message(lambda message: said in message.text):
        await page.goto(f"{sites.friend}{path}")


async def test_a_page_that_is_not_allowed_cannot_frame_it(
    page: Page, app: App, sites: Sites, provider: Provider
) -> None:
    provider.clear()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    async with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
        await page.goto(sites.stranger)
    await expect(page.locator("iframe")).to_be_visible()
    await expect(EmbedPage(page.frame_locator("iframe")).box).to_have_count(0)
    assert provider.requests() == []


CROSS_ORIGIN = """
async ([app, content, options]) => {
  const seen = {statuses: [], headers: null};
  window.statuses = seen.statuses;
  try {
    const { createStream } = await import(app + "/use-stream.js");
    const fetchIt = async (...request) => {
      const response = await fetch(...request);
      const names = ["X-Turn-Id", "X-Chat-Id", "X-Message-Id", "X-Stream-Version"];
      seen.headers ??= Object.fromEntries(names.map((name) => [name, response.headers.get(name)]));
      return response;
    };
    const chat = window.chat = createStream({ baseUrl: app, fetch: fetchIt, ...options });
    chat.subscribe(() => seen.statuses.push(chat.getState().status));
    const reply = await chat.send(content);
    return {...seen, reply, mode: chat.getState().mode};
  } catch (error) {
    return {...seen, failed: String(error)};
  }
}
"""


async def ask_across(page: Page, url: str, **options: Any) -> None:
    """Begin an answer that does not end by itself."""
    asked = f"(given) => {{ window.answer = ({CROSS_ORIGIN.strip()})(given); }}"
    await page.evaluate(asked, [url, script(tokens=-1, interval_ms=20), options])


async def stopped_across(page: Page, app: App) -> dict[str, Any]:
    """What came of it; its text is the stored one."""
    await page.evaluate("chat.stop()")
    found: dict[str, Any] = await page.evaluate("answer")
    params = {"chat_id": found["headers"]["X-Chat-Id"]}
    stored = app.http.get("/messages/", params=params).raise_for_status().json()["messages"]
    text = fold(found["reply"]["content"])
    assert text == words(len(text.split())) == fold(stored[-1]["content"]), found
    return found


async def test_the_hooks_core_works_from_an_allowed_page_of_another_origin(page: Page, app: App, sites: Sites) -> None:
    await page.goto(sites.friend)
    await ask_across(page, app.url, headers={"X-Session-Id": "me"})
    await page.wait_for_function("statuses.filter((status) => status === 'streaming').length >= 5")
    found = await stopped_across(page, app)
    assert found["mode"] == "stream", found
    assert found["headers"]["X-Turn-Id"] == found["reply"]["id"]
    assert all(found["headers"].values())
    # What the browser asked before, asked once more: it shows its preflights to nobody.
    asked = {
        "Origin": sites.friend,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,idempotency-key,last-event-id,x-session-id",
    }
    answer = app.http.options("/stream/", headers=asked)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == sites.friend
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].lower().split(",")}
    assert {"content-type", "idempotency-key", "last-event-id", "x-session-id"} <= allowed


async def test_it_resumes_across_origins(page: Page, app: App, sites: Sites, provider: Provider) -> None:
    provider.clear()
    async with Proxy(app.port) as proxy:
        await page.goto(sites.friend)
        await ask_across(page, proxy.url)
        await page.wait_for_function("statuses.includes('streaming')")
        proxy.cut()
        await page.wait_for_function("statuses.slice(statuses.lastIndexOf('reconnecting')).length >= 5")
        await stopped_across(page, app)
        assert any(one.method == "GET" and "last-event-id" in one.headers for one in proxy.streams())
    assert provider.completions() == 1


async def test_a_page_that_is_not_allowed_gets_nothing(page: Page, app: App, sites: Sites, provider: Provider) -> None:
    provider.clear()
    await page.goto(sites.stranger)
    found = await page.evaluate(CROSS_ORIGIN, [app.url, "Hi", {}])
    assert "failed" in found, json.dumps(found)
    asked = """
      url => fetch(url, {method: "POST", headers: {"Idempotency-Key": "k"}, body: '{"content": "Hi"}'})
        .then(() => "done", () => "failed")
    """
    for path in ("/stream/?ids=1", "/messages/"):
        assert await page.evaluate(asked, app.url + path) == "failed"
    assert provider.requests() == []
