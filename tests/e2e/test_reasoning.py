"""What a model thinks, on the page: folded above what it led to."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, record, recorded
from tests.e2e.chat import fold as fold_space
from tests.e2e.embed import EmbedPage
from tests.page_client import window_of
from tests.provider_client import Provider

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

THOUGHTS = ["Let me **see**: ", "six times ", "seven."]
SPOKEN = "div.visually-hidden[role=status]"
FOLD = re.compile("^(Thinking|Thought)")


def folds(chat: ChatPage | EmbedPage) -> Locator:
    return chat.answers.last.get_by_role("button", name=FOLD)


def bodies(chat: ChatPage | EmbedPage) -> Locator:
    return chat.answers.last.locator(".folded .prose")


async def parts(chat: ChatPage | EmbedPage) -> list[str]:
    """What the newest answer shows from top to bottom, a part each, seconds left out."""
    texts = await chat.answers.last.locator(".reply > *").all_inner_texts()
    return [re.sub(r"\d+ s", "N s", fold_space(text)) for text in texts]


async def test_a_model_is_seen_to_think_and_its_thoughts_are_there_for_whoever_opens_them(
    page: Page, app: App, provider: Provider
) -> None:
    chat = await ChatPage(page, app).open()
    provider.clear()
    await record(page, SPOKEN)
    await chat.ask(reasoning=THOUGHTS, pieces=["Forty", "-two"], hold=[0, 1])
    fold = folds(chat)
    await expect(fold).to_have_text("Thinking … 1 s")
    await expect(chat.answers.last).not_to_contain_text("Assistant is typing")
    assert "six times" not in await chat.answers.last.inner_html()
    await fold.press("Enter")
    await expect(fold).to_have_attribute("aria-expanded", "true")
    await expect(bodies(chat)).to_have_text("Let me see: six times seven.")
    provider.go()
    await expect(fold).to_have_text(re.compile(r"^Thought for \d+ s$"))
    # It stays open while the answer grows.
    await expect(bodies(chat)).to_be_visible()
    provider.go()
    answer = await chat.ended()
    spoken = [text for text in await recorded(page, SPOKEN) if text]
    assert spoken[-3:] == ["Assistant is thinking", "Assistant is typing", "Answer complete"]
    assert spoken.count("Assistant is thinking") == 1
    assert await parts(chat) == ["Thought for N s Let me see: six times seven.", "Forty-two"]
    await fold.click()
    await expect(bodies(chat)).to_have_count(0)
    await expect(answer).not_to_contain_text("six times")
    assert [message["content"] for message in await chat.stored()][1:] == ["Forty-two"]


async def test_thoughts_that_are_stored_come_when_they_are_opened(page: Page, app: App) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    long = "Let me **see**.\n\n" + "nine times nine\n" * 6_500
    chat_id = import_answer(app, long, "Forty-two", ms=62_000)
    chat = ChatPage(page, app)
    await page.goto(f"{app.url}/c/{chat_id}")
    fold = folds(chat)
    await expect(fold).to_have_text("Thought for 1 min 2 s")
    assert frames and not any("nine times" in frame for frame in frames)
    await page.route("**/messages/*?include=*", lambda route: route.abort())
    await fold.click()
    await expect(chat.answers.last).to_contain_text("The thoughts could not be loaded.")
    await page.unroute_all()
    await chat.answers.last.get_by_role("button", name="Try again").click()
    # What is long is drawn a little at a time.
    await expect(bodies(chat)).to_have_text(fold_space(long.replace("*", "")), use_inner_text=True)


def import_answer(app: App, thoughts: str, text: str, ms: int) -> str:
    parts = [{"type": "reasoning", "chars": len(thoughts), "ms": ms}, {"type": "text", "chars": len(text)}]
    question = {"id": "1", "role": "user", "content": "Well?"}
    answer = {"id": "2", "parent_id": "1", "role": "assistant", "content": text, "reasoning": thoughts, "parts": parts}
    file = {"version": 1, "chat": {"title": "Thoughts"}, "messages": [question, answer]}
    chat_id: str = app.http.post("/chats/import", json=file).raise_for_status().json()["id"]
    return chat_id


async def test_a_tab_that_comes_in_mid_thought_goes_on_to_count(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    provider.clear()
    await chat.ask(reasoning=THOUGHTS, text="Forty-two", hold=[0])
    await expect(folds(chat)).to_have_text("Thinking … 1 s")
    await chat.chat_id()
    await page.reload()
    await expect(folds(chat)).to_have_text(re.compile(r"^Thinking … [1-9]\d* s$"))
    await folds(chat).click()
    await expect(bodies(chat)).to_have_text("Let me see: six times seven.")
    provider.go()
    await expect(chat.answers.last).to_contain_text("Forty-two")
    await expect(folds(chat)).to_have_text(re.compile(r"^Thought for [1-9]\d* s$"))


async def test_thoughts_and_text_take_turns_and_so_do_versions(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    provider.clear()
    deltas = [{"reasoning_content": "First."}, {"content": "One, "}, {"reasoning_content": "Second."}]
    await chat.ask(deltas=deltas, pieces=["two."], hold=[0])
    await expect(folds(chat)).to_have_count(2)
    assert await parts(chat) == ["Thought for N s", "One,", "Thinking …"]
    provider.go()
    await chat.ended()
    expected = ["Thought for N s", "One,", "Thought for N s", "two."]
    assert await parts(chat) == expected
    await page.reload()
    await expect(folds(chat)).to_have_count(2)
    assert await parts(chat) == expected
    for fold in await folds(chat).all():
        await fold.click()
    await expect(bodies(chat)).to_have_text(["First.", "Second."])
    await chat.again("Regenerate")
    await expect(folds(chat).last).to_contain_text("Thinking")
    provider.go()
    await chat.ended()
    assert await parts(chat) == expected
    await page.get_by_role("button", name="Previous version").click()
    await expect(chat.answers.last).to_contain_text("1 / 2")
    assert await parts(chat) == expected


async def test_a_stop_keeps_the_thoughts(page: Page, app: App, provider: Provider) -> None:
    chat = await ChatPage(page, app).open()
    provider.clear()
    await chat.ask(reasoning=THOUGHTS, text="Forty-two", hold=[0])
    await expect(folds(chat)).to_contain_text("Thinking")
    await chat.stop.click()
    await chat.ended()
    await expect(folds(chat)).to_have_text("Thought for 1 s")
    await folds(chat).click()
    await expect(bodies(chat)).to_have_text("Let me see: six times seven.")
    await page.reload()
    await expect(folds(chat)).to_have_text("Thought for 1 s")
    await expect(chat.answers.last.locator(".problem")).to_have_text("Stopped")


async def test_thoughts_are_sent_once(page: Page, app: App, provider: Provider) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    chat = await ChatPage(page, app).open()
    await chat.ask("Hello")
    await chat.ended()
    await chat.open(f"/c/{await chat.chat_id()}")
    # No longer, for they are part of the question.
    thoughts = [f"{n}: {'thinking ' * 11}\n" for n in range(150)]
    await chat.ask(reasoning=thoughts, text="Forty-two", interval_ms=5)
    answer = await chat.ended()
    assert "99: thinking" not in await answer.inner_html()
    windows = [window for frame in frames if (window := window_of(frame))]
    sent = sum(len(text) for _, text in windows)
    assert len(windows) > 10 and sent < sum(map(len, thoughts)) + 200
    await folds(chat).click()
    await expect(bodies(chat)).to_contain_text("149: thinking")


async def test_the_embedded_page_shows_them_too(page: Page, app: App, provider: Provider) -> None:
    chat = await EmbedPage(page).open(app.url)
    provider.clear()
    deltas = [{"reasoning_content": "First."}, {"content": "One, "}, {"reasoning_content": "Let me **see**."}]
    await chat.ask(deltas=deltas, pieces=["two."], hold=[0])
    await expect(folds(chat)).to_have_text(["Thought for 1 s", "Thinking … 1 s"])
    await expect(chat.answers.last).not_to_contain_text("Assistant is typing")
    assert "Let me" not in await chat.answers.last.inner_html()
    await folds(chat).last.press("Enter")
    await expect(bodies(chat)).to_have_text("Let me see.")
    await page.reload()
    await expect(folds(chat).last).to_contain_text("Thinking")
    provider.go()
    expected = ["Thought for N s", "One,", "Thought for N s", "two."]
    await expect(chat.answers.last).to_contain_text("two.")
    assert await parts(chat) == expected
    await page.reload()
    await expect(folds(chat)).to_have_count(2)
    assert await parts(chat) == expected
    await folds(chat).last.click()
    await expect(bodies(chat)).to_have_text("Let me see.")


async def test_the_embedded_page_says_once_that_it_thinks(page: Page, app: App, provider: Provider) -> None:
    chat = await EmbedPage(page).open(app.url)
    provider.clear()
    await chat.ask(reasoning=["hm"], pieces=["Forty", "-two"], hold=[0, 1])
    await expect(chat.status.filter(has_text="Assistant is thinking")).to_have_count(1)
    provider.go()
    await expect(chat.status.filter(has_text="Assistant is typing")).to_have_count(1)
    provider.go()
    await chat.ended()
