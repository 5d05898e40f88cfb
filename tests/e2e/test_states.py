"""axe-core finds nothing wrong in states of trouble and in small forms, on the page and in the embedded chat: at the
widths of a desk and of two phones, in light and in dark."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.embed import EmbedPage
from tests.e2e.test_accessibility import ALL, COLOURS, nothing_found
from tests.e2e.test_accessibility import axe as axe
from tests.provider_client import Provider

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]

WIDTHS = {1280: 900, 390: 844, 320: 640}
FOLD = re.compile("^(Thinking|Thought)")
THINKS: dict[str, Any] = {"reasoning": ["Let me **see**: ", "`six` times seven."], "pieces": ["Forty-two."]}
REFUSED = "Never taken"
TRIGGER = f"""CREATE TRIGGER refusing BEFORE INSERT ON message WHEN NEW.content LIKE '{REFUSED}%'
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"""


def on_database(app: App, statement: str) -> None:
    with closing(sqlite3.connect(app.folder / "chat.db")) as database, database:
        database.execute(statement)


async def thinking(chat: ChatPage | EmbedPage) -> None:
    await chat.ask(**THINKS, hold=[0])
    fold = chat.answers.last.get_by_role("button", name=FOLD)
    await fold.click()
    await expect(chat.answers.last.locator(".folded .prose")).to_contain_text("seven")


async def thought(chat: ChatPage | EmbedPage) -> None:
    await chat.ask(**THINKS)
    await chat.ended()
    await expect(chat.answers.last.get_by_role("button", name=FOLD)).to_be_visible()


async def thoughts_opened(chat: ChatPage | EmbedPage) -> None:
    await thought(chat)
    await chat.answers.last.get_by_role("button", name=FOLD).click()
    await expect(chat.answers.last.locator(".folded .prose")).to_contain_text("seven")


async def stopped(chat: ChatPage | EmbedPage) -> None:
    await chat.ask(tokens=-1, interval_ms=10)
    await expect(chat.answers.last).to_contain_text("tok5")
    await chat.stop.click()
    await chat.ended()


async def offline(chat: ChatPage | EmbedPage) -> None:
    page = chat.page if isinstance(chat, ChatPage) else chat.root
    assert isinstance(page, Page)
    await chat.ask("Hello")
    await chat.ended()
    await page.context.set_offline(True)
    await expect(page.locator("[data-connection=reconnecting], [data-connection=lost]").first).to_be_visible()
    await chat.box.fill("Sent without a network")
    await chat.box.press("Enter")
    await expect(chat.questions.last).to_contain_text("Sent without a network")


async def not_sent(chat: ChatPage) -> None:
    on_database(chat.app, TRIGGER)
    await chat.box.fill(f"{REFUSED}, and here is why")
    await chat.box.press("Enter")
    await expect(chat.page.get_by_text("Not sent")).to_be_visible()
    on_database(chat.app, "DROP TRIGGER refusing")


async def versions(chat: ChatPage) -> None:
    await chat.ask("Hello")
    await chat.ended()
    await chat.again("Regenerate")
    await chat.ended()
    await expect(chat.page.get_by_text("2 / 2")).to_be_visible()


async def an_edit(chat: ChatPage) -> None:
    await chat.ask("Hello")
    await chat.ended()
    await chat.questions.last.hover()
    await chat.page.get_by_role("button", name="Edit message").click()
    await expect(chat.page.get_by_role("textbox", name="Edit your message")).to_be_visible()


async def a_deleted_chat(chat: ChatPage) -> None:
    await chat.ask("Hello")
    await chat.ended()
    await chat.box.fill("Typed for it")
    chat.app.http.delete(f"/chats/{await chat.chat_id()}").raise_for_status()
    await expect(chat.page.get_by_role("heading", name="This chat is not here")).to_be_visible()


async def an_unknown_address(chat: ChatPage) -> None:
    await chat.page.goto(chat.app.url + "/a/b/c")
    await expect(chat.page.get_by_role("heading", name="There is no such page")).to_be_visible()


async def an_undo(chat: ChatPage) -> None:
    import_turns(chat.app, [("One", "Two")], "To be deleted")
    row = (await chat.listed("To be deleted")).locator("xpath=..")
    await row.hover()
    await row.get_by_role("button", name="Actions").click()
    await chat.page.get_by_role("menuitem", name="Delete").click()
    await expect(chat.toasts.get_by_role("button", name="Undo")).to_be_visible()


async def a_rename(chat: ChatPage) -> None:
    import_turns(chat.app, [("One", "Two")], "To be renamed")
    row = (await chat.listed("To be renamed")).locator("xpath=..")
    await row.hover()
    await row.get_by_role("button", name="Actions").click()
    await chat.page.get_by_role("menuitem", name="Rename").click()
    await expect(chat.page.get_by_role("textbox", name="Title")).to_be_visible()


async def nothing_found_by_search(chat: ChatPage) -> None:
    await chat.page.keyboard.press("Control+k")
    await chat.page.get_by_role("searchbox", name="Search").fill("zzzzzz")
    await expect(chat.page.get_by_role("dialog")).to_contain_text("No")


async def shortcuts(chat: ChatPage) -> None:
    await chat.page.locator("main").press("?")
    await expect(chat.page.get_by_role("dialog")).to_be_visible()


async def a_search_of_the_page(chat: ChatPage) -> None:
    chat_id = import_turns(chat.app, [(f"Question {n}?", f"Answer {n}.") for n in range(40)], "Long")
    await chat.open(f"/c/{chat_id}")
    # The address is loaded anew, and the page first has what it showed before.
    await expect(chat.earlier).to_be_visible()
    await chat.page.keyboard.press("Control+f")
    await expect(chat.page.get_by_role("button", name="Load all")).to_be_visible()


async def a_gone_chat(chat: EmbedPage) -> None:
    await chat.ask("Hello")
    await chat.ended()
    assert isinstance(chat.root, Page)
    chat_id = await chat.root.evaluate("sessionStorage.getItem('embed:chat')")
    await chat.root.request.delete(f"{chat.app_url}/chats/{chat_id}")
    await chat.box.fill("Typed for a gone chat")
    await chat.box.press("Enter")
    await expect(chat.error).to_be_visible()


BOTH = [thinking, thought, thoughts_opened, stopped]
# A browser without a network is so in all tabs of a profile.
OFFLINE = pytest.param(offline, marks=pytest.mark.new_profile)


def in_used_tab(state: Any) -> Any:
    return pytest.param(state, marks=pytest.mark.used_tab)


PAGE_STATES = [
    *BOTH,
    versions,
    an_edit,
    a_deleted_chat,
    an_undo,
    a_rename,
    nothing_found_by_search,
    shortcuts,
    a_search_of_the_page,
]
EMBED_STATES = [*BOTH, a_gone_chat]
State = Callable[[Any], Awaitable[None]]


async def in_all_dresses(page: Page, look: Callable[[int, str], Awaitable[None]]) -> None:
    for width, height in WIDTHS.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await expect(page.locator("html")).to_have_class(re.compile(rf"\b{scheme}\b"))
            await look(width, scheme)


async def nothing_found_in_any(page: Page, axe: str) -> None:
    async def look(width: int, scheme: str) -> None:
        await nothing_found(page, axe, ALL if scheme == "light" else COLOURS)

    await in_all_dresses(page, look)


@pytest.mark.parametrize("state", [OFFLINE, not_sent, an_unknown_address, *map(in_used_tab, PAGE_STATES)])
async def test_the_page(page: Page, app: App, provider: Provider, axe: str, state: State) -> None:
    chat = await ChatPage(page, app).open()
    await state(chat)
    await nothing_found_in_any(page, axe)
    provider.go()


@pytest.mark.parametrize("state", [OFFLINE, *map(in_used_tab, EMBED_STATES)])
async def test_the_embedded_chat(page: Page, app: App, provider: Provider, axe: str, state: State) -> None:
    chat = await EmbedPage(page).open(app.url)
    await state(chat)
    await nothing_found_in_any(page, axe)
    provider.go()
