"""What can be done with a message: versions, edit, copy, rate; and what stands under it."""

import re
from collections.abc import Callable

import pytest
from playwright.async_api import BrowserContext, Page, WebSocketRoute, expect

from tests.app import App
from tests.e2e.chat import NEWEST_ANSWER, ChatPage, fold, record
from tests.provider_client import Provider

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]


async def asked(page: Page, app: App, content: str = "What is a rill?") -> ChatPage:
    chat = await ChatPage(page, app).open()
    await chat.ask(content)
    await chat.ended()
    return chat


async def test_versions_of_an_answer(page: Page, app: App) -> None:
    chat = await asked(page, app)
    first = (await chat.stored())[-1]["id"]
    await chat.again("Regenerate")
    await expect(chat.answers.get_by_text("2 / 2")).to_be_visible()
    second = (await chat.stored())[-1]["id"]
    assert first != second
    await page.get_by_role("button", name="Previous version").click()
    await expect(chat.answers.get_by_text("1 / 2")).to_be_visible()
    assert (await chat.stored())[-1]["id"] == first
    await expect(page.get_by_role("button", name="Previous version")).to_be_disabled()
    await page.reload()
    await expect(chat.answers.get_by_text("1 / 2")).to_be_visible()
    await page.get_by_role("button", name="Next version").click()
    await expect(chat.answers.get_by_text("2 / 2")).to_be_visible()
    await expect(chat.answers).to_have_count(1)


@pytest.mark.everyday
async def test_an_edited_question_is_asked_again_beside_the_old_one(page: Page, app: App, provider: Provider) -> None:
    chat = await asked(page, app, "First wording")
    await chat.ask("A second question")
    await expect(chat.answers).to_have_count(2)
    await chat.ended()
    provider.clear()
    await chat.questions.first.hover()
    await chat.questions.first.get_by_role("button", name="Edit message").click()
    box = page.get_by_role("textbox", name="Edit your message")
    await expect(box).to_be_focused()
    await box.fill("Second wording")
    await chat.again("Send")
    await expect(chat.box).to_be_focused()
    await expect(chat.questions.locator(".bubble")).to_have_text(["Second wording"])
    await chat.ended()
    await expect(chat.answers.locator(".prose")).to_contain_text("Second wording")
    await expect(chat.questions.get_by_text("2 / 2")).to_be_visible()
    assert [message["content"] for message in provider.requests()[-1]["body"]["messages"]][1:] == ["Second wording"]
    await chat.questions.get_by_role("button", name="Previous version").click()
    await expect(chat.questions.locator(".bubble")).to_have_text(["First wording", "A second question"])


async def test_cancel_leaves_the_question_as_it_is(page: Page, app: App) -> None:
    chat = await asked(page, app)
    await chat.questions.hover()
    await page.get_by_role("button", name="Edit message").click()
    await page.get_by_role("textbox", name="Edit your message").fill("something else")
    await page.get_by_role("button", name="Cancel").click()
    await expect(chat.questions.locator(".bubble")).to_have_text("What is a rill?")
    edit = page.get_by_role("button", name="Edit message")
    await expect(edit).to_be_focused()
    await edit.press("Enter")
    await page.get_by_role("textbox", name="Edit your message").press("Escape")
    await expect(chat.questions.locator(".bubble")).to_have_text("What is a rill?")
    await expect(edit).to_be_focused()


@pytest.mark.new_profile
async def test_a_form_stays_open_where_a_new_chat_gets_its_address_late(page: Page, app: App) -> None:
    """As on a busy machine: the server is told only now that the page has another address, though it has the chat."""
    late: list[Callable[[], None]] = []

    def routed(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def to_server(message: str | bytes) -> None:
            if "on_load_internal" in str(message):
                late.append(lambda: server.send(message))
            else:
                server.send(message)

        socket.on_message(to_server)
        server.on_message(socket.send)

    await page.route_web_socket(re.compile("/_event"), routed)
    chat = await asked(page, app)
    await chat.questions.hover()
    await page.get_by_role("button", name="Edit message").click()
    field = page.get_by_role("textbox", name="Edit your message")
    await field.fill("something else")
    [tell] = late
    tell()
    # What the server says after that comes after that.
    app.http.patch(f"/chats/{await chat.chat_id()}", json={"title": "Loaded"}).raise_for_status()
    await expect(chat.chats.get_by_text("Loaded")).to_be_visible()
    await expect(field).to_have_value("something else")


async def test_copy_gives_the_text_as_it_was_written(context: BrowserContext, page: Page, app: App) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    chat = await ChatPage(page, app).open()
    await chat.ask(text="**bold** and `code`\n\n- a list")
    answer = await chat.ended()
    said = f"{NEWEST_ANSWER} [role=status]"
    await record(page, said)
    await answer.get_by_role("button", name="Copy message").click()
    # Said for a moment only.
    await page.wait_for_function("(said) => window.recorded[said].at(1) === 'Copied'", arg=said)
    assert await page.evaluate("navigator.clipboard.readText()") == "**bold** and `code`\n\n- a list"


async def test_thumbs_are_kept(page: Page, app: App) -> None:
    await asked(page, app)
    good = page.get_by_role("button", name="Good answer")
    await good.click()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await good.click()
    await expect(good).to_have_attribute("aria-pressed", "false")


async def test_a_remark_comes_with_a_thumb_and_is_kept(page: Page, app: App) -> None:
    chat = await asked(page, app)
    await page.get_by_role("button", name="Bad answer").click()
    box = page.get_by_role("textbox", name="Remark")
    await expect(box).to_be_focused()
    await box.fill("It names no river.")
    await box.press("Enter")
    await expect(box).to_have_count(0)
    again = page.get_by_role("button", name="Edit remark")
    await expect(again).to_be_focused()
    stored = (await chat.stored())[-1]
    assert (stored["rating"], stored["remark"]) == (-1, "It names no river.")
    await page.reload()
    await expect(again).to_have_attribute("aria-expanded", "false")
    await again.click()
    await expect(again).to_have_attribute("aria-expanded", "true")
    await expect(box).to_have_value("It names no river.")
    # The other thumb keeps it; the same thumb again takes both back.
    await page.get_by_role("button", name="Good answer").click()
    await expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    stored = (await chat.stored())[-1]
    assert (stored["rating"], stored["remark"]) == (1, "It names no river.")
    await page.get_by_role("button", name="Good answer").click()
    await expect(again).to_have_count(0)
    await expect(box).to_have_count(0)
    stored = (await chat.stored())[-1]
    assert (stored["rating"], stored["remark"]) == (0, "")


async def test_esc_closes_the_remark_and_nothing_else(page: Page, app: App) -> None:
    chat = await asked(page, app)
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.nth(1).locator(".prose")).to_contain_text("tok5")
    await chat.answers.first.hover()
    await chat.answers.first.get_by_role("button", name="Good answer").click()
    box = page.get_by_role("textbox", name="Remark")
    await expect(box).to_be_focused()
    await box.fill("never mind")
    await box.press("Shift+Enter")
    await box.press("Escape")
    await expect(box).to_have_count(0)
    await expect(page.get_by_role("button", name="Add a remark")).to_be_focused()
    assert [message["remark"] for message in await chat.stored()] == ["", "", "", ""]
    await expect(chat.stop).to_be_visible()
    await chat.stop.click()
    await expect((await chat.ended()).locator(".problem")).to_have_text("Stopped")


async def test_figures_and_time_stand_under_an_answer(page: Page, app: App) -> None:
    chat = await asked(page, app)
    figures = chat.answers.locator(".figures")
    await expect(figures).to_have_text(re.compile(r"^bench · first token [\d.]+ m?s · \d+ tokens/s$"))
    await expect(chat.answers.locator("time")).to_have_text(re.compile(r"\d{1,2}:\d\d"))


async def test_markdown_of_all_kinds(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    text = (
        "# Title\n\nA [link](https://example.com) and ~~struck~~ text.\n\n- [x] done\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('hi')\n```\n\n"
        "Inline \\(x^2\\) and\n\n$$\\int_0^1 x\\,dx$$\n\n```mermaid\ngraph LR; A-->B\n```\n"
    )
    await chat.ask(text=text)
    answer = await chat.ended()
    await expect(answer.get_by_role("heading", name="Title")).to_be_visible()
    link = answer.get_by_role("link", name="link")
    await expect(link).to_have_attribute("target", "_blank")
    await expect(link).to_have_attribute("rel", re.compile("noopener"))
    await expect(answer.locator("table td").first).to_have_text("1")
    await expect(answer.locator("pre code span[style]").first).to_be_visible()
    await expect(answer.locator(".katex")).to_have_count(2)
    await expect(
        answer.locator("[data-streamdown=mermaid-block] svg, [data-streamdown=mermaid] svg").first
    ).to_be_visible()


@pytest.mark.new_profile
async def test_maths_and_diagrams_are_loaded_when_one_appears(page: Page, app: App) -> None:
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    chat = await asked(page, app)
    assert not [url for url in loaded if re.search("mermaid|katex", url)]
    await chat.ask(text="$$x$$")
    await expect(chat.answers.locator(".katex")).to_have_count(1)
    assert [url for url in loaded if re.search("katex", url)]


async def test_right_to_left_text_runs_right_to_left(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(text="مرحبا بالعالم")
    answer = await chat.ended()
    direction = "(element) => getComputedStyle(element).direction"
    assert await answer.get_by_text("مرحبا").evaluate(direction) == "rtl"
    assert fold(await chat.text()) == "مرحبا بالعالم"
