"""The page in colours of the system's, right to left, and in another time zone than the server's."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, import_turns
from tests.e2e.conftest import PATIENCE_MS
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page

pytestmark = pytest.mark.anyio

STYLE = "(element, name) => getComputedStyle(element)[name]"
DIAGRAM = "```mermaid\ngraph LR; Rain --> Rill\n```"
# How far the colour of a label's letters is from that of what is behind it, from 0 to 255.
CONTRAST = """
(label) => {
  const grey = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
  const node = label.closest(".node")?.querySelector("rect, path, polygon");
  return Math.abs(grey(getComputedStyle(label).color) - grey(getComputedStyle(node).fill));
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_forced_colours(page: Page, app: App, scheme: str) -> None:
    await page.emulate_media(forced_colors="active", color_scheme=scheme)
    chat = await ChatPage(page, app).open(f"/c/{import_turns(app, [('Draw', DIAGRAM)], 'A diagram')}")
    assert await page.locator(".box").evaluate(STYLE, "borderTopStyle") == "solid"
    thumb = page.get_by_role("button", name="Good answer")
    unpressed = await thumb.evaluate(STYLE, "backgroundColor")
    await thumb.click()
    await expect(thumb).to_have_attribute("aria-pressed", "true")
    assert await thumb.evaluate(STYLE, "backgroundColor") != unpressed
    label = chat.answers.locator(".node .nodeLabel, .node text").first
    await expect(label).to_be_attached()
    assert await label.evaluate(CONTRAST) > 100
    await page.emulate_media(forced_colors="null", color_scheme="null")


@pytest.mark.parametrize("open_it", [the_page, the_embed])
async def test_right_to_left(page: Page, app: App, open_it: Open) -> None:
    chat = await open_it(page, app)
    await chat.box.fill("مرحبا")
    assert await chat.box.evaluate(STYLE, "direction") == "rtl"
    await chat.box.fill("Hello")
    assert await chat.box.evaluate(STYLE, "direction") == "ltr"
    await chat.ask(text="> اقتباس عربي\n\nنص")
    answer = await chat.ended()
    quote = answer.locator("blockquote")
    widths = [await quote.evaluate(STYLE, f"border{side}Width") for side in ("Left", "Right")]
    assert widths == ["0px", "3px"]
    await page.evaluate("document.documentElement.dir = 'rtl'")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    bubble, send = await chat.questions.locator(".bubble").bounding_box(), await chat.send.bounding_box()
    assert bubble and send
    middle = (page.viewport_size or {"width": 0})["width"] / 2
    assert bubble["x"] + bubble["width"] / 2 < middle
    assert send["x"] < middle


def used_at(app: App, moments: dict[str, datetime]) -> None:
    """Chats of these titles, each used last at its time: those of a file with many keep theirs."""
    chats = [
        {
            "version": 1,
            "chat": {"title": title, "updated_at": moment.isoformat()},
            "messages": [{"id": "0", "parent_id": None, "role": "user", "content": title}],
        }
        for title, moment in moments.items()
    ]
    app.http.post("/chats/import", json=chats).raise_for_status()


# Far ahead of UTC and far behind it: 14 and 11 hours.
@pytest.mark.parametrize(("zone", "hours"), [("Pacific/Kiritimati", 14), ("Pacific/Pago_Pago", -11)])
async def test_days_are_the_readers(browser: Browser, app: App, zone: str, hours: int) -> None:
    now = datetime.now(UTC)
    midnight = (now + timedelta(hours=hours)).replace(hour=0, minute=0, second=0) - timedelta(hours=hours)
    ten = timedelta(minutes=10)
    used_at(app, {f"Late in {zone}": midnight - ten, f"Early in {zone}": midnight + ten})
    context = await browser.new_context(timezone_id=zone)
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.clock.install(time=midnight + timedelta(hours=12))
    await page.goto(app.url)
    chats = page.get_by_role("navigation", name="Chats")
    await expect(await ChatPage(page, app).listed(f"Late in {zone}")).to_be_visible()
    days = await chats.evaluate(
        """(list) => {
            let day = "";
            const days = {};
            for (const item of list.querySelectorAll("li")) {
              day = item.querySelector("h2")?.textContent ?? day;
              days[item.querySelector("a").textContent] = day;
            }
            return days;
        }"""
    )
    assert days[f"Late in {zone}"] == "Yesterday"
    assert days[f"Early in {zone}"] == "Today"
    # At midnight today becomes yesterday, without a reload.
    await page.clock.fast_forward("12:00:01")
    await expect(chats.get_by_role("heading", name="Yesterday")).to_be_visible()
    await context.close()


async def test_the_tab_is_called_by_its_chats_title(page: Page, app: App) -> None:
    first = import_turns(app, [("a", "b")], "The first title")
    second = import_turns(app, [("a", "b")], "The second title")
    chat = await ChatPage(page, app).open(f"/c/{first}")
    await expect(page).to_have_title("The first title")
    await page.locator(f"nav a[href$='{second}']").click()
    await expect(page).to_have_title("The second title")
    app.http.patch(f"/chats/{second}", json={"title": "Renamed"}).raise_for_status()
    await expect(page).to_have_title("Renamed")
    await chat.open("/")
    await expect(page).to_have_title("Rill")
    await chat.ask("A new chat's first words")
    await chat.ended()
    await expect(page).to_have_title("A new chat's first words")


async def test_embed_in_forced_colours(page: Page, app: App) -> None:
    await page.emulate_media(forced_colors="active")
    await EmbedPage(page).open(app.url)
    assert await page.locator(".box").evaluate(STYLE, "borderTopStyle") == "solid"
    await page.emulate_media(forced_colors="null")
