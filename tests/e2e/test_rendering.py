"""What renders again while an answer grows: the growing message, nothing else."""

from collections.abc import Callable

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage
from tests.provider_client import script

pytestmark = pytest.mark.anyio

# Counts changes below each finished message, and the main thread's long tasks.
WATCH = """() => {
  window.seen = { changed: 0, long: [] };
  const finished = [...document.querySelectorAll("article")];
  const observer = new MutationObserver((changes) => (window.seen.changed += changes.length));
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  for (const article of finished) observer.observe(article, everything);
  const note = (list) => list.getEntries().forEach((entry) => window.seen.long.push(entry.duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
  return finished.length;
}"""


async def test_finished_messages_do_not_render_again_while_an_answer_grows(
    page: Page, app: App, figure: Callable[[object], None]
) -> None:
    chat_id = None
    with httpx.Client(base_url=app.url, timeout=60) as client:
        for number in range(100):
            text = script(text=f"**Answer {number}** with `code`, a list:\\n\\n- one\\n- two")
            body = {"content": text, "chat_id": chat_id}
            chat_id = client.post("/messages/", json=body).raise_for_status().json()["chat_id"]
    chat = await ChatPage(page, app).open(f"/c/{chat_id}")
    await expect(page.get_by_role("article")).to_have_count(200)
    await page.wait_for_load_state("networkidle")
    assert await page.evaluate(WATCH) == 200
    await chat.ask(tokens=500, interval_ms=5)
    await expect(chat.answers.nth(100).locator(".prose")).to_contain_text("tok499")
    seen = await page.evaluate("window.seen")
    figure(f"long tasks while 500 tokens came: {[round(task) for task in seen['long']]}")
    assert seen["changed"] == 0
