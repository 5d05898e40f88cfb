"""Only what is new travels: the websocket's frames are counted in the browser."""

from collections.abc import Callable

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = pytest.mark.anyio


async def sizes(chat: ChatPage, frames: list[int], tokens: int, nth: int) -> tuple[float, float]:
    """How many times the text's size was sent, and how many bytes a frame had beside its share of the text."""
    frames.clear()
    # Markdown repeats itself: its tokens are as long in a long answer as in a short one.
    await chat.ask(tokens=tokens, interval_ms=5, markdown=True)
    await expect(chat.answers.nth(nth).locator(".figures")).to_contain_text("tokens/s", timeout=90_000)
    sent, text = sum(frames), len((await chat.stored())[-1]["content"])
    return sent / text, (sent - text) / len(frames)


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
    short, beside_short = await sizes(chat, frames, tokens=500, nth=1)
    long, beside_long = await sizes(chat, frames, tokens=4000, nth=2)
    figure(
        f"payload ÷ text: {short:.2f} for 500 tokens, {long:.2f} for 4,000; "
        f"{beside_short:.0f} and {beside_long:.0f} bytes a frame beside the text"
    )
    assert short <= 10
    assert abs(long - short) <= 0.2 * short
    # However many frames there are, each costs the same, also late in a long answer.
    assert abs(beside_long - beside_short) <= 0.2 * beside_short
