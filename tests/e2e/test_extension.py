"""Pages and a brand from outside `chat_app/`, as PAGES and BRAND add them."""

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from chat_app.brand import load_brand
from chat_app.config import ROOT
from tests.app import App
from tests.e2e.chat import ChatPage, fold
from tests.e2e.embed import EmbedPage
from tests.installed import Installation, Installed, names
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

BRAND = ROOT / "tests" / "examples" / "acme" / "brand.toml"


@pytest.fixture(scope="module")
def extended(installation: Installation, provider: Provider) -> Iterator[App]:
    """The pages of all worked examples and their brand, built with an installed app; the model is the scripted one."""
    assert installation.built.code == 0, installation.built.said
    model = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_MODEL": "bench", "REPLIES": "", "HOOKS": ""}
    project = installation.project
    own = Installed(project, installation.environment, CHAT_TITLES="false", **model)
    own.log = project.with_name("extended.log")
    with own as app:
        yield app


async def test_a_person_looks_at_the_usage(page: Page, extended: App) -> None:
    table = page.get_by_role("table", name="Usage by day and model")
    await page.goto(f"{extended.url}/usage")
    await expect(page.get_by_text("Nothing was asked yet.")).to_be_visible()
    async with extended.client() as client:
        for _ in range(2):
            sent = await client.post("/messages/", json={"content": script(tokens=7)})
            assert sent.status_code == 200
    await page.reload()
    await expect(table.get_by_role("row")).to_have_count(2)
    today = table.get_by_role("row").last
    # A busy machine reads the page first while the turns run, and shows that until the reload is through.
    await expect(today.get_by_role("cell").nth(2)).to_have_text("2")
    cells = await today.get_by_role("cell").all_inner_texts()
    day, model, turns, failed, _, tokens_out, wait = cells
    assert day == f"{sent.json()['created_at']:.10}"
    assert (model, turns, failed, tokens_out) == ("bench", "2", "0", "14")
    assert wait.endswith(" ms")
    await page.get_by_role("link", name="Back to the chats").click()
    # The chat itself is as it always is.
    chat = ChatPage(page, extended)
    await expect(chat.box).to_be_visible()
    await expect(chat.chats).to_have_count(2)


async def test_a_person_asks_on_a_page_of_ones_own(page: Page, extended: App) -> None:
    await page.goto(f"{extended.url}/ask")
    chat = EmbedPage(page.get_by_role("region", name="Chat"))
    await expect(chat.root.get_by_role("heading")).to_have_text("What is the rule for …?")
    # It fills what it is in.
    outer, inner = [await place.bounding_box() for place in (page.locator(":has(> .embed)"), page.locator(".embed"))]
    assert outer and inner and outer["height"] - inner["height"] <= 2

    await chat.ask(tokens=40, interval_ms=20)
    await chat.ended()
    assert await chat.text() == " ".join(f"tok{n}" for n in range(40))

    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.last.locator(".prose")).to_contain_text("tok5")
    await expect(chat.status).to_have_text("Assistant is typing")
    await chat.stop.click()
    stopped = await chat.ended()
    await expect(stopped.locator(".problem")).to_have_text("Stopped")

    await chat.ask(status=500)
    await expect(chat.error).to_contain_text("has a problem")

    # The page's state was told which chat it is, and the whole app goes on with it.
    await page.get_by_role("link", name="Go on in the chat").click()
    whole = ChatPage(page, extended)
    await expect(whole.questions).to_have_count(3)
    assert fold(await whole.answers.first.locator(".prose").inner_text()).endswith("tok39")


async def test_they_are_built_in_the_project_and_nowhere_else(
    installation: Installation, page: Page, extended: App
) -> None:
    for lock in (ROOT / "reflex.lock").iterdir():
        assert (installation.project / ".rill" / "reflex.lock" / lock.name).read_bytes() == lock.read_bytes()
    assert "The page is built already." in extended.logged()
    await page.goto(f"{extended.url}/about-my_agent")
    await expect(page.get_by_role("heading", name="About my_agent")).to_be_visible()
    await page.get_by_role("link", name="To the chats").click()
    await expect(page.get_by_text("Ask the handbook.")).to_be_visible()
    assert "#7a1fa2" in extended.http.get("/brand/colours.css").text
    assert installation.changed == []
    assert names(installation.project) == {*installation.left, ".rill", "data"}


async def test_a_page_shows_a_chart_in_the_colours_of_the_theme(page: Page, extended: App) -> None:
    async with extended.client() as client:
        await client.post("/messages/", json={"content": script(text="One.")})
    await page.goto(f"{extended.url}/chart")
    bar = page.locator(".recharts-bar-rectangle path").first
    await expect(bar).to_be_visible()
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--primary')"
    drawn = await bar.evaluate("(bar) => getComputedStyle(bar).fill")
    primary = await page.evaluate(
        f"(() => {{ const one = document.body.appendChild(document.createElement('i')); one.style.color = {colour}; "
        "return getComputedStyle(one).color; })()"
    )
    assert drawn == primary


async def test_a_state_of_a_page_starts_a_turn_and_follows_it(page: Page, extended: App, provider: Provider) -> None:
    await page.goto(f"{extended.url}/digest")
    text = script(pieces=["It is ", "**short**", "."], interval_ms=0, hold=[1])
    await page.get_by_role("textbox", name="Text").fill(text)
    await page.get_by_role("button", name="Summarise").click()
    log = page.get_by_role("log", name="Conversation")
    answer = log.get_by_role("article", name="Assistant said")
    await expect(answer).to_have_text("It is")
    await expect(log.get_by_role("article", name="You said")).to_have_text(text)
    provider.go()
    await expect(answer).to_have_text("It is short.")
    await expect(answer.locator("[data-streamdown=strong]")).to_have_text("short")
    # It is a chat like any other.
    async with extended.client() as client:
        found = await client.get("/search/", params={"q": "Summarise in a sentence"})
    assert "Summarise" in found.text
    # What cannot be asked is told by the app.
    await page.get_by_role("textbox", name="Text").fill("x" * 40_000)
    await page.get_by_role("button", name="Summarise").click()
    await expect(page.get_by_text("at most 32,000 are allowed")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_brand_is_that_of_the_page_and_of_the_one_to_embed(page: Page, extended: App, theme: str) -> None:
    brand = load_brand(BRAND)
    primary = getattr(brand, theme).primary
    await page.emulate_media(color_scheme=theme)
    for path in ("/", "/embed"):
        await page.goto(extended.url + path)
        await expect(page).to_have_title(re.compile(brand.name))
        await expect(page.get_by_text(brand.welcome, exact=True)).to_be_visible()
        await expect(page.locator("link[rel=icon]").first).to_have_attribute("href", "/brand/icon")
        # Without a text it can't be sent.
        await page.get_by_role("textbox", name="Message", exact=True).fill("Hi")
        send = page.get_by_role("button", name="Send message")
        await expect(send).to_have_css("background-color", f"rgb{tuple(bytes.fromhex(primary[1:]))}")
    chat = await ChatPage(page, extended).open()
    logo = page.locator("img.logo").first
    await expect(logo).to_have_js_property("complete", True)
    assert await logo.evaluate("(logo) => logo.naturalWidth")
    await expect(page.get_by_text(brand.footer)).to_be_visible()
    await expect(page.get_by_role("button", name=brand.suggestions[0])).to_be_visible()
    await chat.ask(text="Thirty.")
    await chat.ended()
    # As German has it, whatever the browser's language: 15:04, not 3:04 PM.
    await expect(page.locator(".moment").first).to_have_text(re.compile(r"^\d\d:\d\d$"))
