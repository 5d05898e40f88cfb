"""Fifty pages that ask, reload, lose their connection, switch chats and stop at random: each shows what the log has.

`CHAOS_SEED` repeats a run's choices; the seed is printed.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app import App
from tests.forked import ForkedApp
from tests.page_client import PageClient
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAGES = 50
CHATS = 12
STEPS = 6
# After how many more windows than one a page does something else.
WINDOWS = [0, 1, 5, 20]
ANSWERS = [
    {"tokens": 150, "interval_ms": 20},
    {"tokens": 400, "interval_ms": 5},
    {"markdown": True, "tokens": 200, "interval_ms": 10},
    {"tokens": 1_000, "interval_ms": 0},
]


@dataclass
class Reader:
    page: PageClient
    chats: list[str]
    chance: random.Random
    did: list[str] = field(default_factory=list)

    async def live(self) -> None:
        await self.page.load(self.chance.choice(self.chats))
        for _ in range(STEPS):
            await self.page.until(lambda: self.page.loaded)
            await self._some_windows()
            act = self.chance.choice([self.ask, self.reload, self.lose, self.switch, self.begin, self.stop])
            self.did.append(act.__name__)
            await act()
        await self.page.until(lambda: self.page.ended)

    async def _some_windows(self) -> None:
        """Wait for them, or for the end of the answer."""
        enough = self.page.windows + self.chance.choice(WINDOWS) + 1
        await self.page.until(lambda: self.page.ended or self.page.windows >= enough)

    async def ask(self) -> None:
        """In a chat that others may ask in, too: one of them is refused."""
        asked = len(self.page.frames)
        await self.page.ask(script(**self.chance.choice(ANSWERS)))
        await self.page.until(lambda: len(self.page.frames) > asked)

    async def begin(self) -> None:
        await self.page.visit("/")
        await self.page.until(lambda: self.page.loaded)
        await self.page.ask(script(**self.chance.choice(ANSWERS)))
        await self.page.until(lambda: self.page.path != "/" and self.page.loaded)
        self.chats.append(self.page.path)

    async def reload(self) -> None:
        await self.page.load(self.page.path)

    async def lose(self) -> None:
        await self.page.leave()
        await self.page.connect()

    async def switch(self) -> None:
        await self.page.visit(self.chance.choice(self.chats))

    async def stop(self) -> None:
        await self.page.stop()


@pytest.fixture
def app(page_built: None, provider: Provider, tmp_path: Path) -> Iterator[App]:
    """With no chats but those of here."""
    with ForkedApp(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


async def messages(http: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """Those of the chat at that address of the page."""
    got = await http.get("/messages/", params={"chat_id": path.removeprefix("/c/")})
    return list(got.json()["messages"])


async def test_what_a_page_shows_is_what_the_log_has(app: App, figure: Callable[[object], None]) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    figure(f"CHAOS_SEED={seed}")
    chance = random.Random(seed)
    async with app.client(timeout=60) as http:
        chats = [f"/c/{(await http.post('/chats/', json={})).json()['id']}" for _ in range(CHATS)]
        readers = [Reader(PageClient(app.url), chats, random.Random(chance.random())) for _ in range(PAGES)]
        await asyncio.gather(*(reader.live() for reader in readers))
        # The last question may have come when its page had none that ran.
        for path in chats:
            while any(message["status"] == "streaming" for message in await messages(http, path)):
                await asyncio.sleep(0.1)
        for reader in readers:
            page = reader.page
            stored = [(message["role"], message["content"]) for message in await messages(http, page.path)]
            try:
                await page.until(lambda page=page, stored=stored: page.ended and page.shown() == stored)
            except TimeoutError:
                assert page.shown() == stored, reader.did
                raise
            assert page.taken_back == [], reader.did
        listed = [chat["title"] for chat in (await http.get("/chats/")).json()["chats"]]
        for reader in readers:
            await reader.page.until(lambda page=reader.page: page.titles() == listed[: len(page.titles())])
            await reader.page.leave()
