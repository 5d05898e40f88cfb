"""How often open pages are told of changes, and whose."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from chat_app.caller import Caller, Kind
from chat_app.config import Settings
from chat_app.service import Service, serving
from chat_app.store.library import Library
from chat_app.ui.changes import AllChanges, pause_s
from chat_app.ui.chat_rows import Shown

ANN, BEN = Caller("ann", "Ann", Kind.person), Caller("ben", "Ben", Kind.person)


@pytest.mark.parametrize(("pages", "seconds"), [(0, 0.1), (1, 0.1), (20, 0.1), (40, 0.2), (100, 0.5), (300, 1.5)])
def test_with_many_pages_the_list_comes_less_often(pages: int, seconds: float) -> None:
    """Its frames a second stay the same: what is left is for answers."""
    assert pause_s(pages) == pytest.approx(seconds)


def answer(messages: list[dict[str, str]]) -> str:
    return "Hi"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    given = {"database_url": f"sqlite:///{tmp_path / 'chat.db'}", "replies": "tests.test_changes:answer"}
    async with serving(Settings.model_validate(given)) as service:
        yield service


async def titles(lists: AsyncGenerator[Shown | None, None]) -> list[str]:
    """Of the next list that a page gets."""
    shown = await anext(lists)
    return [row["title"] for row in shown.rows] if shown else []


@pytest.mark.anyio
async def test_all_pages_of_an_owner_are_told_by_one_query_and_no_page_of_another(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    inner = Library.chats

    async def chats(self: Library, *given: Any) -> Any:
        read[self.owner] += 1
        return await inner(self, *given)

    monkeypatch.setattr(Library, "chats", chats)
    everybody = AllChanges(service)
    ann, ben = (everybody.of(service.of(caller)) for caller in (ANN, BEN))
    async with aclosing(ann.chats(10)) as first, aclosing(ann.chats(10)) as second, aclosing(ben.chats(10)) as other:
        for listings in (first, second, other):
            assert await titles(listings) == []
        before = read.copy()
        await service.of(ANN).create_chat("Mine")
        for listings in (first, second):
            assert await titles(listings) == ["Mine"]
        assert read - before == {"ann": 1}
        # A page that comes later gets it, and the other owner's list is not the same.
        async with aclosing(ann.chats(10)) as third:
            assert await titles(third) == ["Mine"]
        await service.of(BEN).create_chat("Other")
        assert await titles(other) == ["Other"]


@pytest.mark.anyio
async def test_who_asks_for_more_gets_no_shorter_list(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a list as short as before is just being read."""
    inner, begun, goes_on = Library.chats, asyncio.Event(), asyncio.Event()

    async def chats(self: Library, *given: Any) -> Any:
        begun.set()
        await goes_on.wait()
        return await inner(self, *given)

    for title in ("First", "Second", "Third"):
        await service.of(ANN).create_chat(title)
    monkeypatch.setattr(Library, "chats", chats)
    ann = AllChanges(service).of(service.of(ANN))
    async with aclosing(ann.chats(1)) as few, aclosing(ann.chats(3)) as many:
        first = asyncio.create_task(titles(few))
        await begun.wait()
        second = asyncio.create_task(titles(many))
        while ann.readers < 2:
            await asyncio.sleep(0)
        goes_on.set()
        assert await first == ["Third"]
        assert await second == ["Third", "Second", "First"]
