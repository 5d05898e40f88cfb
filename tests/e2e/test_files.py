"""Files of chats on the page: what comes, how far it is, what could not be kept, and what went wrong."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.test_chatfiles import SEVERAL_KINDS, small, zipped

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

IMPORT = "**/chats/import*"
HTML = {"content_type": "text/html", "body": "<html><h1>413 Request Entity Too Large</h1></html>"}
STEP = '{"progress":{"read":1,"size":2,"messages":1}}\n'
FAILED = '{"error":{"code":"invalid_request","message":"The zip is broken.","retryable":false}}\n'
ANSWERS: list[tuple[dict[str, Any], str]] = [
    (HTML | {"status": 413}, "client_max_body_size"),
    (HTML | {"status": 502}, "cannot be reached behind its proxy"),
    (HTML | {"status": 503}, "not ready"),
    (HTML | {"status": 504}, "took too long"),
    (HTML | {"status": 403}, "status 403"),
    (HTML | {"status": 200}, "status 200"),
    ({"status": 500, "body": ""}, "status 500"),
    ({"status": 422, "body": '{"error": {"message": "That is no chat."}}'}, "That is no chat."),
    ({"status": 201, "body": STEP}, "The connection broke"),
    ({"status": 201, "body": STEP + '{"id": "x", "impo'}, "The connection broke"),
    ({"status": 201, "body": ""}, "The connection broke"),
    ({"status": 201, "body": STEP + FAILED}, "The zip is broken."),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([small("imported one"), small("imported two")]))
    return file


async def opened(page: Page, app: App) -> ChatPage:
    return await ChatPage(page, app).open()


async def choose(page: Page, *files: Path) -> None:
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Import chats").click()
    await (await chooser.value).set_files(files)


def giving(answer: dict[str, Any]) -> Callable[[Route], Awaitable[None]]:
    async def give(route: Route) -> None:
        await route.fulfill(**answer)

    return give


async def told(chat: ChatPage, sentence: str) -> None:
    """A toast says it; then all toasts are closed."""
    await expect(chat.toasts.filter(has_text=sentence)).to_be_visible()
    await expect(chat.page.locator(".importing")).to_have_count(0)
    await chat._begin_anew()


async def test_a_zip_of_chatgpt_comes_in_and_all_chats_go_out(page: Page, app: App, tmp_path: Path) -> None:
    chat = await opened(page, app)
    file = tmp_path / "export.zip"
    file.write_bytes(zipped({"conversations.json": json.dumps([SEVERAL_KINDS, small("of a zip")])}))
    await choose(page, file)
    await told(chat, "Imported 2 chats with 8 messages. Left out: 3 pictures, 2 tool messages, 1 file.")
    await (await chat.listed("of a zip")).click()
    await expect(chat.questions.locator(".bubble")).to_have_text("of a zip")

    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export all chats").click()
    saved = tmp_path / "all.json"
    await (await download.value).save_as(saved)
    titles = [one["chat"]["title"] for one in json.loads(saved.read_text())["chats"]]
    assert {"of a zip", "A chat"} <= set(titles)
    await choose(page, saved)
    await told(chat, f"Imported {len(titles)} chats")
    # Those that are pinned would stay on top of the list for all tests.
    for one in app.http.get("/chats/").raise_for_status().json()["chats"]:
        if one["pinned"]:
            app.http.delete(f"/chats/{one['id']}").raise_for_status()


async def test_one_chat_is_opened_and_of_several_files_each_is_told(page: Page, app: App, tmp_path: Path) -> None:
    chat = await opened(page, app)
    one, bad = tmp_path / "one.json", tmp_path / "bad.json"
    one.write_text("\ufeff" + json.dumps([small("just one")]))
    bad.write_text("[")
    await choose(page, one)
    await page.wait_for_url("**/c/*")
    await expect(chat.questions.locator(".bubble")).to_have_text("just one")
    await told(chat, "Imported 1 chat with 1 message.")
    await choose(page, one, bad)
    await expect(chat.toasts.filter(has_text="one.json: Imported 1 chat")).to_be_visible()
    await told(chat, "bad.json: The file is no valid JSON")


async def test_what_fails_says_so(page: Page, app: App, file: Path) -> None:
    chat = await opened(page, app)
    for answer, sentence in ANSWERS:
        await page.route(IMPORT, giving(answer))
        await choose(page, file)
        await told(chat, sentence)
        await page.unroute(IMPORT)

    await page.route(IMPORT, lambda route: route.abort())
    await choose(page, file)
    await told(chat, "The server cannot be reached.")
    await page.unroute(IMPORT)

    await page.evaluate(
        """() => {
          window.readBytes = Blob.prototype.arrayBuffer;
          Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException("", "NotReadableError"));
        }"""
    )
    await choose(page, file)
    await told(chat, "The file cannot be read.")
    await page.evaluate("() => { Blob.prototype.arrayBuffer = window.readBytes; }")


async def test_without_a_network_it_says_so(page: Page, app: App, file: Path) -> None:
    chat = await opened(page, app)
    await page.context.set_offline(True)
    await choose(page, file)
    await expect(chat.toasts.filter(has_text="There is no network.")).to_be_visible()
    await page.context.set_offline(False)


async def test_it_shows_how_far_it_is_and_can_be_cancelled(page: Page, app: App, file: Path) -> None:
    chat = await opened(page, app)
    before = await chat.chats.count()
    await page.route(IMPORT, lambda route: None)
    await choose(page, file)
    shown = page.locator(".importing")
    await expect(shown.get_by_role("status")).to_have_text("Sending the file")
    await expect(shown.get_by_role("progressbar")).to_be_visible()
    await expect(page.get_by_role("button", name="Import chats")).to_be_disabled()
    await shown.get_by_role("button", name="Cancel").click()
    await told(chat, "Cancelled.")
    await page.unroute(IMPORT)
    assert await chat.chats.count() == before
