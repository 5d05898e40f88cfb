"""What a person does on the page, in real Chromium, with the scripted provider behind the app."""

import re
from itertools import pairwise

import pytest
from playwright.async_api import BrowserContext, Page, WebSocketRoute, expect

from tests.app import App
from tests.e2e.chat import ChatPage, fold, record, recorded
from tests.provider import MARKDOWN, words
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

# As it is painted: the page's own observer, which is older, has done its work for this frame by then.
BELOW = """() => new Promise((resolve) => {
  const area = document.querySelector(".scroll-area");
  new ResizeObserver((_, observer) => {
    observer.disconnect();
    resolve(area.scrollHeight - area.scrollTop - area.clientHeight);
  }).observe(area);
})"""
WORDS = " ".join(f"tok{n}" for n in range(40))
# Tokens of the double's Markdown: six sections, and the next one's number.
UP_TO_SECTION_7 = 6 * len(words(MARKDOWN)) + 3


@pytest.mark.everyday
@pytest.mark.new_profile
async def test_an_answer_grows_and_stays(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    steps = [1, 10, 20, 30]
    await chat.ask(tokens=40, hold=steps)
    for tokens in steps:
        # There is no more yet.
        await expect(chat.answers.locator(".prose")).to_have_text(" ".join(WORDS.split()[:tokens]))
        provider.go()
    await expect(chat.answers).to_have_count(1)
    await chat.ended()
    assert await chat.text() == WORDS
    assert fold((await chat.stored())[-1]["content"]) == WORDS
    await page.reload()
    await expect(chat.answers.locator(".prose")).to_have_text(re.compile("tok39"))
    assert await chat.text() == WORDS


@pytest.mark.everyday
async def test_a_new_chat_has_an_address_and_a_place_in_the_list(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("What is a rill?")
    await page.wait_for_url(re.compile("/c/[0-9a-f-]{36}$"))
    await chat.ended()
    current = page.get_by_role("navigation", name="Chats").locator("[aria-current=page]")
    await expect(current).to_have_text("What is a rill?")
    await page.get_by_role("link", name="New chat").first.click()
    await expect(page).to_have_url(app.url + "/")
    await expect(chat.answers).to_have_count(0)
    await chat.chats.filter(has_text="What is a rill?").first.click()
    await expect(chat.questions.locator(".bubble")).to_have_text("What is a rill?")


async def test_the_context_goes_along(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("First question")
    await chat.ended()
    provider.clear()
    await chat.ask("Second question")
    await expect(chat.answers).to_have_count(2)
    await chat.ended()
    asked = [request for request in provider.requests() if request["path"].endswith("/chat/completions")]
    roles = [message["role"] for message in asked[-1]["body"]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert asked[-1]["body"]["messages"][1]["content"] == "First question"


async def test_it_says_that_the_assistant_is_typing_until_the_first_token(
    page: Page, app: App, provider: Provider
) -> None:
    chat = await ChatPage(page, app).open()
    provider.clear()
    await chat.ask(tokens=3, hold=[0, 1])
    await expect(chat.answers.get_by_text("Assistant is typing")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="Assistant is typing")).to_have_count(1)
    await provider.until(bool)
    provider.go()
    await expect(chat.answers.locator(".prose")).to_have_text("tok0")
    await expect(chat.answers.get_by_text("Assistant is typing")).to_have_count(0)
    provider.go()
    await expect(page.get_by_role("status").filter(has_text="Answer complete")).to_have_count(1)


@pytest.mark.everyday
async def test_stop_ends_the_providers_request_and_keeps_the_text(page: Page, app: App, provider: Provider) -> None:
    provider.clear()
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok5")
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    await provider.until(lambda seen: any(request["closed_by_client"] for request in seen))
    stored = (await chat.stored())[-1]
    assert stored["status"] == "stopped"
    assert await chat.text() == fold(stored["content"])
    await expect(chat.send).to_be_visible()


async def test_stop_before_the_first_token(page: Page, app: App, provider: Provider) -> None:
    provider.clear()
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=5, first_ms=30_000)
    await provider.until(bool)
    await chat.stop.click()
    await expect(chat.answers.locator(".problem")).to_have_text("Stopped")
    await provider.until(lambda seen: any(request["closed_by_client"] for request in seen))
    await chat.ask("And now?")
    await expect(chat.answers).to_have_count(2)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"status": 401}, "does not accept the key"),
        ({"status": 429, "retry_after": 7}, "Try again in 7 seconds"),
        ({"status": 500}, "has a problem"),
        ({"tokens": 20, "reset_after": 6}, "broke off"),
        ({"tokens": 20, "drop_after": 6}, "broke off"),
    ],
    ids=["401", "429", "500", "reset", "drop"],
)
async def test_a_failure_is_a_toast_with_the_reason_and_keeps_the_text(
    page: Page, app: App, keys: dict[str, int], sentence: str
) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(**keys)
    await expect(chat.toasts).to_contain_text(sentence)
    await expect(chat.answers.locator(".problem")).to_contain_text(sentence)
    stored = (await chat.stored())[-1]
    assert stored["status"] == "failed"
    if "tokens" in keys:
        assert await chat.text() == fold(stored["content"]) == "tok0 tok1 tok2 tok3 tok4 tok5"
    await page.reload()
    await expect(chat.answers.locator(".problem")).to_contain_text(sentence)


@pytest.mark.everyday
async def test_the_toast_of_a_failure_offers_to_try_again(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(status=500)
    await chat.ended()
    provider.clear()
    await chat.toasts.get_by_role("button", name="Try again").click()
    await expect(chat.answers.get_by_text("2 / 2")).to_be_visible()
    assert len(provider.requests()) == 1


async def test_a_failure_that_would_come_again_has_no_such_offer(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(status=401)
    await expect(chat.toasts).to_contain_text("does not accept the key")
    await expect(chat.toasts.get_by_role("button", name="Try again")).to_have_count(0)


@pytest.mark.everyday
async def test_shift_enter_breaks_the_line(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.fill("one")
    await chat.box.press("Shift+Enter")
    await chat.box.press_sequentially("two")
    await chat.box.press("Enter")
    await expect(chat.questions.locator(".bubble")).to_have_text("one\ntwo")
    await expect(chat.box).to_have_value("")
    assert (await chat.stored())[0]["content"] == "one\ntwo"


async def test_nothing_is_sent_from_an_empty_box(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.press("Enter")
    await chat.ask("Something")
    await chat.box.press("Enter")
    await chat.ended()
    await chat.box.press("Enter")
    await expect(chat.send).to_be_visible()
    await expect(page.get_by_role("article", name="Waiting question")).to_have_count(0)
    assert len(await chat.stored()) == 2


async def test_a_refused_message_comes_back_into_the_box(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    long = "x" * 20_001
    await chat.box.fill(long)
    await chat.box.press("Enter")
    await expect(chat.toasts).to_contain_text("at most 20,000 are allowed")
    await expect(chat.box).to_have_value(long)


async def test_what_is_typed_right_after_the_first_message_is_kept(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=20, interval_ms=20)
    await page.keyboard.type("the next question, while the address changes")
    await chat.ended()
    await expect(chat.box).to_have_value("the next question, while the address changes")
    await expect(chat.box).to_be_focused()
    await page.get_by_role("link", name="New chat").first.click()
    await expect(chat.box).to_have_value("")


@pytest.mark.everyday
async def test_the_draft_survives_a_reload(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.box.fill("half a thought")
    await page.reload()
    await expect(chat.box).to_have_value("half a thought")


async def test_the_growing_answer_stays_in_view_until_the_reader_scrolls_up(
    page: Page, app: App, provider: Provider
) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, burst=1_000, interval_ms=5, markdown=True, hold=[UP_TO_SECTION_7])
    await expect(chat.answers.locator(".prose")).to_contain_text("Section 7:")
    assert await page.evaluate(BELOW) < 60
    # What still stands as plain text gets another height when it is drawn, and the end moves with it.
    await expect(chat.answers.locator(".awaited")).to_have_count(0)
    assert await page.evaluate(BELOW) < 60
    top = "() => document.querySelector('.scroll-area').scrollTop"
    held = await page.evaluate(top) - 900
    await page.mouse.move(700, 400)
    await page.mouse.wheel(0, -900)
    # Nobody else hears how far the wheel has got.
    await page.wait_for_function(f"(held) => ({top})() === held", arg=held)
    jump = page.get_by_role("button", name="Jump to latest")
    await expect(jump).to_be_visible()
    provider.go()
    await expect(chat.answers.locator(".prose")).to_contain_text("Section 10")
    assert await page.evaluate(top) == held
    await jump.click()
    await expect(jump).to_have_count(0)
    await expect(chat.answers.locator(".prose")).to_contain_text("Section 13")
    assert await page.evaluate(BELOW) < 60
    await chat.stop.click()
    await chat.ended()


async def test_an_unknown_chat_is_explained(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await page.goto(app.url + "/c/no-such-chat")
    await expect(page.get_by_role("heading", name="This chat is not here")).to_be_visible()
    await page.get_by_role("link", name="Begin a new chat").click()
    await expect(chat.box).to_be_visible()


async def test_a_second_tab_and_an_outside_program_see_the_same_answer_grow(
    context: BrowserContext, page: Page, app: App
) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    second = await ChatPage(await context.new_page(), app).open(f"/c/{await chat.chat_id()}")
    body = {"chat_id": await chat.chat_id(), "content": script(tokens=30, interval_ms=30)}
    await page.request.post(f"{app.url}/messages/", data=body)
    for tab in (chat, second):
        await expect(tab.answers.nth(1).locator(".prose")).to_contain_text("tok29")
        await expect(tab.questions).to_have_count(2)
    assert await chat.text() == await second.text() == fold((await chat.stored())[-1]["content"])


@pytest.mark.everyday
async def test_a_reload_in_mid_answer_goes_on(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await record(page)
    # Endless, for a busy machine may take any time to load the page.
    await chat.ask(tokens=-1, interval_ms=25)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    await page.reload()
    await expect(chat.answers.locator(".prose")).to_contain_text("tok20")
    shown = len((await chat.text()).split())
    await expect(chat.answers.locator(".prose")).to_contain_text(f"tok{shown + 20}")
    await chat.stop.click()
    await chat.ended()
    assert await chat.text() == fold((await chat.stored())[-1]["content"])
    # What was shown is never taken back, not for a moment.
    steps = [fold(step).removeprefix("Assistant is typing") for step in await recorded(page)]
    taken_back = [(step[-60:], later[-60:]) for step, later in pairwise(steps) if not later.startswith(step)]
    assert not taken_back


@pytest.mark.new_profile
async def test_saved_text_stays_until_the_live_one_comes(page: Page, app: App) -> None:
    held: list[str | bytes] = []

    def routed(to_page: WebSocketRoute) -> None:
        to_server = to_page.connect_to_server()
        to_page.on_message(to_server.send)

        def from_server(said: str | bytes) -> None:
            if '"w_rx_state_":[0,"tok0 ' in str(said):
                held.append(said)
            else:
                to_page.send(said)

        to_server.on_message(from_server)

    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=-1, interval_ms=25)
    await expect(chat.answers.locator(".prose")).to_contain_text("tok40")
    await page.route_web_socket(re.compile("/_event"), routed)
    await page.reload()
    while not held:
        await page.wait_for_timeout(10)
    # What was said before that is on the page with what is said after it.
    app.http.patch(f"/chats/{await chat.chat_id()}", json={"title": "Read"}).raise_for_status()
    await expect(chat.chats.get_by_text("Read")).to_be_visible()
    assert "tok20" in await chat.text()
    reply = (await chat.stored())[-1]["id"]
    app.http.post(f"/messages/{reply}/stop").raise_for_status()


@pytest.mark.new_profile
async def test_a_phone_has_no_sideways_scroll_and_a_drawer(context: BrowserContext, page: Page, app: App) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=200, interval_ms=1, markdown=True)
    await chat.ended()
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 360
    await expect(chat.chats.first).not_to_be_in_viewport()
    await page.get_by_role("button", name="Show chats").click()
    await expect(chat.chats.first).to_be_in_viewport()


@pytest.mark.new_profile
async def test_the_theme_follows_the_system_and_can_be_switched(page: Page, app: App) -> None:
    await page.emulate_media(color_scheme="dark")
    await ChatPage(page, app).open()
    await expect(page.locator("html")).to_have_class(re.compile("dark"))
    await page.get_by_role("button", name="Theme").click()
    await page.get_by_role("menuitem", name="Light").click()
    await expect(page.locator("html")).to_have_class(re.compile("light"))
    await page.reload()
    await expect(page.locator("html")).to_have_class(re.compile("light"))
