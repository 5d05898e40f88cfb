"""What an agent says beside its text, on the page and in `/embed`: steps, sources, what to ask next."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page

pytestmark = [pytest.mark.anyio, pytest.mark.used_tab]

HTML = "<img src=x onerror=alert(1)><b>bold</b>"


@pytest.fixture(scope="module")
def agent(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("agent")
    hooks = "tests.examples.moderator:setup"
    with App(folder, replies="tests.examples.stepper:reply", hooks=hooks) as app:
        yield app


def step(id: str, state: str = "done", **more: Any) -> list[Any]:
    return ["step", {"id": id, "title": id.capitalize(), "state": state, **more}]


def lines(answer: Locator) -> Locator:
    return answer.locator(".steps:visible > li > div > button, .steps:visible > li > .fold")


ANSWER = [
    step("searching", "running", input="rain"),
    step("reading", parent="searching", output={"words": 3}),
    step("parsing", "failed", output=HTML, parent="searching"),
    step("searching", "done", output="2 pages"),
    step("thinking"),
    "It rains ",
    ["source", {"title": "Rain", "url": "https://example.org/rain/"}],
    ["source", {"title": HTML, "url": "https://example.org/<b>"}],
    ["source", {"title": "A book"}],
    ["source", {"title": "Rain", "url": "https://example.org/rain/"}],
    ["chart", {"values": [1, 2]}],
    "**now**.",
    ["suggestions", {"texts": ['["Snow."]', HTML]}],
]


async def looked_at(answer: Locator) -> None:
    await expect(lines(answer)).to_have_text(["Searching … done", "Thinking … done"])
    await expect(answer.locator(".prose")).to_have_text("It rains now.")
    await lines(answer).first.click()
    await expect(lines(answer)).to_have_text(
        ["Searching … done", "Reading … done", "Parsing … failed", "Thinking … done"]
    )
    await expect(answer.locator(".detail:visible")).to_have_text(["Inputrain", "Output2 pages"])
    await lines(answer).nth(2).click()
    await expect(answer.locator(".detail pre").last).to_have_text(HTML)
    links = answer.get_by_role("region", name="Sources").get_by_role("listitem")
    await expect(links).to_have_text(["Rainexample.org/rain", HTML + "example.org/<b>", "A book"])
    await expect(links.nth(2).get_by_role("link")).to_have_count(0)
    first = links.first.get_by_role("link")
    assert await first.get_attribute("href") == "https://example.org/rain/"
    assert await first.get_attribute("rel") == "noopener noreferrer nofollow"
    await expect(answer.locator("img, b, script")).to_have_count(0)


async def test_the_page_shows_steps_folded_sources_below_and_suggestions_as_buttons(page: Page, agent: App) -> None:
    chat = await ChatPage(page, agent).open()
    await chat.ask(json.dumps(ANSWER))
    answer = await chat.ended()
    await looked_at(answer)
    await expect(answer.get_by_role("group", name="What to ask next").get_by_role("button")).to_have_text(
        ['["Snow."]', HTML]
    )
    # The same from the database.
    await page.reload()
    await expect(chat.answers).to_have_count(1)
    await looked_at(chat.answers.last)
    await chat.again('["Snow."]')
    await expect((await chat.ended()).locator(".prose")).to_have_text("Snow.")
    await expect(chat.questions.last.locator(".bubble")).to_have_text('["Snow."]')
    # Only the newest answer suggests anything.
    await expect(page.locator(".suggested:visible")).to_have_count(0)


async def test_a_step_runs_until_it_ends_and_one_of_a_stopped_answer_does_not(page: Page, agent: App) -> None:
    chat = await ChatPage(page, agent).open()
    await chat.ask(json.dumps([step("searching", "running"), ["wait"]]))
    answer = chat.answers.last
    await expect(lines(answer)).to_have_text("Searching …")
    await expect(answer.locator("[data-works]")).to_have_count(1)
    # It stands for the three dots.
    await expect(answer.locator(".dots")).to_have_count(0)
    await chat.stop.click()
    await expect(lines(await chat.ended())).to_have_text("Searching … not finished")
    await expect(answer.locator("[data-works]")).to_have_count(0)


@pytest.mark.parametrize("kind", ["step", "source", "suggestions", "tool", "anything"])
async def test_odd_parts_break_nothing(page: Page, agent: App, kind: str) -> None:
    odd: list[dict[str, Any]] = [{}, {"id": {}, "title": [], "texts": 5}, {"id": "a", "title": None, "state": {"a": 1}}]
    chat = await ChatPage(page, agent).open()
    await chat.ask(json.dumps(["One ", *([kind, data] for data in odd), "two."]))
    answer = await chat.ended()
    await expect(answer.locator(".prose").first).to_contain_text("One")
    await expect(answer.locator(".prose").last).to_contain_text("two.")
    await expect(answer).not_to_contain_text("could not be shown")


async def test_the_embedded_chat_shows_the_same(page: Page, agent: App) -> None:
    await page.goto(f"{agent.url}/embed")
    chat = EmbedPage(page)
    await chat.box.fill(json.dumps(ANSWER))
    await chat.box.press("Enter")
    button = page.get_by_role("button", name='["Snow."]')
    await expect(button).to_be_visible()
    await looked_at(chat.answers.last)
    await button.click()
    await expect(chat.answers.last.locator(".prose")).to_have_text("Snow.")
    await expect(page.locator(".suggested:visible")).to_have_count(0)


CARD = '["Card 4111 1111 1111 1111"]'


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_what_a_hook_made_of_a_question_is_what_the_person_sees(page: Page, agent: App, opened: Open) -> None:
    await page.goto("about:blank")
    chat = await opened(page, agent)
    await chat.ask(CARD)
    await chat.ended()
    await expect(chat.questions.last.locator(".bubble")).to_have_text('["Card [card number]"]')
    await expect(chat.questions).to_have_count(1)


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_question_that_is_refused_comes_with_the_hooks_sentence(page: Page, agent: App, opened: Open) -> None:
    await page.goto("about:blank")
    chat = await opened(page, agent)
    await expect(chat.send).to_be_visible()
    await chat.box.fill("A weapon, please")
    await chat.box.press("Enter")
    await expect(page.get_by_text("We don't talk about weapons here.").first).to_be_visible()
    await expect(chat.answers).to_have_count(0)
