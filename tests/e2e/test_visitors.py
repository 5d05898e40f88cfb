"""Visitors of the chat in other people's pages, in a real browser: the app, and two sites that it is embedded in, are
three sites, so cookies and storage of its frames are partitioned as browsers do it."""

import time
from collections.abc import AsyncIterator, Iterator
from html import escape
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from chat_app.people.visitors import user_signature
from tests.app import App
from tests.beside import serving
from tests.e2e.conftest import new_profile
from tests.e2e.embed import EmbedPage
from tests.e2e.test_kept import BLOCKED
from tests.forked import ForkedApp
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio

SECRET = "between the bakery and the chat: 7f3a"


class Site(BaseHTTPRequestHandler):
    """A page with the chat in it, for whomever its address names."""

    app_url = ""

    def do_GET(self) -> None:
        given = "".join(f' data-{key}="{escape(value)}"' for key, value in parse_qsl(urlsplit(self.path).query))
        tag = f'<script src="{self.app_url}/embed-loader.js" data-greeting="Hello"{given}></script>'
        body = f"<!doctype html><title>Bread</title>{tag}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Sites:
    """Three by their names, on one server; the app lets the first two in."""

    def __init__(self, port: int) -> None:
        self.bread, self.cake, self.stranger = (
            f"http://{name}.localhost:{port}" for name in ("bread", "cake", "stranger")
        )


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    with serving(Site) as port:
        yield Sites(port)


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with ForkedApp(
        tmp_path_factory.mktemp("visitors"),
        openai_base_url=provider.base_url,
        openai_model="bench",
        auth="password",
        visitors="true",
        embed_secret=SECRET,
        cors_allowed_origins=f"{sites.bread},{sites.cake}",
    ) as app:
        Site.app_url = app.url
        yield app


@pytest.fixture
async def second(browser: Browser) -> AsyncIterator[Page]:
    """Another browser's."""
    context = await new_profile(browser)
    yield await context.new_page()
    await context.close()


def named(user: str, expires_in: int = 600) -> str:
    """In the address of a page, as its server knows who has signed in there."""
    until = str(round(time.time()) + expires_in)
    return f"?user={user}&expires={until}&signature={user_signature(SECRET.encode(), user, until)}"


async def chat_in(page: Page, address: str) -> EmbedPage:
    await page.goto(address)
    chat = EmbedPage(page.frame_locator("iframe"))
    await expect(chat.box).to_be_visible()
    return chat


async def test_each_browser_sees_its_own_chats_on_each_site(page: Page, second: Page, app: App, sites: Sites) -> None:
    chat = await chat_in(page, sites.bread)
    other = await chat_in(second, sites.bread)
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    # A reload in mid-answer goes on, as the same visitor.
    await page.reload()
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    await other.ask(text="Fresh bread")
    await expect(await other.ended()).to_contain_text("Fresh bread")
    frames = [next(frame for frame in one.frames if "/embed" in frame.url) for one in (page, second)]
    chat_id = await frames[0].evaluate("sessionStorage.getItem('embed:chat')")
    tokens = [await frame.evaluate("localStorage.getItem('embed:visitor')") for frame in frames]
    assert tokens[0] and tokens[1] and tokens[0] != tokens[1]
    statuses = [
        (await app_status(app, f"/messages/?chat_id={chat_id}", token)) for token in (*tokens, "visitor_x", None)
    ]
    assert statuses == [200, 404, 401, 401]
    # On another site the browser keeps another storage, and is another visitor.
    chat = await chat_in(page, sites.cake)
    frame = next(frame for frame in page.frames if "/embed" in frame.url)
    # Who only looks at the page is nobody yet.
    assert await frame.evaluate("localStorage.getItem('embed:visitor')") is None
    await chat.ask(text="Cakes")
    await expect(await chat.ended()).to_contain_text("Cakes")
    assert await frame.evaluate("localStorage.getItem('embed:visitor')") not in tokens


async def app_status(app: App, path: str, token: str | None) -> int:
    async with app.client() as client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return (await client.get(path, headers=headers)).status_code


async def test_a_user_whom_the_page_names_comes_back_in_another_browser(
    page: Page, second: Page, app: App, sites: Sites
) -> None:
    chat = await chat_in(page, sites.bread + named("42"))
    await chat.ask(text="Fresh bread")
    await expect(await chat.ended()).to_contain_text("Fresh bread")
    await chat.box.fill("What I type is mine")
    other = await chat_in(second, sites.cake + named("42"))
    await expect(other.answers).to_contain_text("Fresh bread")
    # The next one in the same tab sees nothing of it, and neither does who is not named.
    for address in (sites.bread + named("43"), sites.bread):
        chat = await chat_in(page, address)
        await expect(chat.root.get_by_role("heading", level=2)).to_have_text("Hello")
        await expect(chat.box).to_have_value("")
    chat = await chat_in(page, sites.bread + named("42"))
    await expect(chat.answers).to_contain_text("Fresh bread")
    await expect(chat.box).to_have_value("What I type is mine")
    # A new chat stays one.
    await chat.root.get_by_role("button", name="New chat").click()
    await page.reload()
    await expect(chat.root.get_by_role("heading", level=2)).to_have_text("Hello")
    # A page that was kept too long says so.
    chat = await chat_in(page, sites.bread + named("42", expires_in=-1))
    await chat.ask("Hello?")
    await expect(chat.error).to_contain_text("too old to say who you are. Load it again.")
    await expect(chat.box).to_have_value("Hello?")


@pytest.mark.new_profile
async def test_with_blocked_site_data_the_chat_lasts_as_long_as_the_page(page: Page, app: App, sites: Sites) -> None:
    await page.add_init_script(BLOCKED)
    chat = await chat_in(page, sites.bread)
    for count in (1, 2):
        await chat.ask(text="Fresh bread")
        await expect(await chat.ended()).to_contain_text("Fresh bread")
        await expect(chat.questions).to_have_count(count)


ASK_FROM_THE_PAGE = """
async ([app, content]) => {
  const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
  const { token } = await (await fetch(app + "/embed/visitor", asked)).json();
  const headers = { ...asked.headers, Authorization: `Bearer ${token}` };
  const post = await fetch(app + "/messages/", { ...asked, headers, body: JSON.stringify({ content }) });
  const socket = new WebSocket(app.replace("http", "ws") + "/stream/ws", ["rill", "bearer." + token]);
  await new Promise((done, fail) => Object.assign(socket, { onopen: done, onerror: fail }));
  const answered = new Promise((done) => {
    let text = "";
    socket.onmessage = ({ data }) => {
      const object = JSON.parse(data);
      if (object.role === "assistant") text += object.delta;
      if (object.finish_reason) done(text);
    };
  });
  socket.send(JSON.stringify({ content }));
  const said = await answered;
  socket.close();
  return [(await post.json()).content, said];
}
"""
REFUSED = """
async (app) => {
  const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
  const fetched = await fetch(app + "/embed/visitor", asked).then(() => "in", () => "refused");
  const socket = new WebSocket(app.replace("http", "ws") + "/stream/ws", ["rill", "bearer.visitor_x"]);
  return [fetched, await new Promise((done) => {
    Object.assign(socket, { onopen: () => done("in"), onerror: () => done("refused") });
  })];
}
"""


async def test_a_page_that_is_let_in_may_ask_by_itself_and_another_may_not(page: Page, app: App, sites: Sites) -> None:
    await page.goto(sites.bread)
    said = script(text="Fresh bread")
    assert await page.evaluate(ASK_FROM_THE_PAGE, [app.url, said]) == ["Fresh bread"] * 2
    async with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
        await page.goto(sites.stranger)
    assert await page.evaluate(REFUSED, app.url) == ["refused", "refused"]
    # Nor may a page that may embed the chat frame the app's own.
    await page.goto(sites.bread)
    async with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
        await page.evaluate(
            "(app) => document.body.append(Object.assign(document.createElement('iframe'), { src: app }))", app.url
        )
