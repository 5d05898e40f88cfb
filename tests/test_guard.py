"""Who may talk to the app: nobody's page but its own, unless the operator says so. Over real connections, and in a
real browser from a page of another origin."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.app import App
from tests.beside import serving
from tests.chromium import REBOUND
from tests.forked import ForkedApp
from tests.provider_client import Provider, script
from tests.ws_client import Refused, Socket

pytestmark = pytest.mark.anyio

FRIEND = "https://friend.example"
EXPOSED = {"x-stream-version", "x-turn-id", "x-chat-id", "x-message-id", "retry-after"}
FOREIGN_ORIGINS = [
    FRIEND,
    "null",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost:1",
    "http://{netloc}.evil.example",
    "http://evil.example/{netloc}",
    "http://{netloc}@evil.example",
    "http://[",
    "evil",
]
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil@",
    "[",
]
SOCKETS = ["/stream/ws", "/_event/?EIO=4&transport=websocket"]
"""Ours, and the one of Reflex that the page uses."""


@pytest.fixture
async def client(app: App, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    provider.clear()
    async with app.client() as client:
        yield client


@pytest.fixture(scope="module")
def open_app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that lets a friend's pages in."""
    settings = {
        "openai_base_url": provider.base_url,
        "cors_allowed_origins": FRIEND,
        "allowed_hosts": "chat.example",
        "auth": "none",
    }
    with ForkedApp(tmp_path_factory.mktemp("open"), **settings) as app:
        yield app


@pytest.fixture
async def friendly(open_app: App, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    provider.clear()
    async with open_app.client() as client:
        yield client


def named(pattern: str, app: App) -> str:
    return pattern.format(netloc=f"127.0.0.1:{app.port}", port=app.port)


def refused(response: httpx.Response) -> None:
    assert response.status_code == 403
    error = response.json()["error"]
    assert (error["code"], error["retryable"]) == ("forbidden", False)
    assert "access-control-allow-origin" not in response.headers


def secure(response: httpx.Response) -> bool:
    """Whether the headers that browsers need are there."""
    headers = response.headers
    return (
        headers["x-content-type-options"] == "nosniff"
        and headers["referrer-policy"] == "same-origin"
        and "frame-ancestors 'self'" in headers["content-security-policy"]
        and "img-src 'self' data: blob:;" in headers["content-security-policy"]
    )


async def opens(app: App, path: str, *, host: str | None = None, **headers: str) -> bool:
    """Whether a websocket opens there; it must be refused with 403 if it does not."""
    try:
        async with Socket(app.url.replace("http", "ws", 1) + path, host=host, **headers):
            return True
    except Refused as refusal:
        assert refusal.status == 403
        return False


def preflight(origin: str) -> dict[str, str]:
    """The headers of a browser's question before it sends JSON with a key."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,idempotency-key",
    }


# Origins


@pytest.mark.parametrize("pattern", FOREIGN_ORIGINS)
async def test_a_foreign_origin_is_refused(
    pattern: str, client: httpx.AsyncClient, app: App, provider: Provider
) -> None:
    origin = {"Origin": named(pattern, app)}
    for path in ("/", "/chats/", "/stream/selftest", "/openapi.json", "/ping"):
        refused(await client.get(path, headers=origin))
    for path in ("/messages/", "/stream/", "/stream", "/chats/"):
        refused(await client.post(path, json={"content": "Hi"}, headers=origin))
    # What a page may send without a preflight.
    refused(
        await client.post("/messages/", content=b'{"content": "Hi"}', headers=origin | {"Content-Type": "text/plain"})
    )
    assert provider.requests() == []
    response = await client.options("/messages/", headers=preflight(named(pattern, app)))
    assert not response.is_success
    assert "access-control-allow-origin" not in response.headers
    for path in SOCKETS:
        assert not await opens(app, path, Origin=named(pattern, app))


async def test_our_own_page_and_programs_are_let_in(client: httpx.AsyncClient, app: App) -> None:
    own = {"Origin": app.url}
    assert (await client.get("/", headers=own)).is_success
    assert (await client.get("/chats/")).is_success
    for headers in (own, {}):
        reply = await client.post("/messages/", json={"content": script(tokens=1)}, headers=headers)
        assert reply.json()["content"] == "tok0 "
    for path in SOCKETS:
        assert await opens(app, path, Origin=app.url)
        assert await opens(app, path)


async def test_the_page_under_another_of_its_names_is_let_in(client: httpx.AsyncClient, app: App) -> None:
    for host in (f"localhost:{app.port}", f"192.168.7.7:{app.port}", f"[::1]:{app.port}"):
        for scheme in ("http", "https"):  # a proxy in front may speak TLS
            headers = {"Host": host, "Origin": f"{scheme}://{host}"}
            assert (await client.get("/chats/", headers=headers)).is_success
            for path in SOCKETS:
                assert await opens(app, path, host=host, Origin=f"{scheme}://{host}")


SAME = [
    ("chat.example", "http://chat.example:80"),
    ("chat.example:80", "http://chat.example"),
    ("chat.example:443", "https://chat.example"),
    ("chat.example", "https://chat.example:443"),
    ("chat.example:", "http://chat.example"),
    ("Chat.Example", "https://chat.EXAMPLE"),
    ("chat.example.", "http://chat.example"),
    ("chat.example.:8080", "HTTP://chat.example:8080"),
    ("[::1]:80", "http://[::1]"),
    ("[::1]:443", "https://[0:0:0:0:0:0:0:1]"),
    ("[FE80::1]", "http://[fe80::1]:80"),
    ("192.168.7.7:443", "https://192.168.7.7"),
]
NOT_THE_SAME = [
    ("chat.example:80", "https://chat.example"),
    ("chat.example:443", "http://chat.example"),
    ("chat.example", "http://chat.example:443"),
    ("chat.example:8080", "http://chat.example"),
    ("chat.example", "ftp://chat.example"),
    ("chat.example", "http://chat.example:80@evil.example"),
    ("chat.example", "http://chat.example:800000"),
    ("chat.example", "http://chat.example.."),
    ("[::1]", "http://[::2]"),
    ("192.168.7.7", "http://192.168.7.70"),
]


async def test_spellings_of_a_host_are_one(friendly: httpx.AsyncClient, open_app: App) -> None:
    for host, origin in SAME:
        headers = {"Host": host, "Origin": origin}
        assert (await friendly.get("/chats/", headers=headers)).is_success, headers
        for path in SOCKETS:
            assert await opens(open_app, path, host=host, Origin=origin), headers
    for host, origin in NOT_THE_SAME:
        refused(await friendly.get("/chats/", headers={"Host": host, "Origin": origin}))
        for path in SOCKETS:
            assert not await opens(open_app, path, host=host, Origin=origin)


async def test_files_of_the_page_come_whatever_the_origin(client: httpx.AsyncClient) -> None:
    """A proxy that hides the port would otherwise make a page that is dead and cannot say why."""
    page = (await client.get("/")).text
    scripts = set(re.findall(r"/assets/[^\"']+\.js", page))
    assert scripts
    for path in (*scripts, "/chat.css", "/use-stream.js", "/favicon.svg"):
        assert (await client.get(path, headers={"Origin": FRIEND})).is_success
        refused(await client.get(path, headers={"Host": "evil.example"}))
        refused(await client.post(path, headers={"Origin": FRIEND}))


# Hosts


@pytest.mark.parametrize("pattern", FOREIGN_HOSTS)
async def test_a_foreign_host_is_refused(pattern: str, client: httpx.AsyncClient, app: App, provider: Provider) -> None:
    host = named(pattern, app)
    # A rebinding page is of the same origin as what it asks.
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
        for path in ("/", "/chats/"):
            refused(await client.get(path, headers=headers))
        refused(await client.post("/messages/", json={"content": "Hi"}, headers=headers))
    assert provider.requests() == []
    for path in SOCKETS:
        assert not await opens(app, path, host=host)
        assert not await opens(app, path, host=host, Origin=f"http://{host}")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3:8000", "[::1]", "[2001:db8::1]:80", "localhost", "LOCALHOST:1"]
)
async def test_an_address_or_localhost_is_a_host_of_ours(host: str, client: httpx.AsyncClient, app: App) -> None:
    assert (await client.get("/chats/", headers={"Host": host})).is_success
    for path in SOCKETS:
        assert await opens(app, path, host=host)


async def test_a_host_that_was_allowed(friendly: httpx.AsyncClient, open_app: App) -> None:
    headers = {"Host": "chat.example", "Origin": "https://chat.example"}
    assert (await friendly.get("/chats/", headers=headers)).is_success
    for path in SOCKETS:
        assert await opens(open_app, path, host="chat.example", Origin="https://chat.example")
    refused(await friendly.get("/chats/", headers={"Host": "other.example"}))


# An origin that was allowed


async def test_an_allowed_origin_may_use_the_api(friendly: httpx.AsyncClient, open_app: App) -> None:
    body, origin = {"content": script(tokens=2)}, {"Origin": FRIEND}
    for response in (
        await friendly.post("/stream/", json=body, headers=origin),
        await friendly.post("/messages/", json=body, headers=origin),
        await friendly.get("/chats/", headers=origin),
        await friendly.get("/stream/nothing", headers=origin),
    ):
        assert response.status_code in (200, 404)
        assert response.headers["access-control-allow-origin"] == FRIEND
        exposed = response.headers["access-control-expose-headers"].lower()
        assert {name.strip() for name in exposed.split(",")} == EXPOSED
        assert "origin" in response.headers["vary"].lower()
        assert secure(response)
        assert FRIEND not in response.headers["content-security-policy"]
    for path in SOCKETS:
        assert await opens(open_app, path, Origin=FRIEND)


@pytest.mark.parametrize(("path", "framed"), [("/embed", True), ("/embed/", True), ("/", False), ("/docs", False)])
async def test_asvs_3_4_6_friends_may_frame_the_chat_to_embed_and_nothing_else(
    path: str, framed: bool, friendly: httpx.AsyncClient
) -> None:
    policy = (await friendly.get(path)).headers["content-security-policy"]
    frames = next(part for part in policy.split("; ") if part.startswith("frame-ancestors"))
    assert frames == ("frame-ancestors 'self' " + FRIEND if framed else "frame-ancestors 'self'")


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_an_allowed_origin_gets_its_preflight(method: str, friendly: httpx.AsyncClient) -> None:
    asked = preflight(FRIEND) | {"Access-Control-Request-Method": method}
    response = await friendly.options("/messages/", headers=asked)
    assert response.is_success
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert method in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert {"content-type", "idempotency-key"} <= {name.strip() for name in allowed.split(",")}


@pytest.mark.parametrize(
    "origin", ["https://friend.example.evil.example", "http://friend.example", "https://friend", "null"]
)
async def test_one_friend_opens_the_door_to_no_other(origin: str, friendly: httpx.AsyncClient, open_app: App) -> None:
    refused(await friendly.get("/chats/", headers={"Origin": origin}))
    refused(await friendly.post("/messages/", json={"content": "Hi"}, headers={"Origin": origin}))
    response = await friendly.options("/messages/", headers=preflight(origin))
    assert not response.is_success and "access-control-allow-origin" not in response.headers
    for path in SOCKETS:
        assert not await opens(open_app, path, Origin=origin)


# Headers


async def test_the_security_headers_are_everywhere(client: httpx.AsyncClient) -> None:
    for response in (
        await client.get("/"),
        await client.get("/chats/"),
        await client.get("/chats/nothing"),
        await client.post("/stream/", json={"content": script(tokens=1)}),
        await client.post("/messages/", content=b"x" * 2**20),
        await client.get("/chats/", headers={"Origin": FRIEND}),
        await client.get("/", headers={"Host": "evil.example"}),
    ):
        assert secure(response)
        assert FRIEND not in response.headers["content-security-policy"]


@pytest.mark.parametrize("hosts", [["127.0.0.1"] * 2, ["localhost", "evil.example"], ["[localhost]"], ["[evil]:80"]])
async def test_a_request_that_does_not_say_its_host_is_400(hosts: list[str], app: App) -> None:
    for path in ("/", "/chats/", "/chat.css"):
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close"]
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        response = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        assert response.startswith("HTTP/1.1 400 ") and '"code":"bad_host"' in response


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
async def test_a_page_of_another_site_loads_nothing_where_no_origin_is_named(
    where: str, client: httpx.AsyncClient
) -> None:
    """As a picture or a script; a link leads here, and a program says nothing of the kind."""
    for path in ("/chats/", "/stream/selftest", "/", "/openapi.json"):
        refused(await client.get(path, headers={"Sec-Fetch-Site": where, "Sec-Fetch-Mode": "no-cors"}))
    for path in ("/", "/c/0199", "/embed"):
        assert (await client.get(path, headers={"Sec-Fetch-Site": where, "Sec-Fetch-Mode": "navigate"})).is_success
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert (await client.get("/chats/", headers=headers | {"Sec-Fetch-Mode": "cors"})).is_success
    assert (await client.get("/embed-loader.js", headers={"Sec-Fetch-Site": where})).is_success


async def test_behind_tls_the_scheme_counts(friendly: httpx.AsyncClient) -> None:
    behind = {"Host": "chat.example", "X-Forwarded-Proto": "https"}
    assert (await friendly.get("/chats/", headers=behind | {"Origin": "https://chat.example"})).is_success
    refused(await friendly.get("/chats/", headers=behind | {"Origin": "http://chat.example"}))
    assert (await friendly.get("/chats/", headers=behind | {"Origin": FRIEND})).is_success


@pytest.mark.parametrize("path", ["/", "/c/0199", "/embed", "/nonsense", "/chats/", "/docs"])
async def test_what_a_page_may_do_is_said_with_every_response(path: str, client: httpx.AsyncClient) -> None:
    response = await client.get(path, headers={"Accept": "text/html"})
    rules = [rule.split() for rule in response.headers["content-security-policy"].split(";")]
    policy = {name: values for name, *values in rules}
    assert policy["connect-src"] == ["'self'"]
    assert policy["object-src"] == policy["base-uri"] == ["'none'"]
    assert {"form-action", "frame-src", "worker-src"} <= policy.keys()
    assert ("'unsafe-inline'" in policy["script-src"]) == (path == "/docs")
    assert ("'unsafe-eval'" in policy["script-src"]) == (path not in ("/embed", "/docs"))
    assert response.headers["x-dns-prefetch-control"] == "off"


# A real browser


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/c/0199", "/embed", "/docs"])
async def test_nothing_of_our_own_pages_is_against_their_policy(path: str, page: Page, app: App) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(app.url + path)
    # By then its scripts have run.
    await expect(page.locator("body")).to_contain_text(re.compile(".{20}", re.DOTALL))
    await page.wait_for_load_state("networkidle")
    assert not [text for text in said if "Content Security Policy" in text]
    assert await page.evaluate(
        "() => new Promise(done => { addEventListener('securitypolicyviolation', () => done(true)); "
        "const script = document.createElement('script'); script.textContent = 'window.ran = true'; "
        "document.body.append(script); if (window.ran) done(false); })"
    ) is (path != "/docs")


class EmptyPage(BaseHTTPRequestHandler):
    """A page with nothing on it; what it tries is put in by the test."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>Somewhere else</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of a page of another origin."""
    with serving(EmptyPage) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page()
    yield page
    await page.close()


ATTEMPTS = """
async ([app, sockets]) => {
  const tried = promise => promise.then(() => "done", () => "failed");
  const json = JSON.stringify({content: "Hi"});
  const asked = (path, options) => tried(fetch(app + path, options).then(response => response.text()));
  const opened = path => new Promise((done, failed) => {
    const socket = new WebSocket(app.replace("http", "ws") + path);
    socket.onopen = () => {
      if (path === "/stream/ws") socket.send(json);
      socket.onmessage = done;
    };
    socket.onerror = failed;
  });
  return {
    read: await asked("/chats/"),
    credentials: await asked("/chats/", {credentials: "include"}),
    simple: await asked("/messages/", {method: "POST", body: json}),
    json: await asked("/messages/", {method: "POST", body: json, headers: {"Content-Type": "application/json"}}),
    stream: await asked("/stream/", {method: "POST", body: json}),
    sockets: await Promise.all(sockets.map(path => tried(opened(path)))),
  };
}
"""


async def attempts(page: Page, app: App) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(ATTEMPTS, [app.url, SOCKETS])
    return found


@pytest.mark.slow
async def test_a_page_of_another_origin_gets_nowhere(
    page: Page, elsewhere: str, client: httpx.AsyncClient, app: App, provider: Provider
) -> None:
    before = (await client.get("/chats/")).json()["chats"]
    await page.goto(elsewhere)
    outcome = await attempts(page, app)
    # Nobody reads the answer to this one, so that it counts what it does.
    await page.evaluate(
        "url => fetch(url, {method: 'POST', mode: 'no-cors', body: JSON.stringify({content: 'Hi'})})",
        app.url + "/messages/",
    )
    assert outcome == dict.fromkeys(["read", "credentials", "simple", "json", "stream"], "failed") | {
        "sockets": ["failed", "failed"]
    }
    assert provider.requests() == []
    assert (await client.get("/chats/")).json()["chats"] == before


@pytest.mark.slow
async def test_a_page_of_our_own_origin_gets_everywhere(
    page: Page, client: httpx.AsyncClient, app: App, provider: Provider
) -> None:
    """The same attempts, so that the test above fails for the right reason."""
    await page.goto(app.url + "/ping")
    outcome = await attempts(page, app)
    assert outcome == dict.fromkeys(["read", "credentials", "simple", "json", "stream"], "done") | {
        "sockets": ["done", "done"]
    }
    # Three over HTTP and one over a socket.
    await provider.until(lambda seen: len(seen) == 4 and all(one["finished"] for one in seen))


@pytest.mark.slow
async def test_a_name_that_was_rebound_gets_nowhere(
    page: Page, client: httpx.AsyncClient, app: App, provider: Provider
) -> None:
    response = await page.goto(f"http://{REBOUND}:{app.port}/chats/")
    assert response and response.status == 403
    asked = "() => fetch('/messages/', {method: 'POST', body: JSON.stringify({content: 'Hi'})}).then(got => got.status)"
    assert await page.evaluate(asked) == 403
    assert provider.requests() == []


@pytest.mark.slow
async def test_a_page_of_another_origin_cannot_frame_the_app(page: Page, elsewhere: str, app: App) -> None:
    await page.goto(elsewhere)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    async with page.expect_event("console"):
        await page.evaluate("url => { document.body.innerHTML = `<iframe src='${url}'></iframe>`; }", app.url)
    assert any("frame-ancestors" in text for text in errors), json.dumps(errors)
