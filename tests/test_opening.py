"""What a page shows that goes from address to address faster than chats are read."""

import asyncio

import pytest

from chat_app.ui.transcript import FIRST
from tests.app import App
from tests.e2e.chat import import_chat
from tests.page_client import PageClient

pytestmark = pytest.mark.anyio

SETTINGS = "chat_app___ui___settings____chat_settings"
PROMPT = "Be brief."


@pytest.mark.slow
async def test_a_chat_that_is_opened_again_while_it_is_opened_is_there_whole(app: App) -> None:
    """As by a double click. With each address Reflex ends the handlers of the one before, wherever they are."""
    chat_id, _ = import_chat(app, FIRST)
    app.http.patch(f"/chats/{chat_id}", json={"system_prompt": PROMPT}).raise_for_status()
    page = PageClient(app.url)
    await page.load()
    await page.until(lambda: page.loaded)
    for pause_ms in range(40):
        await page.visit("/")
        await page.until(lambda: page.loaded and page.value(SETTINGS, "own")["system_prompt"] == "")
        await page.visit(f"/c/{chat_id}")
        await asyncio.sleep(pause_ms / 1_000)
        await page.visit(f"/c/{chat_id}")
        await page.until(lambda: page.loaded and len(page.rows()) == FIRST)
        await page.until(lambda: page.value(SETTINGS, "own")["system_prompt"] == PROMPT)
    await page.leave()
