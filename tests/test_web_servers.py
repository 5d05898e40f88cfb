"""Behind nginx and Caddy, set up with the lines of docs/deploying.md: the page, both streams, and an import."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from chat_app.api.guard import IMPORT_PATH
from tests import web_servers
from tests.app import App
from tests.e2e.chat import ChatPage
from tests.forked import ForkedApp
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HELD = script(tokens=3, hold=[1])
IMPORT_BYTES = 32_000_000
SELFTEST = """
async () => {
  const reader = (await fetch("/stream/selftest")).body.pipeThrough(new TextDecoderStream()).getReader();
  let first, text = "";
  for (let part; !(part = await reader.read()).done; text += part.value) first ??= Date.now();
  return [first, text];
}
"""
# Both read up to the first token, and put the rest aside.
OPEN_STREAM = """
async (content) => {
  const response = await fetch("/stream/", { method: "POST", body: JSON.stringify({ content }) });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("tok0")) text += (await reader.read()).value;
  window.rest = async () => {
    for (let part; !(part = await reader.read()).done; text += part.value);
    return text;
  };
}
"""
OPEN_SOCKET = """
(content) => new Promise((begun, failed) => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/stream/ws");
  let text = "";
  socket.onopen = () => socket.send(JSON.stringify({ content }));
  socket.onerror = failed;
  window.rest = () => new Promise((done) => {
    socket.onmessage = ({ data }) => {
      text += data;
      if (data.includes("finish_reason")) done(text);
    };
  });
  socket.onmessage = ({ data }) => {
    text += data;
    if (data.includes("tok0")) begun();
  };
})
"""
IMPORT = """
async ([path, bytes]) => {
  const head = '{"version": 1, "chat": {"title": "Large"}, "messages": [';
  const tail = '{"id": "1", "role": "user", "content": "Hi"}]}';
  const body = head + " ".repeat(bytes - head.length - tail.length) + tail;
  const response = await fetch(path, { method: "POST", body });
  return [response.status, await response.text()];
}
"""


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    settings = {
        "openai_base_url": provider.base_url,
        "openai_model": "bench",
        "allowed_hosts": web_servers.HOST,
        "auth": "none",
    }
    with ForkedApp(tmp_path_factory.mktemp("app"), **settings) as app:
        yield app


@pytest.fixture(params=[web_servers.nginx, web_servers.caddy])
def address(request: pytest.FixtureRequest, app: App, tmp_path: Path) -> Iterator[str]:
    server: Callable[[Path, int], AbstractContextManager[str]] = request.param
    with server(tmp_path, app.port) as address:
        yield address


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page(ignore_https_errors=True)
    yield page
    await page.close()


def test_nginx_takes_the_lines_as_they_are(tmp_path: Path) -> None:
    text = web_servers.lines("nginx")
    if os.geteuid():
        # Only root may listen there.
        text = text.replace("listen 80;", "listen 8080;")
    assert "test is successful" in web_servers.nginx_accepts(tmp_path, text)


async def test_all_works_behind_it(address: str, page: Page, app: App, provider: Provider) -> None:
    chat = ChatPage(page, app)
    await page.goto(address)
    await expect(page.locator(".model-name")).not_to_be_empty()

    await chat.box.fill(HELD)
    await chat.box.press("Enter")
    await expect(chat.answers.last).to_contain_text("tok0")
    provider.go()
    await expect(chat.answers.last).to_contain_text("tok2")

    first, text = await page.evaluate(SELFTEST)
    frames = [json.loads(line) for line in text.replace("data:", "").split("\n\n") if line.startswith("{")]
    assert first < frames[-1]["sent_ms"], "the frames came in one lump"

    for name, opening in (("stream", OPEN_STREAM), ("socket", OPEN_SOCKET)):
        await page.evaluate(opening, f"{name}\n{HELD}")
        rest = page.evaluate("() => window.rest()")
        # By name: the title of the chat before may be asked for just now.
        provider.go(name)
        assert "tok2" in await rest

    status, answer = await page.evaluate(IMPORT, [IMPORT_PATH, IMPORT_BYTES])
    assert status == 201, answer
