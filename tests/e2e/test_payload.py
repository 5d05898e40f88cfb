"""Only what is new travels: the websocket's frames are counted in the browser."""

from collections.abc import Callable

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = pytest.mark.anyio


async def ratio(chat: ChatPage, frames: list[int], tokens: int, nth: int) -> float:
    frames.clear()
    # Markdown repeats itself: its tokens are as long in a long answer as in a short one.
    await chat.ask(tokens=tokens, interval_ms=5, markdown=True)
    await expect(chat.answers.nth(nth).locator(".figures")).to_contain_text("tokens/s", timeout=90_000)
    return sum(frames) / len((await chat.stored())[-1]["content"])


async def test_the_payload_is_a_small_multiple_of_the_text_however_long_it_is(
    page: Page, app: App, figure: Callable[[object], None]
) -> None:
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(len(data))))
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    # Loaded afresh, so that nothing of the load is still under way.
    await chat.open(f"/c/{await chat.chat_id()}")
    await expect(chat.answers).to_have_count(1)
    short = await ratio(chat, frames, tokens=500, nth=1)
    long = await ratio(chat, frames, tokens=4000, nth=2)
    figure(f"payload ÷ text: {short:.2f} for 500 tokens, {long:.2f} for 4,000")
    assert short <= 10
    assert abs(long - short) <= 0.2 * short
