"""Only what is new travels: the websocket's frames are counted in the browser."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.forked import ForkedApp
from tests.page_client import window_of
from tests.provider_client import Provider

pytestmark = pytest.mark.anyio

# What comes of a load, each in a frame of its own.
LOADED = ['"loading_rx_state_":false', '"too_long_rx_state_"', '"model_rx_state_":"bench"', '"own_rx_state_"']


@dataclass(frozen=True, slots=True)
class Sent:
    """What came for one answer: how many times its text's size, and what was sent beside the text."""

    ratio: float
    frame: list[int]  # beside the text, of each frame that brings text, but for the last one
    rest: int  # all of the last one, which may bring the end as well, and of those that bring no text


def sent(frames: list[str], text: str) -> Sent:
    beside, so_far, rest = [], "", 0
    for frame in frames:
        if window := window_of(frame):
            offset, piece = window
            assert offset == len(so_far)
            so_far += piece
            beside.append(len(frame) - len(json.dumps(piece, ensure_ascii=False)))
        else:
            rest += len(frame)
    assert so_far == text
    *most, last = beside
    return Sent(sum(map(len, frames)) / len(text), most, rest + last)


async def answered(chat: ChatPage, provider: Provider, frames: list[str], tokens: int, nth: int) -> Sent:
    # What is said of the answer before comes a moment after its end.
    await expect(chat.page.get_by_role("img", name="Being answered")).to_have_count(0)
    frames.clear()
    # Markdown repeats itself: its tokens are as long in a long answer as in a short one. Held, so that there is more
    # than one frame on any machine.
    await chat.ask(tokens=tokens, interval_ms=5, markdown=True, hold=[3])
    await expect(chat.answers.nth(nth).locator(".prose")).to_contain_text("Section 1:")
    provider.go()
    await expect(chat.answers.nth(nth).locator(".figures")).to_contain_text("tokens/s", timeout=90_000)
    return sent(frames, (await chat.stored())[-1]["content"])


@pytest.fixture
def alone(page_built: None, provider: Provider, tmp_path: Path) -> Iterator[App]:
    """An app of its own, which asks for no titles: in the one that tests share, other chats' changes come to the side
    bar."""
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench", chat_titles="false") as app:
        yield app


async def test_the_payload_is_a_small_multiple_of_the_text_however_long_it_is(
    page: Page, alone: App, provider: Provider, figure: Callable[[object], None]
) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    chat = await ChatPage(page, alone).open()
    await chat.ask("Hello")
    await chat.ended()
    # Loaded afresh, until nothing of the load is still under way.
    frames.clear()
    await chat.open(f"/c/{await chat.chat_id()}")
    while not all(any(name in frame for frame in frames) for name in LOADED):
        await page.wait_for_timeout(20)
    await expect(chat.answers).to_have_count(1)
    short = await answered(chat, provider, frames, tokens=300, nth=1)
    long = await answered(chat, provider, frames, tokens=900, nth=2)
    figure(
        f"payload ÷ text: {short.ratio:.2f} for 300 tokens, {long.ratio:.2f} for 900; "
        f"{mean(short.frame):.0f} and {mean(long.frame):.0f} bytes a frame beside the text"
    )
    assert short.ratio <= 10 and long.ratio <= 10
    # No text comes twice (`sent`), each frame costs the same, also late in a long answer, and all that is no text comes
    # once. How many tokens go together is the machine's doing.
    assert abs(mean(long.frame) - mean(short.frame)) <= 0.2 * mean(short.frame)
    for answer in (short, long):
        # The first one also names the answer, and says for how long the server had its first token.
        first, *more = answer.frame
        assert first <= 130 and max(more) <= 30
        assert answer.rest <= 4_000
