"""`/insights` as a person sees it, and what the page says of cost, context and the survey."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.figures import card, numbers
from tests.forked import ForkedApp
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("insights")
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "model_prices": "bench=1000/2000"}
    with ForkedApp(folder, survey="true", **settings) as app:
        yield app


async def test_it_says_what_will_be_there_and_then_what_there_is(page: Page, app: App) -> None:
    await page.goto(app.url + "/insights")
    await expect(page.get_by_role("heading", name="Insights")).to_be_visible()
    await expect(page.get_by_text("Answers will be here by how they ended")).to_be_visible()
    assert await page.get_by_role("table").count() == 0
    await expect(card(page, "First token shown")).to_contain_text("nothing yet")

    await page.get_by_role("link", name="Rill").click()
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=4, first_ms=250)
    answer = await chat.ended()
    await answer.hover()
    await answer.get_by_role("button", name="Good answer").click()
    await answer.get_by_role("textbox", name="Remark").fill("Quick and right.")
    await answer.get_by_role("button", name="Save").click()
    await chat.ask(status=500)
    await chat.ended()
    while not app.http.get("/measures/?days=2").json()["first"]["count"]:
        await page.wait_for_timeout(20)

    await page.get_by_role("link", name="Insights").click()
    await expect(page).to_have_url(app.url + "/insights")
    await page.get_by_role("button", name="30 days").click()
    await expect(page.get_by_role("button", name="30 days")).to_have_attribute("aria-pressed", "true")
    await expect(card(page, "First token shown")).to_contain_text("target 90%")
    await expect(card(page, "Sessions that streamed")).to_contain_text("met")
    await expect(card(page, "Thumbs up")).to_contain_text("100%")
    waits = dict((await numbers(page, "From Enter to the first token"))[1:])
    assert waits["up to 500 ms"] == "1"
    used = {row[0]: row[1:] for row in await numbers(page, "Tokens and cost by model")}
    stored = (await messages(app))[1]
    read, written = (stored["usage"][name] for name in ("prompt_tokens", "completion_tokens"))
    assert used["bench"] == ["1", f"{read:,}", f"{written:,}", f"${(read + 2 * written) / 1_000:.2g}"]
    assert ["provider_error", "1"] in await numbers(page, "Failures by kind")
    await expect(page.get_by_role("link", name="Quick and right.")).to_have_attribute("href", re.compile("^/c/.*#"))
    assert await page.locator(".plot svg").count() >= 4
    async with page.expect_download() as saving:
        region = page.get_by_role("region", name="Tokens and cost by model", exact=True)
        await region.get_by_role("button", name="Download as CSV").click()
    download = await saving.value
    assert download.suggested_filename == "models-30-days.csv"
    assert (await download.path()).read_text().splitlines()[1].startswith("bench,1,")
    # A phone scrolls in the tables only.
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.wait_for_function("document.documentElement.scrollWidth === 390")


async def messages(app: App) -> list[dict[str, Any]]:
    """Of the chat that was used last."""
    (chat, *_) = app.http.get("/chats/").json()["chats"]
    found: list[dict[str, Any]] = app.http.get("/messages/", params={"chat_id": chat["id"]}).json()["messages"]
    return found


async def test_what_an_answer_and_a_chat_cost_is_said_on_demand(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=3)
    answer = await chat.ended()
    usage = (await messages(app))[1]["usage"]
    cost = (usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1_000
    said = f"{usage['prompt_tokens']} tokens read, {usage['completion_tokens']} written · ${cost:.2g}"
    await expect(answer.get_by_text(said)).to_have_count(0)
    await answer.hover()
    button = answer.get_by_role("button", name="Tokens and cost")
    await button.click()
    await expect(answer.get_by_text(said)).to_be_visible()
    await button.click()
    await expect(answer.get_by_text(said)).to_have_count(0)
    await page.get_by_role("button", name="Settings of this chat").click()
    await expect(page.get_by_text(f"So far {said}.")).to_be_visible()


async def seen(page: Page, answers: int) -> None:
    await page.wait_for_function("(answers) => localStorage.getItem('answers') === answers", arg=str(answers))


async def test_the_survey_asks_once_under_the_tenth_answer(page: Page, app: App) -> None:
    """Wherever they were given: most people begin a new chat for each question."""
    chat = await ChatPage(page, app).open()
    await page.evaluate("localStorage.setItem('answers', '6')")
    question = page.get_by_text("How fast do answers feel?")
    for answers in (7, 8, 9, 10):
        await expect(question).to_have_count(0)
        await chat.open("/")
        await chat.ask(tokens=1)
        await chat.ended()
        await seen(page, answers)
    await expect(question).to_be_visible()
    await page.get_by_role("button", name="fast", exact=True).click()
    await page.get_by_role("textbox", name="Remark").fill("Like typing.")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(question).to_have_count(0)
    (felt,) = app.http.get("/measures/?days=2").json()["survey"]
    assert (felt["feel"], felt["remark"], felt["group"]) == (5, "Like typing.", "streaming")
    await chat.ask(tokens=1)
    await chat.ended()
    await seen(page, 11)
    await expect(question).to_have_count(0)


async def test_esc_closes_the_survey_for_good(page: Page, app: App) -> None:
    chat = await ChatPage(page, app).open()
    await page.evaluate("localStorage.setItem('answers', '8')")
    question = page.get_by_text("How fast do answers feel?")
    # One that failed says nothing of it.
    await chat.ask(status=500)
    await chat.ended()
    for answers in (9, 10, 11):
        await chat.ask(tokens=1)
        await chat.ended()
        await seen(page, answers)
        if answers == 10:
            await expect(question).to_be_visible()
            await page.get_by_role("button", name="neither").press("Escape")
        await expect(question).to_have_count(0)
    await page.reload()
    await chat.open("/")
    assert await page.evaluate("localStorage.getItem('survey')") == "closed"


async def test_a_chat_that_fills_its_context_shows_how_far(
    page: Page, page_built: None, provider: Provider, tmp_path: Any
) -> None:
    """The double says how many tokens an answer took."""
    usage = {"prompt_tokens": 100_000, "completion_tokens": 2_400, "total_tokens": 102_400}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    delta = chunk | {"choices": [{"index": 0, "delta": {"content": "Long."}, "finish_reason": "stop"}]}
    raw = [f"data: {json.dumps(body)}\n\n" for body in (delta, chunk | {"choices": [], "usage": usage})]
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "context_tokens": "128000"}
    with ForkedApp(tmp_path, **settings) as app:
        chat = await ChatPage(page, app).open()
        meter = page.get_by_role("meter", name="Context in use")
        # The answer ends while the new chat gets its address.
        for _ in range(3):
            await chat.ask(script(raw=[*raw, "data: [DONE]\n\n"]))
            await chat.ended()
            await expect(meter).to_have_attribute("value", "80")
            await chat.open("/")
            await expect(meter).to_have_count(0)
