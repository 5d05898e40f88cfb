"""A message far up is shown with its neighbours; the rest of a long chat comes when it is asked for, and says so."""

import asyncio

import pytest
from playwright.async_api import BrowserContext, Page, expect

from chat_app.ui.transcript import FIRST
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat, import_turns
from tests.e2e.test_print import printed, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

TURNS = 110
IDS = "() => [...document.querySelectorAll('[role=log] article')].map((one) => one.id)"
SCROLL_TO_GAP = "document.querySelector('.gap')?.scrollIntoView()"
GAP = "(document.querySelector('.gap')?.innerText ?? null)"
TO_END = "document.querySelector('.scroll-area').scrollTop = 1e9"


async def at(page: Page, app: App, number: int) -> tuple[ChatPage, str, list[str]]:
    """A chat of its own, opened at one of its messages."""
    chat_id, ids = import_chat(app, TURNS)
    return await opened(page, app, chat_id, ids[number]), chat_id, ids


async def opened(page: Page, app: App, chat_id: str, message_id: str) -> ChatPage:
    chat = await ChatPage(page, app).open(f"/c/{chat_id}#{message_id}")
    await expect(page.locator(f"[id='{message_id}']")).to_be_in_viewport()
    return chat


def all_ids(app: App, chat_id: str) -> list[str]:
    params = {"chat_id": chat_id, "limit": 500}
    return [one["id"] for one in app.http.get("/messages/", params=params).raise_for_status().json()["messages"]]


@pytest.fixture(scope="module")
def long_chat(app: App) -> tuple[str, list[str]]:
    """For those that only read it."""
    return import_chat(app, 210)


@pytest.mark.parametrize("number", [3, 200, 340, 365])
async def test_a_message_comes_with_its_neighbours_and_the_newest(
    page: Page, app: App, long_chat: tuple[str, list[str]], number: int
) -> None:
    chat_id, ids = long_chat
    # The last one has left the same chat there, which would be loaded no second time.
    await page.goto("about:blank")
    await opened(page, app, chat_id, ids[number])
    shown = await page.evaluate(IDS)
    assert len(shown) <= 3 * FIRST
    places = [ids.index(id) for id in shown]
    assert places == sorted(set(places))
    assert places[-FIRST:] == list(range(len(ids) - FIRST, len(ids)))


async def test_a_question_from_there_comes_at_the_end(page: Page, app: App) -> None:
    chat, chat_id, ids = await at(page, app, 30)
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}#{ids[30]}")
    await chat.ask("Hello")
    answer = await chat.ended()
    await expect(answer).to_be_in_viewport()
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}")
    now = all_ids(app, chat_id)
    assert now[:-2] == ids
    assert (await page.evaluate(IDS))[-FIRST - 2 :] == now[-FIRST - 2 :]


async def test_reading_on_closes_the_gap(page: Page, app: App) -> None:
    _, chat_id, ids = await at(page, app, 80)
    gap = page.locator(".gap")
    await expect(gap).to_have_count(1)
    # It may close by itself at any moment, since the reader is near to it.
    while (text := await page.evaluate(GAP)) is not None:
        await page.evaluate(SCROLL_TO_GAP)
        await page.wait_for_function(f"(text) => {GAP} !== text", arg=text)
    shown = await page.evaluate(IDS)
    assert shown == ids[-len(shown) :]
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}")


async def test_an_older_answer_beyond_a_gap_is_written_again(page: Page, app: App) -> None:
    chat, _, ids = await at(page, app, 31)
    old = page.locator(f"[id='{ids[31]}']")
    await old.hover()
    await old.get_by_role("button", name="Regenerate").click()
    await expect(old).to_have_count(0)
    await expect(chat.answers.last.locator(".figures")).not_to_be_empty()
    await expect(page.locator(".gap")).to_have_count(0)
    await expect(chat.answers.last.get_by_text("2 / 2")).to_be_visible()
    await chat.answers.last.get_by_role("button", name="Previous version").click()
    await expect(old).to_be_attached()
    await expect(page.locator(f"[id='{ids[-1]}']")).to_be_attached()
    assert len(await page.evaluate(IDS)) <= 3 * FIRST


async def test_the_address_lets_go_of_a_message_that_the_reader_left(page: Page, app: App) -> None:
    chat, chat_id, ids = await at(page, app, 100)
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}#{ids[100]}")
    await page.get_by_role("button", name="Jump to latest").click()
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}")
    # The same hit leads there once more.
    await page.keyboard.press("Control+k")
    await page.get_by_role("searchbox", name="Search").fill("question 50")
    await page.get_by_role("list", name="Results").locator(f"a[href='/c/{chat_id}#{ids[100]}']").click()
    await expect(page.locator(f"[id='{ids[100]}']")).to_be_in_viewport()
    await expect(page).to_have_url(f"{app.url}/c/{chat_id}#{ids[100]}")
    await chat.open()
    await expect(page).to_have_url(f"{app.url}/")


@pytest.mark.parametrize(("number", "keys"), [(None, "Control+f"), (100, "Meta+f")])
async def test_who_searches_the_page_is_told_what_is_not_on_it(
    page: Page, app: App, number: int | None, keys: str
) -> None:
    if number is None:
        chat_id, ids = import_chat(app, TURNS)
        await ChatPage(page, app).open(f"/c/{chat_id}")
        await expect(page.get_by_role("article")).to_have_count(FIRST)
    else:
        _, _, ids = await at(page, app, number)
    await page.keyboard.press(keys)
    note = page.locator(".find-note")
    missing = len(ids) - len(await page.evaluate(IDS))
    await expect(note).to_contain_text(f"{missing} messages are not loaded.")
    await note.get_by_role("button", name="Load all").click()
    await expect(note).to_contain_text("All messages are loaded.")
    assert await page.evaluate(IDS) == ids
    await note.get_by_role("button", name="Close").click()
    await expect(note).to_be_empty()


async def test_a_chat_that_is_all_there_says_nothing(page: Page, app: App) -> None:
    chat_id, _ = import_chat(app, 3)
    await ChatPage(page, app).open(f"/c/{chat_id}")
    await page.keyboard.press("Control+f")
    await expect(page.locator(".find-note")).to_be_empty()


async def test_the_gap_is_printed(page: Page, app: App) -> None:
    turns = [(f"Question number {n}?", f"Answer number {n}.") for n in range(70)]
    chat_id = import_turns(app, turns, "To print")
    await ChatPage(page, app).open(f"/c/{chat_id}#{all_ids(app, chat_id)[4]}")
    await expect(page.locator(".gap")).to_have_count(1)
    text = text_of(await printed(page))
    places = [text.index(words) for turn in turns for words in turn]
    assert places == sorted(places)
    assert all(text.count(words) == 1 for turn in turns for words in turn)


@pytest.mark.parametrize("path", ["/foo", "/foo/bar", "/c/none/x", "/c/none", "/a/b/c/d"])
async def test_an_unknown_address_has_a_page_with_a_way_on(page: Page, app: App, path: str) -> None:
    await page.goto(app.url + path)
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        "There is no such page" if path.count("/") > 2 else "This chat is not here"
    )
    await page.get_by_role("main").get_by_role("link", name="chat").click()
    await expect(page).to_have_url(app.url + "/")


async def answered(page: Page, app: App) -> tuple[ChatPage, str]:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    return chat, await chat.chat_id()


async def versions(app: App, chat_id: str) -> int:
    file = await asyncio.to_thread(lambda: app.http.get(f"/chats/{chat_id}/export").raise_for_status().json())
    return sum(message["role"] == "assistant" for message in file["messages"])


async def test_regenerate_pressed_twice_asks_once(page: Page, app: App) -> None:
    chat, chat_id = await answered(page, app)
    await page.evaluate("""() => {
      const button = document.querySelector("[aria-label=Regenerate]");
      button.click();
      button.click();
      button.click();
    }""")
    await expect(chat.answers.last.get_by_text("2 / 2")).to_be_visible()
    await expect(chat.toasts).to_have_count(0)
    assert await versions(app, chat_id) == 2
    # Meant, it gives another one.
    await chat.again("Regenerate")
    await chat.ended()
    await expect(chat.answers.last.get_by_text("3 / 3")).to_be_visible()
    await chat.answers.last.get_by_role("button", name="Previous version").click()
    await expect(chat.answers.last.get_by_text("2 / 3")).to_be_visible()
    await chat.again("Regenerate")
    await chat.ended()
    await expect(chat.answers.last.get_by_text("4 / 4")).to_be_visible()


@pytest.mark.parametrize("first", ["toast", "button"])
async def test_both_buttons_that_try_again_ask_once(page: Page, app: App, first: str) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(status=500)
    # Of the first answer, of one that has versions, and of that again. In the page, since a toast goes by itself.
    for version in ("", "2 / 2", "3 / 3"):
        await page.wait_for_function(
            """([first, version]) => {
              const again = (selector) =>
                [...document.querySelectorAll(selector)].filter((button) => button.textContent === "Try again");
              const toast = again("[data-sonner-toast][data-removed=false] [data-button]");
              const button = again(".after .text-button");
              const shown = document.querySelector("[role=log]")?.textContent ?? "";
              if (toast.length !== 1 || button.length !== 1 || !shown.includes(version)) return false;
              const both = [...button, ...toast];
              if (first === "toast") both.reverse();
              both.forEach((one) => one.click());
              return true;
            }""",
            arg=[first, version],
        )
    # Asked twice, it would have come to more.
    await expect(chat.answers.last.get_by_text("4 / 4")).to_be_visible()
    await chat.ended()
    assert await versions(app, await chat.chat_id()) == 4


@pytest.mark.new_profile
async def test_regenerate_pressed_without_a_network_asks_once(context: BrowserContext, page: Page, app: App) -> None:
    chat, chat_id = await answered(page, app)
    await context.set_offline(True)
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()
    for _ in range(3):
        await chat.answers.last.get_by_role("button", name="Regenerate").click()
    await context.set_offline(False)
    await expect(chat.answers.last.get_by_text("2 / 2")).to_be_visible()
    assert await versions(app, chat_id) == 2
