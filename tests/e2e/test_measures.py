"""What the page and `/embed` report of themselves is what an observer beside them sees, and what the figures show."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from chat_app.insights import EDGES, WITHIN_MS
from chat_app.store import hours
from tests.app import App
from tests.e2e.chat import COUNT_RETURNS, ChatPage, come_back, leave
from tests.e2e.embed import EmbedPage, Open, the_embed, the_page
from tests.e2e.figures import card, numbers
from tests.forked import ForkedApp
from tests.process import frozen
from tests.provider_client import Provider
from tests.proxy import Proxy
from tests.test_metrics import metrics

pytestmark = pytest.mark.anyio

# The page's clock stands still within a task: what the page notes of a change of the document, and what an observer of
# that change notes after it, is the same, however busy the machine is.
STANDING_CLOCK = """
(() => {
  const real = performance.now.bind(performance);
  window.realNow = real;
  const { port1, port2 } = new MessageChannel();
  let time = null;
  port1.onmessage = () => (time = null);
  performance.now = () => {
    if (time === null) {
      time = real();
      port2.postMessage(0);
    }
    return time;
  };
  // A key is pressed before its task begins, and after what another one noted.
  addEventListener("keydown", () => (time = null), true);
})();
"""
# When Enter was pressed, when the newest question was there, when the newest answer had another text, by that clock;
# `drawn` is when the first of it was there by the real one, which `origin` makes the machine's. Of the server's share:
# what it says that it had the first token for (`held`), when that came (`told`), and the quickest way here and back.
OBSERVE = """
(() => {
  const seen = (window.seen = { origin: performance.timeOrigin, way: Infinity });
  const newest = (name) => [...document.querySelectorAll(`article[aria-label='${name}']`)].at(-1)?.textContent ?? "";
  const answers = () => document.querySelectorAll("article[aria-label='Assistant said']").length;
  const count = () => document.querySelectorAll("article[aria-label='You said']").length;
  const came = (took, server) => (seen.way = Math.min(seen.way, Math.max(took - server, 0) / 2));
  let questions, answered, text, acted;
  addEventListener("keydown", ({ key, timeStamp }) => {
    if (key !== "Enter") return;
    acted = performance.now();
    Object.assign(seen, { enter: timeStamp, own: null, paints: [], told: null });
    questions = count();
    answered = answers();
    text = null;
  }, true);
  addEventListener("chat:answered", ({ detail }) => came(performance.now() - acted, detail.took_ms), true);
  new MutationObserver(() => {
    if (seen.enter === undefined) return;
    const now = performance.now();
    if (seen.own === null && count() > questions) seen.own = now;
    const answer = newest("Assistant said");
    if (answers() > answered && /tok0/.test(answer) && answer !== text) {
      // How it ended is no part of it.
      if (answer.match(/tok\\d+/g).length !== (text?.match(/tok\\d+/g).length ?? 0)) seen.paints.push(now);
      if (text === null) seen.drawn = realNow();
      text = answer;
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
  // The first window of each answer counts: where a new chat gets its address the page follows it anew.
  const told = new Set();
  const arrived = (of, held) => {
    if (held) seen.held = Number(held[1]);
    if (!told.has(of)) seen.told = performance.now();
    told.add(of);
  };
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        const of = data.match(/"of_rx_state_": ?"(.+?)"/);
        if (of && !told.has(of[1])) arrived(of[1], data.match(/"held_rx_state_": ?(-?[\\d.]+)/));
      });
    }
  };
  const fetched = window.fetch;
  window.fetch = async (url, given) => {
    const asked = performance.now();
    const response = await fetched(url, given);
    const took = performance.now() - asked;
    if (!String(url).includes("/stream/")) return response;
    const look = (chunk, controller) => {
      const data = new TextDecoder().decode(chunk);
      const started = data.match(/"started_ms":([\\d.]+)/);
      if (started) came(took, Number(started[1]));
      if (started) arrived(data, data.match(/"held_ms":([\\d.]+)/));
      controller.enqueue(chunk);
    };
    const { status, headers } = response;
    return new Response(response.body?.pipeThrough(new TransformStream({ transform: look })), { status, headers });
  };
})();
"""
# An hour goes by while the page is in the browser's cache.
HOUR_MS = 3_600_000
AN_HOUR_LATER = f"""
(() => {{
  const now = performance.now.bind(performance);
  const timeStamp = Object.getOwnPropertyDescriptor(Event.prototype, "timeStamp");
  let later = 0, away = false;
  const back = () => {{
    if (away && document.visibilityState === "visible") later += {HOUR_MS};
    away &&= document.visibilityState !== "visible";
  }};
  performance.now = () => now() + later;
  const get = function () {{
    return timeStamp.get.call(this) + later;
  }};
  Object.defineProperty(Event.prototype, "timeStamp", {{ ...timeStamp, get }});
  addEventListener("pagehide", () => (away = true), true);
  for (const name of ["visibilitychange", "pageshow"]) addEventListener(name, back, true);
}})();
"""
# Those of a page that is left are not told of.
COUNT_BEACONS = """
window.beacons = 0;
const send = navigator.sendBeacon.bind(navigator);
navigator.sendBeacon = (...given) => {
  window.beacons += 1;
  return send(...given);
};
"""
SCRIPT: dict[str, Any] = {"tokens": 4, "hold": [0, 1, 2, 3], "interval_ms": 0, "stamp": True}
# Whole milliseconds are reported.
ROUNDED_MS = 1.0
# From the browser's clock to the double's: the system sets one of them now and then.
CLOCKS_MS = 5.0


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("measured")
    # No other request is the newest.
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench", chat_titles="false") as app:
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


async def observed(page: Page) -> Page:
    """Pages that are opened in this tab are watched."""
    await page.add_init_script(STANDING_CLOCK + OBSERVE)
    return page


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_report_is_what_an_observer_sees(page: Page, app: App, provider: Provider, opened: Open) -> None:
    before, counted = len(rows(app)), metrics(app)
    chat = await opened(await observed(page), app)
    for nth in range(2):
        provider.clear()
        await chat.ask(**SCRIPT)
        await expect(chat.questions).to_have_count(nth + 1)
        await provider.until(len)
        for token in range(SCRIPT["tokens"]):
            provider.go()
            # Not in the answer before.
            await expect(chat.answers).to_have_count(nth + 1)
            await expect(chat.answers.last).to_contain_text(f"tok{token}")
        await chat.ended()
        row = (await reported(page, app, before + nth + 1))[-1]
        seen = await page.evaluate("window.seen")
        first, *_ = paints = seen["paints"]
        assert len(paints) == SCRIPT["tokens"]
        assert row["own_ms"] == pytest.approx(seen["own"] - seen["enter"], abs=ROUNDED_MS)
        assert row["first_ms"] == pytest.approx(first - seen["enter"], abs=ROUNDED_MS)
        assert row["gap_ms"] == pytest.approx(max(b - a for a, b in pairwise(paints)), abs=ROUNDED_MS)
        check_lag(row, seen, provider)
        how = {"door": "page" if isinstance(chat, ChatPage) else "embed", "whole": 0, "reason": "", "resumed": 0}
        assert {name: row[name] for name in how} == how
        assert (row["closed"], row["hidden"], row["streams"]) == (0, 0, 1)
    await check_metrics(page, app, counted, rows(app)[before:])
    await check_insights(page, app)


async def check_metrics(
    page: Page, app: App, before: dict[tuple[str, ...], float], reported: list[dict[str, Any]]
) -> None:
    """They grew by what was reported."""
    displayed = ("rill_first_token_displayed_seconds_count",)
    # A report counts when it is kept.
    while (after := metrics(app))[displayed] < before[displayed] + len(reported):
        await page.wait_for_timeout(20)
    for name, times in (("displayed", "first_ms"), ("lag", "lag_ms")):
        count, total = (f"rill_first_token_{name}_seconds_{what}" for what in ("count", "sum"))
        assert after[count,] - before[count,] == len(reported)
        took = sum(row[times] for row in reported) / 1000
        assert after[total,] - before[total,] == pytest.approx(took)


async def check_insights(page: Page, app: App) -> None:
    """The page shows the bars of what the rows have, and the share that was quick enough."""
    seen = [row for row in rows(app) if not row["hidden"]]
    await page.goto(app.url + "/insights")
    for name, title in (
        ("first_ms", "From Enter to the first token"),
        ("lag_ms", "From the first token's generation to its paint"),
    ):
        times = [hours.rounded(row[name]) for row in seen if row[name] is not None]
        counts = [sum(above < max(ms, 1) <= to for ms in times) for above, to in pairwise([*EDGES, 10**9])]
        assert [int(count) for _, count in (await numbers(page, title))[1:]] == counts
    quick = [row["lag_ms"] <= WITHIN_MS for row in seen if row["lag_ms"] is not None]
    share = int(1_000 * sum(quick) / len(quick)) / 10
    await expect(card(page, "First token shown")).to_contain_text(f"{share:g}%")


def check_lag(row: dict[str, Any], seen: dict[str, Any], provider: Provider) -> None:
    """What the server says of itself, the way, what went by in the browser; no more than the double's clock says."""
    least = seen["held"] + seen["way"]
    assert least - ROUNDED_MS <= row["lag_ms"] <= least + seen["paints"][0] - seen["told"] + ROUNDED_MS
    written = provider.stamps(provider.requests()[-1]["id"])[0]
    assert row["lag_ms"] <= seen["origin"] + seen["drawn"] - written + seen["way"] + CLOCKS_MS


async def test_what_the_server_keeps_is_in_the_lag(
    page: Page, page_built: None, provider: Provider, tmp_path: Path
) -> None:
    """Where answers come whole the first token waits there for the last."""
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "chat_titles": "false"}
    with ForkedApp(tmp_path, feature_streaming="0%", **settings) as app:
        chat = await ChatPage(await observed(page), app).open()
        provider.clear()
        await chat.ask(tokens=2, hold=[1], stamp=True)
        while "first_token_generated_seconds_count 1.0" not in app.http.get("/metrics").text:
            await page.wait_for_timeout(20)
        arrived = time.monotonic()
        await page.wait_for_timeout(300)
        kept_ms = (time.monotonic() - arrived) * 1000
        provider.go()
        await chat.ended()
        (row,) = await reported(page, app, 1)
        seen = await page.evaluate("window.seen")
    assert (row["whole"], row["reason"]) == (1, "off")
    assert row["lag_ms"] >= kept_ms - ROUNDED_MS
    check_lag(row, seen, provider)


@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_a_closed_tab_reports_too(page: Page, app: App, opened: Open) -> None:
    before, counted = len(rows(app)), metrics(app)
    chat = await opened(page, app)
    await chat.ask(tokens=-1, interval_ms=20)
    await expect(chat.answers.last).to_contain_text("tok3")
    other = await page.context.new_page()
    await page.close()
    row = (await reported(other, app, before + 1))[-1]
    assert (row["closed"], row["whole"]) == (1, 0)
    assert row["first_ms"] is not None
    await check_metrics(other, app, counted, [row])
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


@pytest.mark.new_profile
async def test_an_answer_that_ends_while_the_network_is_away_is_reported_once(
    context: BrowserContext, page: Page, app: App
) -> None:
    before = len(rows(app))
    chat = await ChatPage(page, app).open()
    await chat.ask(tokens=150, interval_ms=20)
    await expect(chat.answers.last).to_contain_text("tok20")
    await context.set_offline(True)
    await expect(page.locator("[data-connection=reconnecting]")).to_be_visible()
    while (await chat.stored())[-1]["status"] != "complete":
        await page.wait_for_timeout(50)
    await context.set_offline(False)
    await expect(chat.answers.last).to_contain_text("tok149")
    await chat.ended()
    row = (await reported(page, app, before + 1))[-1]
    assert (row["closed"], row["whole"], row["streams"]) == (0, 0, 1)
    assert row["resumed"] >= 1
    assert 0 <= row["lag_ms"] <= row["first_ms"]
    # The time without a network is a gap that the reader saw.
    assert row["gap_ms"] > 200
    await chat.ask(tokens=2, interval_ms=0)
    await chat.ended()
    assert len(await reported(page, app, before + 2)) == before + 2


@pytest.mark.browser_cache
@pytest.mark.parametrize("opened", [the_page, the_embed])
async def test_how_long_a_page_was_in_the_browsers_cache_nobody_waited(
    page: Page, app: App, provider: Provider, opened: Open
) -> None:
    """Left within an answer, before the server has the question, and not at all; each is reported once."""
    before = len(rows(app))
    await page.add_init_script(COUNT_RETURNS + AN_HOUR_LATER + COUNT_BEACONS)
    chat = await opened(page, app)
    await chat.ask(tokens=4, hold=[2], interval_ms=0)
    await expect(chat.answers.last).to_contain_text("tok1")
    await leave(page, provider)
    provider.go()
    await come_back(page)
    await expect(chat.answers.last).to_contain_text("tok3")
    await chat.ended()
    with frozen(app.pid):
        await chat.ask(tokens=4, interval_ms=0)
        await expect(chat.questions).to_have_count(2)
        await leave(page, provider)
        await come_back(page, 2)
    await chat.ended()
    await chat.ask(tokens=4, interval_ms=0)
    await chat.ended()
    within, asked, usual = (await reported(page, app, before + 3))[before:]
    assert [within[name] for name in ("closed", "hidden", "resumed")] == [1, 0, 0]
    assert [asked[name] for name in ("closed", "hidden", "first_ms", "lag_ms")] == [0, 1, None, None]
    # A stream may have outlived it, a websocket may not.
    assert asked["resumed"] >= isinstance(chat, ChatPage)
    assert [usual[name] for name in ("closed", "hidden", "resumed")] == [0, 0, 0]
    assert within["first_ms"] is not None and usual["first_ms"] is not None
    for row in (within, asked, usual):
        assert all((row[name] or 0) < HOUR_MS / 2 for name in ("own_ms", "first_ms", "lag_ms", "gap_ms")), row
    assert await page.evaluate("window.beacons") == 3


async def test_a_blocked_event_stream_counts_as_a_fallback(page: Page, app: App) -> None:
    before, counted = len(rows(app)), metrics(app)
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
    fallen = "rill_fallbacks_total", "not-a-stream"
    while metrics(app).get(fallen, 0) != counted.get(fallen, 0) + 1:
        await page.wait_for_timeout(20)


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
