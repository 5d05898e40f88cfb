"""The page as a person sees it: by role and accessible name."""

import json
import re
from collections.abc import Sequence
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.app import App
from tests.provider_client import Provider, script

# Every text that the last element of a kind had, one after the other, however fast it changed.
RECORD = """
(selector) => {
  const texts = ((window.recorded ??= {})[selector] = []);
  const look = () => {
    const text = [...document.querySelectorAll(selector)].at(-1)?.innerText;
    if (text !== undefined && text !== texts.at(-1)) texts.push(text);
  };
  look();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}
"""
NEWEST_ANSWER = "article[aria-label='Assistant said']"

# Before a page's own scripts: how often "Back" took it out of the browser's cache.
COUNT_RETURNS = """
window.returns = 0;
addEventListener("pageshow", ({ persisted }) => (window.returns += persisted));
"""
WHY_NOT = "performance.getEntriesByType('navigation')[0].notRestoredReasons"

CLICK_IF_THERE = "(all) => { all[0]?.click(); return all.length > 0; }"
CLOSE_DIALOGS = "document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close())"
# One may come late, and none goes by itself.
CLOSE_TOASTS = """
() => {
  document.querySelectorAll("[data-close-button]").forEach((button) => button.click());
  return !document.querySelector("[data-sonner-toast]");
}
"""


async def record(page: Page, selector: str = NEWEST_ANSWER) -> None:
    """Note the texts of the last element of a kind from now on; a page that is loaded anew begins anew."""
    await page.add_init_script(f"addEventListener('DOMContentLoaded', () => ({RECORD})({json.dumps(selector)}))")
    await page.evaluate(RECORD, selector)


async def recorded(page: Page, selector: str = NEWEST_ANSWER) -> list[str]:
    """The texts since `record`, one after the other: of the newest answer the visible steps in which it grew."""
    texts: list[str] = await page.evaluate("(selector) => window.recorded[selector]", selector)
    return texts


async def leave(page: Page, provider: Provider) -> None:
    """For a page that is none of ours. The browser's cache takes `page` only if no other tab opened it."""
    await page.goto(provider.base_url.removesuffix("/v1") + "/_requests")


async def come_back(page: Page, returns: int = 1) -> None:
    """By "Back", out of the browser's cache, so many times by now."""
    # A page that is there whole is not loaded.
    await page.go_back(wait_until="commit")
    assert await page.evaluate("window.returns") == returns, await page.evaluate(WHY_NOT)


class ChatPage:
    def __init__(self, page: Page, app: App) -> None:
        self.page = page
        self.app = app
        self.box = page.get_by_role("textbox", name="Message", exact=True)
        self.send = page.get_by_role("button", name="Send message")
        self.stop = page.get_by_role("button", name="Stop generating")
        self.log = page.get_by_role("log", name="Conversation")
        self.questions = page.get_by_role("article", name="You said")
        self.answers = page.get_by_role("article", name="Assistant said")
        self.status = page.get_by_role("status").filter(visible=None)
        self.chats = page.get_by_role("navigation", name="Chats").get_by_role("link")
        self.earlier = page.get_by_role("button", name="Load earlier messages")
        self.toasts = page.locator("[data-sonner-toast]")
        self._before: str | None = None

    async def open(self, path: str = "/") -> "ChatPage":
        """Load the page; where it is there already, begin a new chat, as a person does."""
        # A tab that other tests used may be anywhere; in /embed nothing leads to a new chat.
        if path == "/" and self.page.url.startswith(self.app.url) and "/embed" not in self.page.url:
            await self._begin_anew()
        else:
            await self.page.goto(self.app.url + path)
        # The page is drawn before it is connected; the model's name comes over the connection.
        await expect(self.page.locator(".model-name")).not_to_be_empty()
        await expect(self.page.locator("main[data-loading=false]")).to_be_visible()
        return self

    async def listed(self, title: str) -> Locator:
        """The link to a chat of this title in the side bar, which shows older ones when it is asked."""
        link = self.chats.filter(has_text=title).first
        more = self.page.get_by_role("button", name="Show more chats")
        while True:
            await expect(link.or_(more).first).to_be_visible()
            if await link.count():
                return link
            shown = await self.chats.count()
            # The list may have come anew meanwhile, and whole.
            if await more.evaluate_all(CLICK_IF_THERE):
                await expect(self.chats).not_to_have_count(shown)

    async def _begin_anew(self) -> None:
        await self.page.evaluate(CLOSE_DIALOGS)
        await self.page.get_by_role("link", name="New chat").first.click()
        await expect(self.page).to_have_url(self.app.url + "/")
        await self.box.fill("")
        await expect(self.page.get_by_role("article")).to_have_count(0)
        await self.page.wait_for_function(CLOSE_TOASTS)

    async def ask(self, content: str = "", **keys: Any) -> None:
        # While an answer grows it would wait.
        await expect(self.send).to_be_visible()
        await self._note_last()
        await self.box.fill(content or script(**keys))
        await self.box.press("Enter")

    async def again(self, button: str) -> None:
        """Start another turn by a button of this name."""
        await self._note_last()
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def ended(self) -> Locator:
        """The answer to the last `ask` or `again`, once it has ended; what was on the page before does not count."""
        assert self._before is not None, "Nothing was asked since the last answer ended."
        answer = self.answers.last
        await expect(answer).not_to_have_attribute("id", self._before)
        await expect(answer.locator(".figures:not(:empty), .problem")).not_to_have_count(0)
        await expect(self.stop).to_have_count(0)
        self._before = None
        return answer

    async def _note_last(self) -> None:
        """Each turn's answer has an id of its own, also where it takes the place of another version."""
        self._before = await self.answers.evaluate_all("(all) => all.at(-1)?.id ?? ''")

    async def chat_id(self) -> str:
        """Of the open chat; a new one has it a moment after its first message."""
        await self.page.wait_for_url(re.compile("/c/"), wait_until="commit")
        return self.page.url.partition("/c/")[2]

    async def stored(self, chat_id: str | None = None) -> list[dict[str, Any]]:
        """A chat's messages in the database, the open one's if none is named."""
        params = {"chat_id": chat_id or await self.chat_id()}
        reply = self.app.http.get("/messages/", params=params).raise_for_status()
        messages: list[dict[str, Any]] = reply.json()["messages"]
        return messages

    async def saved(self, text: str) -> None:
        """Until this part of the newest answer is in the database."""
        while text not in (await self.stored())[-1]["content"]:
            await self.page.wait_for_timeout(50)

    async def text(self, nth: int = -1) -> str:
        """The text of an answer as it is on the page, white space folded."""
        return fold(await self.answers.nth(nth).locator(".prose").inner_text())


def fold(text: str) -> str:
    return " ".join(text.split())


def import_chat(app: App, turns: int, title: str = "Many turns") -> tuple[str, list[str]]:
    """A chat of so many questions and answers, put in at once; returns its id and those of its messages."""
    answer = "**Answer {0}** with `code`, a list:\n\n- one\n- two\n\n```python\nprint({0})\n```\n\n"
    said = [(f"Question {n}?", answer.format(n) + "and so on " * n) for n in range(turns)]
    chat_id = import_turns(app, said, title)
    stored = app.http.get("/messages/", params={"chat_id": chat_id, "limit": 500}).raise_for_status().json()
    return chat_id, [message["id"] for message in stored["messages"]]


def import_turns(app: App, turns: Sequence[tuple[str, str]], title: str) -> str:
    """A chat of these questions and answers; returns its id."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        for role, content in zip(("user", "assistant"), turn, strict=True):
            parent = messages[-1]["id"] if messages else None
            messages.append({"id": str(len(messages)), "parent_id": parent, "role": role, "content": content})
    file = {"version": 1, "chat": {"title": title}, "messages": messages}
    chat_id: str = app.http.post("/chats/import", json=file).raise_for_status().json()["id"]
    return chat_id
