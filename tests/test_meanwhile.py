"""A page shows what is stored, whatever happens just while it reads its chat or begins to follow an answer.

What happens and when is told to the server (`tests.meanwhile`), so nothing here depends on speed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.app import App
from tests.forked import ForkedApp
from tests.meanwhile import ACTS, ORDERS, POINTS, word
from tests.page_client import TRANSCRIPT, PageClient
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

# A newest answer, and what of it is stored when the page comes.
ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"pieces": ["Forty", "-two", ", I", " think."], "hold": [2]}, "Forty-two"),
    "thoughts like text": ({"pieces": ["Let me", " see.\n", "</think>\n\n", "Forty"], "hold": [2]}, "Let me see.\n"),
    "thoughts": ({"reasoning": ["Let", " me see."], "pieces": ["Forty", "-five"], "hold": [1]}, "Forty"),
    "an answer that has ended": ({"pieces": ["Forty", "-six"]}, "Forty-six"),
}
Told = tuple[str, str, str]
"""Role, text and status of a message."""
PATIENCE_S = 60.0
PAUSE_S = 0.05


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("meanwhile")
    hooks = "tests.meanwhile:setup"
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench", hooks=hooks) as app:
        yield app


# Where something happens, and at the how manyth time that the page comes there.
PLACES = [(point, nth) for point in POINTS for nth in ((1, 2, 3) if "look" in point else (1,))]
FEW_PLACES = [("after it has read", 1), ("after it has looked for a turn", 1), ("after it has looked for a turn", 2)]


@pytest.mark.parametrize("act", ACTS)
async def test_a_page_shows_what_is_stored(app: App, provider: Provider, act: str) -> None:
    async with app.client() as http, asyncio.TaskGroup() as visits:
        for answer in ANSWERS:
            for place in PLACES if answer == "text" else FEW_PLACES:
                visits.create_task(visit(app, provider, http, act, answer, place))


async def visit(
    app: App, provider: Provider, http: httpx.AsyncClient, act: str, answer: str, place: tuple[str, int]
) -> None:
    chat_id = await new_chat(http, *ANSWERS[answer])
    order = app.folder / ORDERS / chat_id
    order.write_text(json.dumps([*place, act]))
    async with visitor(app) as page:
        await page.load(f"/c/{chat_id}")
        shown = stored = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    shown, stored = rows(page), await history(http, chat_id)
                    grows = bool(stored and stored[-1][2] == "streaming")
                    if page.ended and shown == stored and not (grows or order.exists()):
                        break
                    if page.loaded and (grows or page.value(TRANSCRIPT, "running")):
                        # What grows may end.
                        provider.go(word(chat_id))
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise AssertionError((act, answer, place, shown, stored, page.ended, order.exists())) from None


@asynccontextmanager
async def visitor(app: App) -> AsyncIterator[PageClient]:
    page = PageClient(app.url)
    try:
        yield page
    finally:
        await page.leave()


async def new_chat(http: httpx.AsyncClient, answer: dict[str, Any], stored: str) -> str:
    """A chat with an exchange of long ago, and the answer that is given, which may still grow."""
    messages = [
        {"id": "1", "parent_id": None, "role": "user", "content": "Long ago"},
        {"id": "2", "parent_id": "1", "role": "assistant", "content": "Forty-one"},
    ]
    file = {"version": 1, "chat": {"title": "Long ago"}, "messages": messages}
    imported = await http.post("/chats/import", json=file)
    assert imported.is_success, imported.text
    chat_id: str = imported.json()["id"]
    question = f"{word(chat_id)}\n{script(**answer)}"
    async with http.stream("POST", "/stream/", json={"chat_id": chat_id, "content": question}):
        async with asyncio.timeout(PATIENCE_S):
            while ((await history(http, chat_id)) or [])[-1][1] != stored:
                await asyncio.sleep(PAUSE_S)
    return chat_id


async def history(http: httpx.AsyncClient, chat_id: str) -> list[Told] | None:
    """What is stored of the chat; None where it is gone."""
    answer = await http.get("/messages/", params={"chat_id": chat_id})
    if answer.status_code == 404:
        return None
    return [(message["role"], message["content"], message["status"]) for message in answer.json()["messages"]]


def rows(page: PageClient) -> list[Told] | None:
    """The same as the page shows it."""
    if not page.loaded or page.value(TRANSCRIPT, "missing"):
        return None
    return [(*told, row["status"]) for told, row in zip(page.shown(), page.rows(), strict=True)]
