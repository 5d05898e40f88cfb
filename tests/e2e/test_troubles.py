"""The table of troubles in docs/deploying.md: what a person, a program and the log see of each, over the whole app with
a real PostgreSQL."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.app import free_port
from tests.e2e.chat import ChatPage
from tests.forked import ForkedApp
from tests.postgres import Postgres
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio

LIMIT_S = 3.0
"""Neither a database nor a model that is only busy takes so long."""
PASSWORD = "page-secret"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL that is stopped and frozen."""
    with Postgres(free_port(), "-c", "synchronous_commit=on") as server:
        asyncio.run(server.execute(f"CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'"))
        asyncio.run(server.execute("CREATE DATABASE rill OWNER owner"))
        yield server


@pytest.fixture(scope="module")
def troubled(
    page_built: None, server: Postgres, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForkedApp]:
    settings = {
        "database_url": server.tcp_url("rill", f"owner:{PASSWORD}"),
        "database_timeout": str(LIMIT_S),
        "openai_base_url": provider.base_url,
        "openai_model": "bench",
        "next_token_timeout": str(LIMIT_S),
    }
    with ForkedApp(tmp_path_factory.mktemp("troubled"), **settings) as app:
        yield app


@dataclass(frozen=True)
class Seen:
    """What of a trouble is to be seen: on the page, in a program's response, and in the log, with how many lines."""

    person: str
    program: tuple[int, str]
    log: dict[str, int]


MODEL: dict[str, tuple[dict[str, object], Seen]] = {
    "a revoked key": (
        {"status": 401},
        Seen(
            "The model's server does not accept the key. Check OPENAI_API_KEY, then restart.",
            (502, "provider_refused"),
            {"WARNING turn ended .*code=provider_refused provider_status=401": 2},
        ),
    ),
    "too many requests": (
        {"status": 429, "retry_after": 7},
        Seen(
            "The model's server is busy. Try again in",
            (503, "provider_busy"),
            {"WARNING turn ended .*code=provider_busy provider_status=429": 2},
        ),
    ),
    "a fault of the model's server": (
        {"status": 500},
        Seen(
            "The model's server has a problem (500",
            (502, "provider_error"),
            {"WARNING turn ended .*code=provider_error provider_status=500": 2},
        ),
    ),
    "a connection that breaks off": (
        {"tokens": 5, "drop_after": 3},
        Seen(
            "The connection to the model broke off. Try again.",
            (502, "provider_error"),
            {"WARNING turn ended .*code=provider_error .*completion_tokens=3": 2},
        ),
    ),
    "a connection that is reset": (
        {"tokens": 5, "reset_after": 2},
        Seen(
            "The connection to the model broke off. Try again.",
            (502, "provider_error"),
            {"WARNING turn ended .*code=provider_error .*completion_tokens=2": 2},
        ),
    ),
    "an error within the stream": (
        {"tokens": 5, "error_after": 2},
        Seen(
            "The model's server reported: The server had an error while processing your request.",
            (502, "provider_error"),
            {"WARNING turn ended .*code=provider_error .*completion_tokens=2": 2},
        ),
    ),
    "a model that falls silent": (
        {"tokens": 5, "stall_after": 2},
        Seen(
            "The model was silent for too long. Try again, or choose a faster model.",
            (504, "provider_silent"),
            {"WARNING turn ended .*code=provider_silent .*completion_tokens=2": 2},
        ),
    ),
    "a message that is too long for the model": (
        {"context_limit": 1},
        Seen(
            "The message is too long for the model. Shorten it, or choose a model that reads more.",
            (502, "context_too_long"),
            {"WARNING turn ended .*code=context_too_long provider_status=400": 2},
        ),
    ),
}


class Log:
    """What is logged from now on."""

    def __init__(self, app: ForkedApp) -> None:
        self._app = app
        self._from = len(app.logged())

    def lines(self) -> list[str]:
        return self._app.logged()[self._from :].splitlines()

    def has(self, expected: dict[str, int]) -> bool:
        """So many lines of each kind, and none besides."""
        found = {pattern: sum(bool(re.search(pattern, line)) for line in self.lines()) for pattern in expected}
        return found == expected and sum(found.values()) == len(self.lines())


@pytest.mark.used_tab
@pytest.mark.parametrize("kind", MODEL)
async def test_a_trouble_of_the_model(kind: str, page: Page, troubled: ForkedApp) -> None:
    keys, seen = MODEL[kind]
    chat = await ChatPage(page, troubled).open()
    log = Log(troubled)
    await chat.ask(**keys)
    answer = await chat.ended()
    await expect(answer.locator(".problem")).to_contain_text(seen.person)
    await expect(page.get_by_role("button", name="Try again").last).to_be_visible()
    response = await asyncio.to_thread(troubled.http.post, "/messages/", json={"content": script(**keys)})
    assert (response.status_code, response.json()["error"]["code"]) == seen.program
    assert log.has(seen.log), log.lines()


Trouble = Callable[[Postgres, ForkedApp], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def stopped(server: Postgres, _app: ForkedApp) -> AsyncIterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@asynccontextmanager
async def frozen(server: Postgres, _app: ForkedApp) -> AsyncIterator[None]:
    with server.frozen():
        yield


@asynccontextmanager
async def failing(server: Postgres, _app: ForkedApp, sqlstate: str) -> AsyncIterator[None]:
    """The real server says so, for whatever is written."""
    body = f"BEGIN RAISE EXCEPTION 'refused with {sqlstate}' USING ERRCODE = '{sqlstate}'; END"
    await server.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$", "rill")
    await server.execute("CREATE TRIGGER refuse BEFORE INSERT ON message EXECUTE FUNCTION refuse()", "rill")
    try:
        yield
    finally:
        await server.execute("DROP FUNCTION refuse CASCADE", "rill")


def full(server: Postgres, app: ForkedApp) -> AbstractAsyncContextManager[None]:
    return failing(server, app, "53100")


def read_only(server: Postgres, app: ForkedApp) -> AbstractAsyncContextManager[None]:
    return failing(server, app, "25006")


AWAY = "The database does not answer at the moment. Nothing is lost; try again in a few seconds."
FULL = "Nothing more can be saved: the disk of the server is full. Try again when there is room on it."
DATABASE: dict[str, tuple[Trouble, Seen]] = {
    "stopped": (stopped, Seen(AWAY, (503, "database_unavailable"), {'ERROR database unavailable reason="': 1})),
    "frozen": (
        frozen,
        Seen(AWAY, (503, "database_unavailable"), {'ERROR database unavailable reason="it does not answer"': 1}),
    ),
    "full": (full, Seen(FULL, (503, "disk_full"), {'ERROR database unavailable reason="refused with 53100"': 1})),
    "only to be read": (
        read_only,
        Seen(AWAY, (503, "database_unavailable"), {'ERROR database unavailable reason="refused with 25006"': 1}),
    ),
}


@pytest.mark.parametrize("kind", DATABASE)
async def test_a_trouble_of_the_database(kind: str, page: Page, troubled: ForkedApp, server: Postgres) -> None:
    trouble, seen = DATABASE[kind]
    chat = await ChatPage(page, troubled).open()
    log = Log(troubled)
    async with trouble(server, troubled):
        await chat.ask(tokens=3)
        await expect(page.get_by_text("Not sent.")).to_be_visible()
        await expect(page.get_by_text(seen.person)).to_be_visible()
        for _ in range(5):
            response = await asyncio.to_thread(troubled.http.post, "/messages/", json={"content": script(tokens=1)})
            assert (response.status_code, response.json()["error"]["code"]) == seen.program
            assert int(response.headers["retry-after"]) > 0
    # Nothing was lost: it is the same question that is sent again.
    async with page.expect_response("**/measures/") as reported:
        await page.get_by_role("button", name="Try again").last.click()
        await expect(chat.answers.last).to_contain_text("tok2")
        await chat.ended()
    assert (await reported.value).ok
    again = {"INFO database available again after_s=.* failures=": 1, "INFO turn ended .*state=complete": 1}
    assert log.has(seen.log | again), "\n".join(log.lines())


async def test_the_server_is_gone_for_a_while(page: Page, troubled: ForkedApp) -> None:
    chat = await ChatPage(page, troubled).open()
    await chat.ask(tokens=-1, interval_ms=50)
    await expect(chat.answers.last).to_contain_text("tok20")
    log = Log(troubled)
    await asyncio.to_thread(troubled.kill)
    await expect(page.get_by_text("Connection lost. Reconnecting …")).to_be_visible()
    with pytest.raises(httpx.ConnectError):
        await asyncio.to_thread(troubled.http.get, "/chats/")
    await asyncio.to_thread(troubled.start)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(chat.answers.last.locator(".problem")).to_contain_text("The server ended while this answer was being")
    assert (await chat.text()).startswith("tok0 tok1 tok2 ")
    expected = {"answers were cut off when the server last ended; their text is kept answers=1": 1}
    expected |= {"INFO server started": 1, "^(The page is built already.|Starting …|Open )": 3}
    assert log.has(expected), "\n".join(log.lines())
