"""What the Python client reports of itself: where it is wanted, how long an answer took to come to who reads it."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest

from chat_app.client import ChatClient, Started, SyncChatClient, Text
from tests.app import App
from tests.forked import Api
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio

ROUNDED_MS = 1


@pytest.fixture(scope="module")
def app(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("client")
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


def rows(app: App) -> dict[str, dict[str, Any]]:
    """All that was reported, by turn."""
    with closing(sqlite3.connect(f"file:{app.folder / 'chat.db'}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return {row["turn_id"]: dict(row) for row in database.execute("SELECT * FROM measure")}


async def test_a_client_reports_what_its_reader_waited_for(app: App, provider: Provider) -> None:
    provider.clear()
    # When each event was asked for, and when it was there.
    asked, there, turn_id = [], [], ""
    begun = at = time.monotonic()
    async with (
        ChatClient(app.url, measures=True) as client,
        aclosing(client.stream(script(tokens=3, hold=[0, 1], interval_ms=0))) as events,
    ):
        async for event in events:
            if isinstance(event, Text):
                asked.append(at)
                there.append(time.monotonic())
            if isinstance(event, Started):
                turn_id = event.turn_id
            if isinstance(event, Started) or (isinstance(event, Text) and event.text == "tok0 "):
                await provider.until(len)
                await asyncio.sleep(0.1)
                gone = time.monotonic()
                provider.go()
            at = time.monotonic()
    row = rows(app)[turn_id]
    assert {name: row[name] for name in ("door", "whole", "reason", "resumed", "closed", "own_ms")} == {
        "door": "client",
        "whole": 0,
        "reason": "",
        "resumed": 0,
        "closed": 0,
        "own_ms": None,
    }
    # The model was held for as long as that; and nothing came later than the reader had it.
    assert 100 - ROUNDED_MS <= row["first_ms"] <= (there[0] - begun) * 1000 + ROUNDED_MS
    assert (gone - there[0]) * 1000 - ROUNDED_MS <= row["gap_ms"] <= (there[1] - asked[0]) * 1000 + ROUNDED_MS
    # The model's own time is not in it.
    assert 0 <= row["lag_ms"] <= row["first_ms"]


def test_the_client_without_await_reports_the_same(app: App) -> None:
    with SyncChatClient(app.url, measures=True, headers={"X-Session-Id": "s"}) as client:
        started, *_ = client.stream(script(tokens=2))
    assert isinstance(started, Started)
    assert rows(app)[started.turn_id]["closed"] == 0


async def test_who_leaves_early_reports_too(app: App) -> None:
    async with ChatClient(app.url, measures=True) as client:
        async with aclosing(client.stream(script(tokens=-1, interval_ms=5))) as events:
            async for event in events:
                if isinstance(event, Started):
                    turn_id = event.turn_id
                if isinstance(event, Text):
                    break
        await client.stop(turn_id)
    row = rows(app)[turn_id]
    assert (row["closed"], row["whole"]) == (1, 0)
    assert row["first_ms"] is not None


async def test_nothing_is_sent_unasked(app: App) -> None:
    before = rows(app)
    async with ChatClient(app.url) as client:
        events = [event async for event in client.stream(script(tokens=2))]
    assert len(events) > 2
    assert rows(app) == before


async def test_an_answer_that_came_whole_is_a_fallback(provider: Provider, tmp_path: Any) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", feature_streaming="false") as app:
        async with ChatClient(app.url, measures=True) as client:
            events = [event async for event in client.stream(script(tokens=2))]
        (row,) = rows(app).values()
    assert isinstance(events[0], Started)
    assert (row["turn_id"], row["whole"], row["reason"], row["lag_ms"]) == (events[0].turn_id, 1, "off", None)
