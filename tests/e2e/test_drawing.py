"""However long a chat is, the browser draws a little of it in one step."""

import pytest
from playwright.async_api import Page, expect

from chat_app.ui.transcript import FIRST, MORE
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat

pytestmark = pytest.mark.anyio

# By this clock each piece that is drawn takes all of its frame's time, on any machine. Counts the elements that come in
# one task of the browser.
SLOW = """
() => {
  const now = performance.now.bind(performance);
  let later = 0;
  performance.now = () => now() + (later += 10);
  let count = 0;
  window.steps = [];
  const next = new MessageChannel();
  next.port1.onmessage = () => {
    steps.push(count);
    count = 0;
  };
  const elements = (node) => (node.nodeType === 1 ? 1 + node.querySelectorAll("*").length : 0);
  new MutationObserver((records) => {
    if (count === 0) next.port2.postMessage(null);
    for (const { addedNodes } of records) for (const node of addedNodes) count += elements(node);
  }).observe(document, { subtree: true, childList: true });
}
"""
ALL_DRAWN = "() => document.querySelector('article') && !document.querySelector('.awaited')"
# What stands for a message that is not drawn yet, and what one piece of these answers has at most.
A_ROW = 4
A_PIECE = 100


async def most_in_one_step(page: Page) -> int:
    await page.wait_for_function(ALL_DRAWN)
    steps: list[int] = await page.evaluate("steps.splice(0)")
    return max(steps)


async def test_a_chat_of_400_messages_comes_in_small_steps(page: Page, app: App) -> None:
    _, ids = import_chat(app, 200, "Small steps")
    chat = await ChatPage(page, app).open()
    link = await chat.listed("Small steps")
    await page.evaluate(SLOW)
    await link.click()
    await expect(page.locator("article")).to_have_count(FIRST)
    assert await most_in_one_step(page) <= FIRST * A_ROW + A_PIECE
    # A hit far up, and what is between it and the newest.
    await page.evaluate("(id) => { location.hash = id; }", ids[20])
    await expect(page.locator(f"[id='{ids[20]}']")).to_be_in_viewport()
    assert await most_in_one_step(page) <= FIRST * A_ROW + A_PIECE
    shown = await page.locator("article").count()
    await page.locator(".gap button").evaluate("(button) => button.click()")
    await expect(page.locator("article")).to_have_count(shown + MORE)
    assert await most_in_one_step(page) <= MORE * A_ROW + A_PIECE
    # And what grows in it.
    await chat.ask(tokens=100, interval_ms=1, markdown=True)
    await expect(chat.answers.last.locator(".figures:not(:empty)")).to_be_attached()
    assert await most_in_one_step(page) <= A_PIECE
