"""An answer that the model's limit cut off: the page and /embed say so and go on with it."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page
from tests.provider_client import script

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

SENTENCE = "The answer was cut off at the model's limit."


async def go_on(chat: ChatPage | EmbedPage) -> None:
    await chat.answers.last.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS"])
@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_an_answer_that_was_cut_off_goes_on(page: Page, app: App, opened: Open, reason: str) -> None:
    chat = await opened(page, app)
    # The question that goes on is ours, so the model answers it with its own words.
    await chat.ask(text="Half an answer", finish_reason=reason)
    answer = await chat.ended()
    await expect(answer.locator(".problem")).to_have_text(SENTENCE)
    await page.reload()
    await expect(chat.answers.last.locator(".problem")).to_have_text(SENTENCE)
    await go_on(chat)
    await expect(chat.answers.last).to_have_text(re.compile("^Half an answerThis is a short answer to: Go on exactly"))
    await expect(chat.answers.last.locator(".problem")).to_have_count(0)
    await expect(chat.answers).to_have_count(1)
    # What grows is stored in the journal first.
    await expect(chat.stop).to_have_count(0)
    question, stored = await chat.stored()
    assert stored["content"].startswith("Half an answerThis is a short answer")
    assert (stored["status"], stored["finish_reason"]) == ("complete", "stop")
    assert question["content"] == script(text="Half an answer", finish_reason=reason)


async def test_a_stopped_answer_goes_on_in_embed_too(page: Page, app: App) -> None:
    chat = await EmbedPage(page).open(app.url)
    await chat.ask(pieces=["Half an answer", "never"], stall_after=1)
    await expect(chat.answers.last).to_contain_text("Half an answer")
    await chat.stop.click()
    await expect(chat.answers.last.locator(".problem")).to_have_text("Stopped")
    await go_on(chat)
    await expect(chat.answers.last).to_contain_text("Half an answerThis is a short answer to")
    await expect(chat.answers).to_have_count(1)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"reasoning": ["hm"], "tokens": 0}, "thought about it, but wrote no answer"),
        ({"tokens": 0, "finish_reason": "content_filter"}, "content filter held this answer back"),
        ({"tokens": 0, "finish_reason": "tool_calls"}, "asked for a tool"),
        ({"text": "<think>hm", "finish_reason": "length"}, "limit while it was still thinking"),
    ],
)
@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_what_is_no_answer_is_told_and_may_be_tried_again(
    page: Page, app: App, opened: Open, keys: dict[str, object], sentence: str
) -> None:
    chat = await opened(page, app)
    await chat.ask(**keys)
    answer = await chat.ended()
    await expect(answer.locator(".problem")).to_contain_text(sentence)
    await expect(answer.get_by_role("button", name="Try again")).to_be_visible()
    await expect(answer.get_by_role("button", name="Continue")).to_have_count(0)
