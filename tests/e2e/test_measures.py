"""What the page and `/embed` report of themselves is what an observer beside them sees."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page
from tests.forked import ForkedApp
from tests.provider_client import Provider
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio

# When Enter was pressed, when the newest question was there, and when the newest answer had another text, by the page's
# clock; `origin` makes it the machine's.
OBSERVE = """
() => {
  const seen = (window.seen = { origin: performance.timeOrigin });
  const newest = (name) => [...document.querySelectorAll(`article[aria-label='${name}']`)].at(-1)?.textContent ?? "";
  const answers = () => document.querySelectorAll("article[aria-label='Assistant said']").length;
  let questions, answered, text;
  const count = () => document.querySelectorAll("article[aria-label='You said']").length;
  addEventListener("keydown", ({ key }) => {
    if (key !== "Enter") return;
    Object.assign(seen, { enter: performance.now(), own: null, paints: [] });
    questions = count();
    answered = answers();
    text = null;
  }, true);
  new MutationObserver(() => {
    if (seen.enter === undefined) return;
    const now = performance.now();
    if (seen.own === null && count() > questions) seen.own = now;
    const answer = newest("Assistant said");
    if (answers() > answered && /tok0/.test(answer) && answer !== text) {
      // How it ended is no part of it.
      if (answer.match(/tok\\d+/g).length !== (text?.match(/tok\\d+/g).length ?? 0)) seen.paints.push(now);
      text = answer;
    }
  }).observe(document.documentElement, { subtree: true, childList: true, characterData: true });
}
"""
TIMING: dict[str, Any] = {"tokens": 6, "first_ms": 120, "interval_ms": 50, "stamp": True}
AT_MOST_MS = 5.0


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("measured")
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


def rows(app: App) -> list[dict[str, Any]]:
    """All that was reported, the oldest first."""
    with closing(sqlite3.connect(f"file:{app.folder / 'chat.db'}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM measure ORDER BY turn_id")]


async def reported(page: Page, app: App, count: int) -> list[dict[str, Any]]:
    while len(found := rows(app)) < count:
        await page.wait_for_timeout(20)
    return found


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_report_is_what_an_observer_sees(page: Page, app: App, provider: Provider, opened: Open) -> None:
    """In the closest of some answers: a busy machine may come between the two, and makes them differ, at any time."""
    before, apart = len(rows(app)), []
    chat = await opened(page, app)
    await page.evaluate(OBSERVE)
    for nth in range(5):
        provider.clear()
        await chat.ask(**TIMING | {"tokens": TIMING["tokens"] + nth})
        await chat.ended()
        row = (await reported(page, app, before + nth + 1))[-1]
        seen = await page.evaluate("window.seen")
        written = provider.stamps(provider.requests()[-1]["id"])[0]
        first, *_ = paints = seen["paints"]
        apart.append(
            {
                "own_ms": row["own_ms"] - (seen["own"] - seen["enter"]),
                "first_ms": row["first_ms"] - (first - seen["enter"]),
                "lag_ms": row["lag_ms"] - (seen["origin"] + first - written),
                "gap_ms": row["gap_ms"] - max(b - a for a, b in pairwise(paints)),
            }
        )
        assert row["first_ms"] >= TIMING["first_ms"]
        how = {"door": "page" if isinstance(chat, ChatPage) else "embed", "whole": 0, "reason": "", "resumed": 0}
        assert {name: row[name] for name in how} == how
        assert (row["closed"], row["hidden"], row["streams"]) == (0, 0, 1)
    for name in apart[0]:
        assert min(abs(one[name]) for one in apart) <= AT_MOST_MS, (name, apart)


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_closed_tab_reports_too(page: Page, app: App, opened: Open) -> None:
    before = len(rows(app))
    chat = await opened(page, app)
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.last).to_contain_text("tok3")
    other = await page.context.new_page()
    await page.close()
    row = (await reported(other, app, before + 1))[-1]
    assert (row["closed"], row["whole"]) == (1, 0)
    assert row["first_ms"] is not None
    await other.close()


async def test_an_answer_that_is_met_again_was_resumed(page: Page, app: App) -> None:
    before = len(rows(app))
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=60, interval_ms=30)
    await chat.saved("tok5 ")
    await page.reload()
    await expect(chat.answers.last).to_contain_text("tok59")
    # Of the page before, which was left; it is the same browser, whose first report counts.
    row = (await reported(page, app, before + 1))[-1]
    assert (row["closed"], row["resumed"], row["whole"]) == (1, 0, 0)
    await chat.again("Regenerate")
    await chat.ended()
    row = (await reported(page, app, before + 2))[-1]
    assert (row["closed"], row["resumed"], row["own_ms"], row["first_ms"]) == (0, 0, None, None)
    assert 0 <= row["lag_ms"] < 1_000


async def test_a_blocked_event_stream_counts_as_a_fallback(page: Page, app: App) -> None:
    before = len(rows(app))
    was = app.http.get("/measures/?days=2").json()
    async with Proxy(app.port) as proxy:
        proxy.mode = "strip"
        chat = await EmbedPage(page).open(proxy.url)
        await chat.ask(tokens=3, interval_ms=10)
        await chat.ended()
        row = (await reported(page, app, before + 1))[-1]
    assert (row["whole"], row["reason"], row["streams"]) == (1, "not-a-stream", 1)
    assert row["first_ms"] is not None
    now = app.http.get("/measures/?days=2").json()
    assert now["fallbacks"]["not-a-stream"] == was["fallbacks"].get("not-a-stream", 0) + 1
    streamed = [next(one for one in figures["goals"] if "streamed" in one["name"]) for figures in (was, now)]
    assert streamed[1]["count"] == streamed[0]["count"] + 1


async def test_nothing_is_sent_where_it_is_turned_off(
    page: Page, page_built: None, provider: Provider, tmp_path: Any
) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench", measures="false") as app:
        for opened in (the_page, the_embed):
            chat = await opened(page, app)
            await chat.ask(tokens=2)
            await chat.ended()
        # What would be sent by now is on its way before this.
        await page.evaluate("new Promise((done) => setTimeout(() => fetch('/ping').then(done)))")
    assert any("/ping" in url for url in sent)
    assert not [url for url in sent if "measures/" in url]
