"""`make dev`: what is saved is served at once, and what is wrong with it is on the page until it is repaired."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.app import App, Process
from tests.e2e.chat import ChatPage
from tests.tree import copy_tree

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

AGENT = """
import asyncio


async def reply(messages):
    yield "One."
    if messages[-1]["content"] == "wait":
        await asyncio.sleep(3_600)
"""
HOOKS = """
def setup(service):
    service.turns.on_question(lambda question: question.content.replace("Berlin", "[a city]"))
"""
PAGES = """
import reflex as rx


def page():
    return rx.el.main(rx.el.h1("Draft", class_name="underline decoration-wavy"))


def add(app):
    app.add_page(page, route="/mine", title="Mine")
"""
BRAND = """
name = "Acme"
welcome = "Ask the handbook."
"""
FILES = {"an_agent.py": AGENT, "some_hooks.py": HOOKS, "more/own_pages.py": PAGES, "brand.toml": BRAND}


class Developed(App):
    """With the sources of the developer in a folder of their own, far from the app's."""

    @property
    def sources(self) -> Path:
        return self.folder / "sources"

    def environment(self) -> dict[str, str]:
        # Left to `.env`.
        return {name: value for name, value in super().environment().items() if name != "MAX_MESSAGE_CHARS"}

    def spawn(self, environment: dict[str, str]) -> Process:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "chat_app", "dev"],
                cwd=self.root,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def save(self, name: str, old: str, new: str) -> float:
        """Returns when; the first place in the file only."""
        file = (self.root if name.startswith("chat_app/") else self.sources) / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        return time.monotonic()

    def ask(self, question: str = "Hi") -> str:
        return self.told("POST", "/messages/", json={"content": question})["content"]

    def told(self, method: str, path: str, **given: Any) -> Any:
        """The response's JSON. Asked again where the server that is about to end refuses."""
        while (response := self.answer(method, path, **given)).status_code == 503:
            time.sleep(0.05)
        return response.raise_for_status().json()

    def answer(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Asked again where the server that is about to end hangs up."""
        while True:
            with suppress(httpx.RemoteProtocolError, httpx.ReadError):
                return self.http.request(method, path, **given)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def app(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Developed]:
    folder, tree = tmp_path_factory.mktemp("development"), tmp_path_factory.mktemp("tree")
    copy_tree(tree)
    for name, text in FILES.items():
        file = folder / "sources" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    app = Developed(
        folder,
        replies="an_agent:reply",
        hooks="some_hooks:setup",
        pages="own_pages:add",
        brand=str(folder / "sources" / "brand.toml"),
        pythonpath=f"{folder / 'sources'}:{folder / 'sources' / 'more'}",
        host="0.0.0.0",
        auth="none",
    )
    app.root = tree
    # One that is kept may be closed by the server's end just as it is used again.
    app.http.headers["Connection"] = "close"
    app.url = app.url.replace("127.0.0.1", "localhost")
    with app:
        yield app
    shutil.rmtree(tree)


Figure = Callable[[object], None]
LONG_MS = 120_000
"""Vite bundles all packages first, and the time of a busy machine proves nothing."""


async def test_it_serves_as_in_production(app: Developed, page: Page) -> None:
    """All at one port, of the host that HOST names, with the policy of the page, and its brand."""
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)
    await page.goto(app.url, timeout=LONG_MS)
    chat = ChatPage(page, app)
    await expect(page.locator(".model-name")).not_to_be_empty(timeout=LONG_MS)
    await expect(page.get_by_text("Ask the handbook.")).to_be_visible()
    await chat.box.fill("To Berlin?")
    await chat.box.press("Enter")
    await expect(chat.answers).to_have_text(re.compile("One."))
    await expect(chat.questions).to_have_text(re.compile(r"To \[a city\]\?"))
    policy = app.http.get("/", headers={"Accept": "text/html"}).headers["Content-Security-Policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    await page.goto(f"{app.url}/embed")
    await expect(page.get_by_role("heading", name="Ask the handbook.")).to_be_visible()
    await expect(page).to_have_title("Acme")
    await page.goto(f"{app.url}/mine")
    await expect(page.get_by_role("heading", name="Draft")).to_have_css("text-decoration-style", "wavy")
    assert refused == []
    assert app.http.get("/", headers={"Host": "elsewhere.example"}).status_code == 403
    nowhere = app.http.get("/nowhere", headers={"Accept": "application/json"})
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")


async def test_an_agent_and_a_hook_that_are_saved_answer_the_next_question(app: Developed, figure: Figure) -> None:
    with app.http.stream("POST", "/stream/", json={"content": "wait"}) as stream:
        lines = stream.iter_lines()
        while "One." not in next(lines):
            pass
        saved = app.save("an_agent.py", "One.", "Two.")
        rest = "\n".join(lines)
    # As at any restart.
    assert '"finish_reason":"stopped"' in rest
    assert app.ask() == "Two."
    agent = time.monotonic() - saved
    chat = app.told("GET", f"/messages/?chat_id={stream.headers['X-Chat-Id']}")
    assert [one["status"] for one in chat["messages"] if one["role"] == "assistant"] == ["stopped"]
    saved = app.save("some_hooks.py", "[a city]", "[a town]")
    app.ask("To Berlin?")
    while "[a town]" not in last_question(app):
        app.ask("To Berlin?")
    figure(f"agent {agent:.1f} s, hook {time.monotonic() - saved:.1f} s from the save to the answer")


def last_question(app: Developed) -> str:
    [chat, *_] = app.told("GET", "/chats/")["chats"]
    [question, *_] = app.told("GET", f"/messages/?chat_id={chat['id']}")["messages"]
    return question["content"]


async def test_a_page_that_is_saved_is_loaded_anew(app: Developed, page: Page, figure: Figure) -> None:
    await page.goto(f"{app.url}/mine")
    heading = page.get_by_role("heading")
    await expect(heading).to_have_text("Draft")
    saved = app.save("more/own_pages.py", "Draft", "Final")
    await expect(heading).to_have_text("Final", timeout=LONG_MS)
    own = time.monotonic() - saved
    await page.goto(f"{app.url}/embed")
    await expect(page.get_by_role("heading", name="Ask the handbook.")).to_be_visible()
    saved = app.save("brand.toml", "Ask the handbook.", "Ask us.")
    await expect(page.get_by_role("heading", name="Ask us.")).to_be_visible(timeout=LONG_MS)
    figure(f"page {own:.1f} s, brand {time.monotonic() - saved:.1f} s from the save to the browser")
    for file in ("package.json", "package-lock.json"):
        assert (app.root / "reflex.lock" / file).is_file()


async def test_a_setting_and_a_module_of_the_app_that_are_saved_count_at_once(app: Developed, figure: Figure) -> None:
    saved = time.monotonic()
    (app.root / ".env").write_text("MAX_MESSAGE_CHARS=3\n")
    while app.answer("POST", "/messages/", json={"content": "Hello"}).status_code != 422:
        time.sleep(0.05)
    setting = time.monotonic() - saved
    (app.root / ".env").unlink()
    saved = app.save("chat_app/errors.py", "Shorten it.", "Make it short.")
    while "Make it short." not in app.answer("POST", "/messages/", json={"content": "x" * 40_000}).text:
        time.sleep(0.05)
    figure(f"setting {setting:.1f} s, module of the app {time.monotonic() - saved:.1f} s from the save to the answer")


FAULTS = [
    ("an_agent.py", "import asyncio", "import asyncio oops", "an_agent.py:2"),
    ("some_hooks.py", "def setup", "raise ValueError('not yet')\ndef setup", "not yet at"),
    ("more/own_pages.py", "rx.el.main", "rx.el.no_such", "own_pages.py"),
    ("brand.toml", "welcome", "welcom", "it has no welcom"),
    ("chat_app/bills.py", "import ", "import oops, ", "No module named 'oops'"),
]


@pytest.mark.thorough
async def test_each_fault_is_told_and_its_repair_is_picked_up(app: Developed, page: Page, figure: Figure) -> None:
    """One is repaired as the next is made, so that each start tells of another."""
    await page.goto(app.url)
    await expect(ChatPage(page, app).box).to_be_visible()
    before: tuple[str, str, str] | None = None
    for name, old, new, said in FAULTS:
        if before:
            app.save(*before)
        saved = app.save(name, old, new)
        await expect(page.get_by_role("alert")).to_contain_text(said, timeout=LONG_MS)
        figure(f"{name}: told after {time.monotonic() - saved:.1f} s")
        assert said in app.logged()
        refused = app.answer("GET", "/chats/")
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "not_started")
        before = (name, new, old)
    assert before
    saved = app.save(*before)
    await expect(ChatPage(page, app).box).to_be_visible(timeout=LONG_MS)
    figure(f"repaired after {time.monotonic() - saved:.1f} s")
