"""How a page follows the growing answer, by a client that speaks its protocol."""

from pathlib import Path

import pytest

from chat_app.ui.transcript import RECENT
from tests.forked import ForkedApp
from tests.page_client import LIVE, TRANSCRIPT, PageClient
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("page_built")]


@pytest.mark.slow
@pytest.mark.parametrize("think_every", [0, 3])
async def test_a_page_that_misses_windows_gets_the_whole_and_nothing_is_taken_back(
    provider: Provider, tmp_path: Path, think_every: int
) -> None:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        page = PageClient(app.url)
        await page.load()
        await page.until(lambda: page.loaded)
        await page.ask(script(tokens=-1, interval_ms=3, think_every=think_every))
        for _ in range(8):
            enough = page.windows + 8
            await page.until(lambda enough=enough: page.windows >= enough)
            # As a page that has lost what it knew.
            page.texts.clear()
        enough = page.windows + 8
        await page.until(lambda: page.windows >= enough and page.path != "/" and any(page.texts.values()))
        await page.stop()
        await page.until(lambda: page.path != "/" and page.ended)
        await page.leave()
        assert page.taken_back == []
        history = app.http.get("/messages/", params={"chat_id": page.path.rpartition("/")[2]}).json()
        assert page.shown()[-1][1] == history["messages"][-1]["content"]


async def test_what_a_page_missed_of_an_answer_that_has_ended_is_shown_as_it_is_stored(
    provider: Provider, tmp_path: Path
) -> None:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        page = PageClient(app.url)
        await page.load()
        await page.until(lambda: page.loaded)
        await page.ask(script(tokens=30, interval_ms=1))
        await page.until(lambda: page.path != "/" and page.ended)
        (window,) = page.texts
        whole = page.shown()
        page.texts.clear()
        assert page.shown() != whole
        await page.say_gap(window)
        await page.until(lambda: page.shown() == whole)
        await page.ask(script(tokens=5))
        await page.until(lambda: page.ended and len(page.shown()) == 4)
        await page.leave()
        assert page.shown()[:2] == whole


async def test_a_question_in_an_open_chat_is_shown_with_the_answer_to_its_outbox(
    provider: Provider, tmp_path: Path
) -> None:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench", chat_titles="false") as app:
        page = PageClient(app.url)
        await page.load()
        await page.until(lambda: page.loaded)
        await page.ask(script(tokens=3))
        await page.until(lambda: page.path != "/" and page.ended and len(page.rows()) == 2)
        page.frames.clear()
        await page.ask(script(tokens=3, hold=[0]), key="again")
        await page.until(lambda: any("chat:answered" in frame for frame in page.frames))
        # In one step of the page: the list of chats may come at any time.
        assert len(page.sent(TRANSCRIPT, "recent")) == 1
        assert [row["status"] for row in page.rows()] == ["complete", "complete", "complete", "streaming"]
        assert page.value(LIVE, "announcement") == "Assistant is typing"
        provider.go()
        await page.until(lambda: page.ended and page.value(LIVE, "announcement") == "Answer complete")
        await page.leave()
        assert len(page.sent(TRANSCRIPT, "recent")) == 2


@pytest.mark.slow
async def test_what_a_turn_sends_does_not_grow_with_those_before_it(provider: Provider, tmp_path: Path) -> None:
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench", chat_titles="false") as app:
        page = PageClient(app.url)
        await page.load()
        await page.until(lambda: page.loaded)
        for number in range(13):
            shown = 2 * number + 2
            await page.ask(f"{number:02} " + script(tokens=3))
            await page.until(lambda shown=shown: page.path != "/" and page.ended and len(page.rows()) == shown)
        # With a turn the last few go, and what comes before them at each fourth.
        assert max(map(len, page.sent(TRANSCRIPT, "recent"))) == RECENT
        assert [len(rows) for rows in page.sent(TRANSCRIPT, "settled") if rows] == [8, 16, 24]
        history = app.http.get("/messages/", params={"chat_id": page.path.rpartition("/")[2]}).json()["messages"]
        stored = [(message["role"], message["content"]) for message in history]
        assert page.shown() == stored
        # What no longer is among the newest gives way as well.
        await page.regenerate(page.rows()[9]["id"])
        await page.until(lambda: page.ended and len(page.rows()) == 10)
        assert page.rows()[9]["version"] == "2 / 2"
        await page.leave()
        assert page.shown()[:9] == stored[:9]
