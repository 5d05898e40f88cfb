"""A long chat shows its newest messages first; older ones come without moving what one reads."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from chat_app.ui.transcript import FIRST, MORE
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat

pytestmark = pytest.mark.anyio

# Scrolls, and says what then stands first in view and where, as it was before anything that is asked for can have come.
# The page, whose listener is older, has noted that scroll by then.
SCROLL = """(top) => new Promise((resolve) => {
  const area = document.querySelector(".scroll-area");
  const before = area.scrollTop;
  area.scrollTop = top;
  const edge = area.getBoundingClientRect().top;
  const first = [...document.querySelectorAll("article")].find((one) => one.getBoundingClientRect().top >= edge);
  const seen = { id: first.id, top: first.getBoundingClientRect().top };
  if (area.scrollTop === before) resolve(seen);
  else area.addEventListener("scroll", () => resolve(seen), { once: true });
})"""
# As it is painted: the page's own observer, which is older, has done its work for this frame by then.
TOP = """(id) => new Promise((resolve) => {
  new ResizeObserver((_, observer) => {
    observer.disconnect();
    resolve(document.getElementById(id)?.getBoundingClientRect().top);
  }).observe(document.querySelector(".scroll-area"));
})"""
MARK = """(id) => {
  Element.prototype.beforeTheLoss = false;
  document.getElementById(id).beforeTheLoss = true;
}"""
BUILT_ANEW = "(id) => document.getElementById(id)?.beforeTheLoss === false"


async def scrolled(page: Page, top: int) -> dict[str, Any]:
    """Scroll, once all that has come is drawn; returns what then stands first in view."""
    await page.wait_for_function("() => !document.querySelector('.awaited')")
    seen: dict[str, Any] = await page.evaluate(SCROLL, top)
    return seen


async def expect_in_place(page: Page, seen: dict[str, Any]) -> None:
    assert abs(await page.evaluate(TOP, seen["id"]) - seen["top"]) < 1


def message(page: Page, id: str) -> Any:
    return page.locator(f"[id='{id}']")


async def test_older_messages_come_near_the_top(page: Page, app: App) -> None:
    chat_id, _ = import_chat(app, 60)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    messages = page.get_by_role("article")
    await expect(messages).to_have_count(FIRST)
    await expect(messages.last).to_be_in_viewport()
    for count in (*range(FIRST + MORE, 120, MORE), 120):
        seen = await scrolled(page, 700 if count % 3 else 0)
        await expect(messages).to_have_count(count)
        await expect_in_place(page, seen)
    await expect(chat.earlier).to_have_count(0)
    await expect(chat.questions.first).to_contain_text("Question 0?")


async def test_by_keyboard_the_focus_goes_on_to_what_came(page: Page, app: App) -> None:
    chat_id, ids = import_chat(app, 60)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    messages = page.get_by_role("article")
    await expect(messages).to_have_count(FIRST)
    # The focus brings the button into view, and nearness alone loads a page; the key loads the rest.
    await chat.earlier.focus()
    await expect(messages).to_have_count(FIRST + MORE)
    await expect(chat.earlier).to_be_focused()
    seen = await scrolled(page, 2000)
    await page.keyboard.press("Enter")
    await expect(messages).to_have_count(FIRST + 2 * MORE)
    await expect(message(page, ids[-FIRST - MORE - 1])).to_be_focused()
    await expect(page.get_by_role("status").filter(has_text="20 earlier messages loaded")).to_have_count(1)
    await expect_in_place(page, seen)


async def test_in_mid_answer(page: Page, app: App) -> None:
    chat_id, _ = import_chat(app, 100)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await chat.ask(tokens=-1, interval_ms=10, markdown=True)
    growing = chat.answers.last.locator(".prose")
    await expect(growing).to_contain_text("Section 1")
    for count in range(FIRST + MORE, 101, MORE):
        seen = await scrolled(page, 200)
        # And the question and its answer.
        await expect(page.get_by_role("article")).to_have_count(count + 2)
        await expect_in_place(page, seen)
    grown = await growing.inner_text()
    await expect(growing).not_to_have_text(grown, use_inner_text=True)
    await expect_in_place(page, seen)
    await page.get_by_role("button", name="Jump to latest").click()
    await chat.stop.click()
    await expect((await chat.ended()).locator(".problem")).to_have_text("Stopped")
    await page.reload()
    await expect(page.get_by_role("article")).to_have_count(FIRST)
    await expect(chat.answers.last.locator(".problem")).to_have_text("Stopped")


async def test_an_address_leads_to_an_older_message(page: Page, app: App) -> None:
    chat_id, ids = import_chat(app, 100)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}#{ids[21]}")
    await expect(message(page, ids[21])).to_be_in_viewport()
    await expect(chat.earlier).to_be_attached()
    await expect(page.get_by_role("button", name="Jump to latest")).to_be_visible()


async def test_a_search_leads_to_an_older_message_also_in_mid_answer(page: Page, app: App) -> None:
    chat_id, ids = import_chat(app, 100)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await chat.ask(tokens=-1, interval_ms=10)
    await expect(chat.answers.last.locator(".prose")).to_contain_text("tok10")
    await page.keyboard.press("Control+k")
    await page.get_by_role("searchbox", name="Search").fill("question 17")
    await page.get_by_role("list", name="Results").locator(f"a[href='/c/{chat_id}#{ids[34]}']").click()
    await expect(message(page, ids[34])).to_be_in_viewport()
    await expect(chat.stop).to_be_visible()
    await chat.stop.click()
    await expect((await chat.ended()).locator(".problem")).to_have_text("Stopped")


async def test_an_address_leads_to_a_message_of_another_version(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    first = await (await chat.ended()).get_attribute("id")
    await chat.again("Regenerate")
    await chat.ended()
    await chat.open(f"/c/{await chat.chat_id()}#{first}")
    await expect(chat.answers.get_by_text("1 / 2")).to_be_visible()
    await expect(message(page, str(first))).to_be_in_viewport()


async def at_older(page: Page, app: App, number: int) -> tuple[ChatPage, list[str], Locator]:
    """A chat of 120 messages opened at one of them, with the mouse on it: the page, their ids, the message."""
    chat_id, ids = import_chat(app, 60)
    chat = await ChatPage(page, app).open(f"/c/{chat_id}#{ids[number]}")
    old = message(page, ids[number])
    await expect(old).to_be_in_viewport()
    await old.hover()
    return chat, ids, old


async def test_an_older_question_is_edited_and_its_versions_compared(page: Page, app: App) -> None:
    chat, ids, old = await at_older(page, app, 20)
    await old.get_by_role("button", name="Edit message").click()
    await page.get_by_role("textbox", name="Edit your message").fill("Another question?")
    await chat.again("Send")
    await chat.ended()
    await expect(chat.questions.last).to_contain_text("Another question?")
    await expect(message(page, ids[19])).to_have_count(1)
    await expect(message(page, ids[22])).to_have_count(0)
    await chat.questions.last.hover()
    await page.get_by_role("button", name="Previous version").click()
    await expect(old).to_contain_text("1 / 2")
    await expect(message(page, ids[119])).to_have_count(1)


async def test_an_older_answer_is_written_again(page: Page, app: App) -> None:
    chat, _, old = await at_older(page, app, 31)
    await old.get_by_role("button", name="Regenerate").click()
    await expect(old).to_have_count(0)
    await expect(chat.answers.last.locator(".figures")).not_to_be_empty()
    await expect(chat.answers.last.get_by_text("2 / 2")).to_be_visible()
    await expect(chat.questions.last).to_contain_text("Question 15?")


async def test_another_tab_rewrites_what_is_not_on_this_page(context: BrowserContext, page: Page, app: App) -> None:
    chat_id, ids = import_chat(app, 60)
    await ChatPage(page, app).open(f"/c/{chat_id}")
    await expect(page.get_by_role("article")).to_have_count(FIRST)
    other = await ChatPage(await context.new_page(), app).open(f"/c/{chat_id}#{ids[4]}")
    await message(other.page, ids[4]).hover()
    await message(other.page, ids[4]).get_by_role("button", name="Edit message").click()
    await other.page.get_by_role("textbox", name="Edit your message").fill("Rewritten")
    await other.again("Send")
    await other.ended()
    for tab in (page, other.page):
        await expect(tab.get_by_role("article")).to_have_count(6)
        await expect(tab.get_by_role("article", name="You said").last).to_contain_text("Rewritten")


# A browser without a network is so in all tabs of a process.
@pytest.mark.new_profile
async def test_after_a_lost_connection_one_reads_on_where_one_was(
    context: BrowserContext, page: Page, app: App
) -> None:
    chat_id, _ = import_chat(app, 100)
    await ChatPage(page, app).open(f"/c/{chat_id}")
    for count in (FIRST + MORE, FIRST + 2 * MORE):
        await page.evaluate(SCROLL, 0)
        await expect(page.get_by_role("article")).to_have_count(count)
    seen = await scrolled(page, 3000)
    await page.evaluate(MARK, seen["id"])
    await context.set_offline(True)
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()
    await context.set_offline(False)
    await expect(page.locator("[data-connection=live]")).to_be_visible()
    # Only then the newest messages come, without this one, and it after them.
    await page.wait_for_function(BUILT_ANEW, arg=seen["id"])
    await expect(message(page, seen["id"])).to_be_in_viewport()
    await expect_in_place(page, seen)


async def test_a_second_tab_shows_the_version_that_was_chosen(context: BrowserContext, page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    await chat.again("Regenerate")
    await chat.ended()
    await page.get_by_role("button", name="Previous version").click()
    await expect(chat.answers.get_by_text("1 / 2")).to_be_visible()
    second = await ChatPage(await context.new_page(), app).open(f"/c/{await chat.chat_id()}")
    # Once its turns are followed, an answer from elsewhere comes.
    body = {"chat_id": await chat.chat_id(), "content": "And now?"}
    app.http.post("/messages/", json=body).raise_for_status()
    await expect(second.answers).to_have_count(2)
    await expect(second.answers.first.get_by_text("1 / 2")).to_be_visible()


async def test_what_is_sent_grows_with_the_messages_not_with_their_square(
    page: Page, app: App, figure: Callable[[object], None]
) -> None:
    chat_id, ids = import_chat(app, 100)
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(len(data))))
    await ChatPage(page, app).open(f"/c/{chat_id}")
    messages = page.get_by_role("article")
    await expect(messages).to_have_count(FIRST)
    first = sum(frames)
    for count in range(FIRST + MORE, len(ids) + MORE, MORE):
        await page.evaluate(SCROLL, 0)
        await expect(messages).to_have_count(min(count, len(ids)))
    stored = app.http.get("/messages/", params={"chat_id": chat_id, "limit": 500}).json()["messages"]
    text = sum(len(one["content"]) for one in stored)
    figure(f"{len(ids)} messages of {text:,} characters: {first:,} bytes to open, {sum(frames):,} to read to the top")
    # As a whole the chat has about this; sent again with every step it would be five times as much.
    assert sum(frames) <= 2 * first * len(ids) / FIRST
