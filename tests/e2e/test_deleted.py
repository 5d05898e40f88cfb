"""A chat that another tab deletes, takes back or answers: each tab notices, and nothing that was typed goes with it."""

import re

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import EmbedPage
from tests.provider_client import script

pytestmark = pytest.mark.anyio
FOR_PROGRAMS = re.compile(r"chat_id|\b404\b|not_found|/chats/|null")


async def chosen(page: Page, title: str, item: str) -> None:
    await page.get_by_role("link", name=title).hover()
    await page.get_by_role("button", name=f"Actions for {title}").click()
    await page.get_by_role("menuitem", name=item).click()


async def test_a_chat_that_another_tab_deleted_says_so_and_its_draft_goes_along(
    context: BrowserContext, page: Page, app: App
) -> None:
    title = "Deleted in another tab"
    chat_id = import_turns(app, [("A question", "An answer")], title)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await chat.box.fill("What I was about to ask")
    other = await ChatPage(await context.new_page(), app).open()
    await chosen(other.page, title, "Delete")
    await expect(page.get_by_role("heading", name="This chat is not here")).to_be_visible()
    await expect(page.get_by_text("It may have been deleted")).to_be_visible()
    await expect(page.locator("main")).not_to_contain_text(FOR_PROGRAMS)
    # Back again, with what was typed.
    await other.toasts.get_by_role("button", name="Undo").click()
    await expect(chat.answers).to_have_count(1)
    await expect(chat.box).to_have_value("What I was about to ask")
    # By a program this time.
    app.http.delete(f"/chats/{chat_id}").raise_for_status()
    await page.get_by_role("link", name="Begin a new chat").click()
    await expect(chat.box).to_have_value("What I was about to ask")
    await chat.box.press("Enter")
    await expect(chat.answers.locator(".prose")).to_contain_text("What I was about to ask")
    assert await chat.chat_id() != chat_id


async def test_undoing_the_deletion_of_a_chat_leaves_the_reader_where_they_are(page: Page, app: App) -> None:
    gone = import_turns(app, [("One", "Two")], "Deleted and taken back")
    read = import_turns(app, [("Three", "Four")], "Read meanwhile")
    # From within another chat, and out of the chat itself.
    for begun_in in (read, gone):
        chat = await ChatPage(page, app).open(f"/c/{begun_in}")
        await chosen(page, "Deleted and taken back", "Delete")
        await expect(page.locator(f"a[href='/c/{gone}']")).to_have_count(0)
        await page.locator(f"a[href='/c/{read}']").click()
        await expect(chat.answers).to_contain_text("Four")
        await chat.toasts.get_by_role("button", name="Undo").click()
        await expect(page.locator(f"a[href='/c/{gone}']")).to_be_visible()
        await expect(page).to_have_url(f"{app.url}/c/{read}")
        await expect(chat.answers).to_contain_text("Four")


async def test_the_side_bar_marks_the_chats_that_are_being_answered(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    mark = page.get_by_role("img", name="Being answered")
    ids = [import_turns(app, [("One", "Two")], f"Answered in the background {n}") for n in range(2)]
    async with app.client() as client:
        for chat_id in ids:
            ask = {"content": script(tokens=-1, interval_ms=50), "chat_id": chat_id}
            async with client.stream("POST", "/stream/", json=ask) as reply:
                turn_id = reply.headers["X-Turn-Id"]
                row = page.locator(".chat-row").filter(has=page.locator(f"a[href='/c/{chat_id}']"))
                await expect(row.get_by_role("img", name="Being answered")).to_be_visible()
                await expect(mark).to_have_count(1)
            (await client.post(f"/stream/{turn_id}/stop")).raise_for_status()
            await expect(mark).to_have_count(0)
    await expect(chat.questions).to_have_count(0)


async def test_a_chat_that_was_deleted_is_told_to_people_in_the_embedded_page_too(page: Page, app: App) -> None:
    chat = await EmbedPage(page).open(app.url)
    await chat.ask("Soon deleted")
    await chat.ended()
    chat_id = await page.evaluate("sessionStorage.getItem('embed:chat')")
    app.http.delete(f"/chats/{chat_id}").raise_for_status()
    await chat.box.fill("Typed for a gone chat")
    await chat.box.press("Enter")
    await expect(chat.error).to_be_visible()
    await expect(chat.error).not_to_contain_text(FOR_PROGRAMS)
    await expect(chat.box).to_have_value("Typed for a gone chat")
    await page.reload()
    await expect(chat.error).to_contain_text("deleted")
    await expect(chat.box).to_have_value("Typed for a gone chat")
    await chat.box.press("Enter")
    await expect(chat.answers.locator(".prose")).to_contain_text("Typed for a gone chat")
