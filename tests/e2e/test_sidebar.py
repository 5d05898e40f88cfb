"""The list of chats: rename, pin, delete with undo, search, export and import."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from chat_app.ui.chats import LISTED
from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]


async def named(page: Page, app: App, title: str) -> ChatPage:
    chat = await ChatPage(page, app).open()
    await chat.ask(title)
    await chat.ended()
    await chat.chat_id()
    return chat


async def menu_of(page: Page, title: str) -> Locator:
    await page.get_by_role("link", name=title).hover()
    await page.get_by_role("button", name=f"Actions for {title}").click()
    return page.get_by_role("menu")


async def test_rename_in_place(page: Page, app: App) -> None:
    await named(page, app, "An old title")
    await (await menu_of(page, "An old title")).get_by_role("menuitem", name="Rename").click()
    box = page.get_by_role("textbox", name="Title")
    await expect(box).to_be_focused()
    await box.fill("A new title")
    await box.press("Enter")
    await expect(page.get_by_role("link", name="A new title")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("link", name="A new title")).to_be_visible()


async def test_pin_puts_a_chat_on_top(page: Page, app: App) -> None:
    await named(page, app, "Pin me please")
    chat = await named(page, app, "A later chat")
    await (await menu_of(page, "Pin me please")).get_by_role("menuitem", name="Pin").click()
    await expect(chat.chats.first).to_have_text("Pin me please")
    await expect(page.get_by_role("heading", name="Pinned")).to_be_visible()
    await (await menu_of(page, "Pin me please")).get_by_role("menuitem", name="Unpin").click()
    await expect(page.get_by_role("heading", name="Pinned")).to_have_count(0)


async def test_older_chats_are_shown_when_asked_for(page: Page, app: App) -> None:
    titles = [f"Number {n} of many" for n in range(LISTED + 1)]
    for title in titles:
        app.http.post("/chats/", json={"title": title}).raise_for_status()
    chat = await ChatPage(page, app).open()
    await expect(chat.chats).to_have_count(LISTED)
    await expect(page.get_by_role("link", name=titles[0])).to_have_count(0)
    await page.get_by_role("button", name="Show more chats").click()
    await expect(page.get_by_role("link", name=titles[0])).to_be_visible()
    await expect(page.get_by_role("link", name=titles[-1])).to_be_visible()


async def test_delete_can_be_undone(page: Page, app: App) -> None:
    chat = await named(page, app, "Deleted by mistake")
    await (await menu_of(page, "Deleted by mistake")).get_by_role("menuitem", name="Delete").click()
    await expect(page).to_have_url(app.url + "/")
    await expect(page.get_by_role("link", name="Deleted by mistake")).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("link", name="Deleted by mistake")).to_be_visible()
    await expect(chat.answers).to_have_count(1)


async def test_after_a_delete_the_page_is_usable(page: Page, app: App) -> None:
    chat = await named(page, app, "Delete me for good")
    await (await menu_of(page, "Delete me for good")).get_by_role("menuitem", name="Delete").click()
    await expect(page).to_have_url(app.url + "/")
    await chat.ask("Still there?")
    await expect(chat.answers).to_have_count(1)


async def test_search_finds_words_in_messages_and_leads_to_them(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(text="The capital of Mongolia is Ulaanbaatar, a cold place.")
    await chat.ended()
    found = await chat.chat_id()
    await page.get_by_role("link", name="New chat").first.click()
    await page.keyboard.press("Control+k")
    box = page.get_by_role("searchbox", name="Search")
    await expect(box).to_be_focused()
    await box.fill("ulaanb")
    # The first hit is the chat's title, made of the same words.
    result = page.get_by_role("list", name="Results").locator("a[href*='#']").first
    await expect(result.locator("mark")).to_have_text(re.compile("ulaanb", re.IGNORECASE))
    await result.click()
    await expect(page).to_have_url(re.compile(f"/c/{found}#"))
    await expect(chat.answers.locator(".prose")).to_contain_text("Ulaanbaatar")
    await expect(chat.answers).to_be_in_viewport()


async def test_search_has_the_focus_also_where_a_chats_address_was_opened(page: Page, app: App) -> None:
    chat = await named(page, app, "Opened by its address")
    await chat.open(f"/c/{await chat.chat_id()}")
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("searchbox", name="Search")).to_be_focused()


async def test_a_result_reads_as_text_not_as_markdown(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(text="## On **rare** *zeugmata*\n\nUse `zeugma()` for 2 * 3.")
    await chat.ended()
    await page.keyboard.press("Control+k")
    await page.get_by_role("searchbox", name="Search").fill("rare zeugmata")
    result = page.get_by_role("list", name="Results").locator("a[href*='#'] > span").first
    await expect(result).to_have_text("On rare zeugmata Use zeugma() for 2 * 3.")


async def test_search_says_when_there_is_nothing(page: Page, app: App) -> None:
    await ChatPage(page, app).open()
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("searchbox", name="Search").fill('"no such * words" (')
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("searchbox", name="Search")).not_to_be_visible()


async def test_export_and_import(page: Page, app: App, tmp_path: Path) -> None:
    chat = await named(page, app, "Worth keeping")
    menu = await menu_of(page, "Worth keeping")
    async with page.expect_download() as download:
        await menu.get_by_role("menuitem", name="Export as JSON").click()
    file = tmp_path / "chat.json"
    await (await download.value).save_as(file)
    assert json.loads(file.read_text())["version"] == 1
    menu = await menu_of(page, "Worth keeping")
    async with page.expect_download() as download:
        await menu.get_by_role("menuitem", name="Export as Markdown").click()
    assert (await download.value).suggested_filename.endswith(".md")
    before = await chat.chat_id()
    await page.locator("input[type=file]").set_input_files(file)
    await page.wait_for_url(lambda url: "/c/" in url and before not in url)
    await expect(chat.questions.locator(".bubble")).to_have_text("Worth keeping")
    await expect(chat.answers).to_have_count(1)
