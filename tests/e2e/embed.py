"""The chat at /embed as a person sees it: by role and accessible name."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from playwright.async_api import FrameLocator, Locator, Page, expect

from tests.app import App
from tests.e2e.chat import ChatPage, fold
from tests.provider_client import script


class EmbedPage:
    """In a page of its own, in a frame, or as a part of a page."""

    def __init__(self, root: Page | FrameLocator | Locator) -> None:
        self.root = root
        self.box = root.get_by_role("textbox", name="Message")
        self.send = root.get_by_role("button", name="Send message")
        self.stop = root.get_by_role("button", name="Stop generating")
        self.log = root.get_by_role("log", name="Conversation")
        self.questions = root.get_by_role("article", name="You said")
        self.answers = root.get_by_role("article", name="Assistant said")
        self.status = root.get_by_role("status")
        self.error = root.get_by_role("alert")
        self.connection = root.locator(".chip")
        self._asked: int | None = None

    async def open(self, url: str, **parameters: str) -> "EmbedPage":
        """The page of the app at `url`, in a tab of its own."""
        assert isinstance(self.root, Page)
        self.app_url = url
        await self.root.goto(f"{url}/embed?{httpx.QueryParams(parameters)}")
        await expect(self.box).to_be_visible()
        return self

    async def ask(self, content: str = "", **keys: Any) -> None:
        # While an answer grows the box sends nothing.
        await expect(self.send).to_be_visible()
        self._asked = await self.answers.count()
        await self.box.fill(content or script(**keys))
        await self.box.press("Enter")

    async def ended(self) -> Locator:
        """The answer to the last `ask`, once it has ended."""
        assert self._asked is not None, "Nothing was asked since the last answer ended."
        await expect(self.answers).to_have_count(self._asked + 1)
        await expect(self.status).to_have_text(re.compile("^Answer"))
        self._asked = None
        return self.answers.last

    async def stored(self) -> list[dict[str, Any]]:
        """The open chat's messages in the database."""
        assert isinstance(self.root, Page)
        chat_id = await self.root.evaluate("sessionStorage.getItem('embed:chat')")
        reply = await self.root.request.get(f"{self.app_url}/messages/", params={"chat_id": chat_id})
        assert reply.ok, reply.status
        messages: list[dict[str, Any]] = (await reply.json())["messages"]
        return messages

    async def text(self, nth: int = -1) -> str:
        return fold(await self.answers.nth(nth).locator(".prose").inner_text())


# For tests of what both pages share.
Open = Callable[[Page, App], Awaitable[ChatPage | EmbedPage]]


async def the_page(page: Page, app: App) -> ChatPage | EmbedPage:
    return await ChatPage(page, app).open()


async def the_embed(page: Page, app: App) -> ChatPage | EmbedPage:
    return await EmbedPage(page).open(app.url)
