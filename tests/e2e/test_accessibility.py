"""axe-core finds nothing wrong, in every state and both themes; the regions and names that people and tools rely on."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from chat_app.ui.transcript import FIRST, MORE
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat
from tests.e2e.embed import EmbedPage
from tests.npm import npm_install

pytestmark = pytest.mark.anyio


RUN = """async (runOnly) => {
  const { violations } = await axe.run({ runOnly });
  return violations.map((rule) => [rule.id, rule.help, rule.nodes.map((node) => node.html.slice(0, 200))]);
}"""

ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# All that differs between the themes.
COLOURS = ["color-contrast"]


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = npm_install(tmp_path_factory.mktemp("axe"), "axe-core@4.14.1")
    return (folder / "axe-core" / "axe.min.js").read_text()


# A formula, a diagram that cannot be drawn, and code with a comment, which themes like to make faint.
EXTRAS = "$$e^{i\\pi} + 1 = 0$$\n\n```mermaid\ngraph LR; A--\n```\n\n```python\n# note\n```"

State = Callable[[Any], Awaitable[None]]


async def empty(_chat: ChatPage | EmbedPage) -> None:
    pass


async def in_a_chat(chat: ChatPage | EmbedPage) -> None:
    await chat.ask(tokens=300, interval_ms=0, markdown=True)
    answer = await chat.ended()
    await expect(answer.locator('[data-streamdown="code-block"] [style*="--shiki-dark"]').first).to_be_visible()
    await chat.ask(text=EXTRAS)
    answer = await chat.ended()
    await expect(answer.locator(".katex").first).to_be_visible()
    await expect(answer.locator(".broken")).to_be_visible()
    await expect(answer.locator("code span[style]").last).to_have_text("# note")


async def during_an_answer(chat: ChatPage | EmbedPage) -> None:
    await chat.ask(tokens=-1, burst=200, interval_ms=20, markdown=True)
    await expect(chat.answers.last.locator(".prose")).to_contain_text("Section 2")


async def end(chat: ChatPage | EmbedPage, state: State) -> None:
    if state is during_an_answer:
        await chat.stop.click()
        await chat.ended()


async def failed_in_a_frame(chat: EmbedPage) -> None:
    await chat.ask(status=500)
    await expect(chat.error).to_be_visible()
    await expect(chat.answers.locator(".problem")).to_be_visible()


async def failed(chat: ChatPage) -> None:
    await chat.ask(status=500)
    await expect(chat.toasts).to_be_visible()
    await expect(chat.answers.locator(".problem")).to_be_visible()


async def search_open(chat: ChatPage) -> None:
    await chat.ask("Something to find")
    await chat.ended()
    await chat.page.keyboard.press("Control+k")
    await chat.page.get_by_role("searchbox", name="Search").fill("something")
    await expect(chat.page.get_by_role("list", name="Results").get_by_role("link").first).to_be_visible()


async def settings_open(chat: ChatPage) -> None:
    await chat.ask("Hello")
    await chat.ended()
    await chat.page.get_by_role("button", name="Settings of this chat").click()
    await expect(chat.page.get_by_role("dialog")).to_be_visible()


async def settings_of_a_new_chat(chat: ChatPage) -> None:
    await chat.page.get_by_role("button", name="Settings of this chat").click()
    await chat.page.get_by_role("textbox", name="System prompt").fill("Be brief.")
    await chat.page.get_by_role("spinbutton", name="Temperature").fill("0.2")
    await chat.page.get_by_role("button", name="Save").click()
    await expect(chat.page.get_by_text("own prompt")).to_be_visible()
    await chat.page.get_by_role("button", name="Settings of this chat").click()


async def remark_open(chat: ChatPage) -> None:
    await chat.ask("Hello")
    await chat.ended()
    await chat.page.get_by_role("button", name="Bad answer").click()
    await expect(chat.page.get_by_role("textbox", name="Remark")).to_be_visible()


async def earlier_messages(chat: ChatPage) -> None:
    chat_id, _ = import_chat(chat.app, 60)
    await chat.open(f"/c/{chat_id}")
    await chat.earlier.focus()
    await expect(chat.page.get_by_role("article")).to_have_count(FIRST + MORE)


@pytest.mark.parametrize(
    "state",
    [
        empty,
        in_a_chat,
        during_an_answer,
        pytest.param(failed, marks=pytest.mark.everyday),
        search_open,
        settings_open,
        remark_open,
        earlier_messages,
        settings_of_a_new_chat,
    ],
)
@pytest.mark.used_tab
async def test_axe_finds_nothing(page: Page, app: App, axe: str, state: State) -> None:
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    chat = await ChatPage(page, app).open()
    await state(chat)
    await nothing_found_in_both(page, axe)
    await end(chat, state)
    await page.emulate_media(color_scheme="null", reduced_motion="null")


async def drawer_open(chat: ChatPage) -> None:
    await chat.page.set_viewport_size({"width": 390, "height": 844})
    await chat.page.get_by_role("button", name="Show chats").click()


async def keyboard_up(chat: ChatPage) -> None:
    await chat.page.set_viewport_size({"width": 390, "height": 420})
    await chat.box.fill("A long draft.\n" * 20)
    await chat.page.locator(".scroll-area").evaluate("(area) => area.scrollBy(0, -300)")


async def zoomed_in(chat: ChatPage) -> None:
    await chat.page.set_viewport_size({"width": 320, "height": 256})


async def right_to_left(chat: ChatPage) -> None:
    await chat.page.set_viewport_size({"width": 1280, "height": 900})
    await chat.page.evaluate("document.documentElement.dir = 'rtl'")


async def forced_colours(chat: ChatPage) -> None:
    await remark_open(chat)
    await chat.page.emulate_media(forced_colors="active")


async def tooltip_shown(chat: ChatPage) -> None:
    await chat.page.get_by_role("button", name="Theme").hover()
    await expect(chat.page.get_by_role("tooltip")).to_be_visible()


async def result_chosen(chat: ChatPage) -> None:
    await search_open(chat)
    await chat.page.keyboard.press("ArrowDown")
    await expect(chat.page.locator("#results [data-active]")).to_have_count(1)


async def skipping(chat: ChatPage) -> None:
    await chat.page.get_by_role("link", name="Skip to the conversation").focus()


@pytest.mark.parametrize(
    "state",
    [
        drawer_open,
        forced_colours,
        tooltip_shown,
        result_chosen,
        skipping,
    ],
)
async def test_axe_finds_nothing_in_browsers_as_they_are(page: Page, app: App, axe: str, state: State) -> None:
    """As people have them: in light and dark, each in a tab of its own, for it changes what a tab is."""
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    chat = await ChatPage(page, app).open()
    await state(chat)
    if state is forced_colours:
        # What axe is told are not the colours that the system puts in the place of ours.
        await nothing_found(page, axe, but=COLOURS[0])
    else:
        await nothing_found_in_both(page, axe)


async def test_axe_finds_nothing_in_a_chat_in_browsers_as_they_are(page: Page, app: App, axe: str) -> None:
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    chat = await ChatPage(page, app).open()
    await in_a_chat(chat)
    for state in (zoomed_in, right_to_left, keyboard_up):
        await state(chat)
        await nothing_found_in_both(page, axe)
        await page.emulate_media(color_scheme="light")
        await page.evaluate("document.documentElement.dir = ''")


async def nothing_found_in_both(page: Page, axe: str) -> None:
    """In light and in dark."""
    await nothing_found(page, axe)
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_class(re.compile(r"\bdark\b"))
    await nothing_found(page, axe, COLOURS)


WATCH_HEADINGS = """() => {
  window.empty = [];
  const note = () => {
    for (const one of document.querySelectorAll(".prose :is(h1, h2, h3):empty")) window.empty.push(one.outerHTML);
  };
  new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.used_tab
async def test_no_heading_is_empty_while_an_answer_grows(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await page.evaluate(WATCH_HEADINGS)
    await chat.ask(tokens=150, interval_ms=15, markdown=True)
    await expect((await chat.ended()).get_by_role("heading")).not_to_have_count(0)
    assert await page.evaluate("window.empty") == []


@pytest.mark.parametrize(("theme", "system"), [("light", "dark"), ("dark", "light")])
async def test_axe_finds_nothing_in_a_narrow_frame(page: Page, app: App, axe: str, theme: str, system: str) -> None:
    await page.emulate_media(color_scheme=system, reduced_motion="reduce")
    await page.set_viewport_size({"width": 360, "height": 640})
    chat = await EmbedPage(page).open(app.url, theme=theme)
    for state in (empty, failed_in_a_frame, in_a_chat, during_an_answer):
        await state(chat)
        await nothing_found(page, axe, ALL if theme == "light" else COLOURS)
        await end(chat, state)


async def nothing_found(page: Page, axe: str, rules: list[str] = ALL, but: str = "") -> None:
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(axe)
    found = [rule for rule in await page.evaluate(RUN, rules) if rule[0] != but]
    assert not found, "\n".join(map(str, found))


async def test_the_names_that_people_and_tools_rely_on(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    await expect(page.get_by_role("log", name="Conversation")).to_have_attribute("aria-live", "off")
    await expect(page.get_by_role("article", name="You said")).to_have_count(1)
    await expect(page.get_by_role("article", name="Assistant said")).to_have_count(1)
    for name in ("Send message", "Regenerate", "Edit message", "Copy message"):
        await expect(page.get_by_role("button", name=name).first).to_be_attached()
    await expect(page.get_by_role("textbox", name="Message")).to_be_visible()


async def test_twice_the_size_and_a_narrow_phone_need_no_sideways_scroll(
    context: BrowserContext, page: Page, app: App
) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=300, interval_ms=0, markdown=True)
    await chat.ended()
    for width in (640, 360, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_reduced_motion_is_respected(page: Page, app: App) -> None:
    await page.emulate_media(reduced_motion="reduce")
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=1, first_ms=20_000)
    await expect(chat.answers.locator(".dots i").first).to_be_visible()
    assert await page.evaluate("document.getAnimations().length") == 0
