"""No key, no internet: the embedded model answers through every door."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, record, recorded
from tests.forked import ForkedApp

pytestmark = pytest.mark.anyio
ANSWER_MS = 120_000


@pytest.fixture(scope="module")
def app(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with ForkedApp(tmp_path_factory.mktemp("local")) as app:
        yield app


async def test_the_page(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await expect(page.get_by_text("A small model on this machine answers")).to_be_visible()
    # The likeliest words, the same each time: what it would choose freely may be any markdown.
    await page.get_by_role("button", name="Settings of this chat").click()
    await page.get_by_role("spinbutton", name="Temperature").fill("0")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await record(page)
    await chat.ask("Name three colours.")
    await expect(chat.answers.locator(".figures:not(:empty)")).to_have_count(1, timeout=ANSWER_MS)
    assert len(await recorded(page)) >= 5
    shown, stored = await chat.answers.locator(".prose").inner_text(), (await chat.stored())[-1]
    assert stored["status"] == "complete"
    assert letters(shown) == letters(stored["content"])
    await page.reload()
    await expect(chat.answers.locator(".prose")).to_be_visible()
    assert letters(await chat.answers.locator(".prose").inner_text()) == letters(stored["content"])


def test_curl(app: App) -> None:
    body = json.dumps({"content": "Name three colours."})
    curl = ["curl", "-sN", f"{app.url}/stream/", "-d", body]
    blocks = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=120).stdout.split("\n\n")
    assert blocks[0] == 'data:{"role":"user","delta":"Name three colours."}'
    assert blocks[-2:] == ["data:[DONE]", ""]
    frames = [json.loads(block.removeprefix("data:")) for block in blocks[1:-2]]
    assert frames[-1]["finish_reason"] in ("stop", "length")
    assert len(frames) > 5
    assert all(frame["role"] == "assistant" for frame in frames)


def test_messages(app: App) -> None:
    reply = app.http.post("/messages/", json={"content": "Say hello."}, timeout=120)
    assert reply.status_code == 200
    assert reply.json()["status"] == "complete"
    assert reply.json()["content"]


def letters(text: str) -> str:
    """Without the marks, the numbers of lists and the white space, which markdown turns into shapes."""
    text = re.sub(r"^\s*\d+[.)]\s", "", text, flags=re.MULTILINE)
    return "".join(char for char in text if char.isalnum())
