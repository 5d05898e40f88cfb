"""`make screenshots`: every state of the page, in both themes and at three widths, into `screenshots/`."""

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from playwright.async_api import Browser, Page, WebSocketRoute, async_playwright, expect

from chat_app.building import build_page
from chat_app.config import ROOT
from chat_app.models import Chat, Message, Role, Status, now
from chat_app.store.store import Store
from tests import chromium
from tests.app import App
from tests.e2e.chat import ChatPage, import_chat
from tests.provider_client import Provider

FOLDER = ROOT / "screenshots"
WIDTHS = {1280: 900, 768: 1024, 360: 740}
ANSWER = '''## Why the sky is blue

Sunlight is made of many colours. When it meets the **molecules of the air**, the short waves are scattered far more \
than the long ones: this is *Rayleigh scattering*, and its strength goes with the inverse fourth power of the \
wavelength.

1. Blue light has a wavelength of about 450 nm.
2. Red light has one of about 700 nm.
3. So blue is scattered `(700 / 450) ** 4`, about six times, as strongly.

```python
def scattering(wavelength_nm: float) -> float:
    """Relative to red light of 700 nm."""
    return (700 / wavelength_nm) ** 4
```

| Colour | Wavelength | Scattering |
|---|---:|---:|
| Violet | 400 nm | 9.4 |
| Blue | 450 nm | 5.9 |
| Red | 700 nm | 1.0 |

> At sunset the light crosses more air, and what is left of it is red.

More in [Rayleigh scattering](https://en.wikipedia.org/wiki/Rayleigh_scattering).
'''
CHATS = [
    ("Why is the sky blue?", ANSWER, Status.complete, 0),
    ("How do I reverse a list in Python?", "Use `items[::-1]`, or `items.reverse()` in place.", Status.complete, 0),
    ("A poem about rain", "Soft on the leaves,\nlate on the roofs,", Status.stopped, 1),
    ("Three tips for sleeping better", "1. Keep the same hours.\n2. Dim the lights", Status.interrupted, 3),
    ("Plan a week in Lisbon", "Begin in Alfama.", Status.complete, 12),
]


async def seed(url: str) -> list[str]:
    """Chats of several days; returns their ids."""
    store = Store(url)
    await store.open()
    ids: list[str] = []
    async with store.database.writing() as session:
        for title, text, status, days in CHATS:
            when = now() - timedelta(days=days, minutes=len(ids))
            chat = Chat(title=title, created_at=when, updated_at=when)
            session.add(chat)
            await session.flush()
            user = Message(chat_id=chat.id, role=Role.user, content=title, created_at=when)
            session.add(user)
            await session.flush()
            session.add(reply(user, text, status))
            ids.append(chat.id)
    await store.close()
    return ids


def reply(user: Message, text: str, status: Status) -> Message:
    return Message(
        rating=-1 if "reverse" in user.content else 0,
        chat_id=user.chat_id,
        parent_id=user.id,
        role=Role.assistant,
        content=text,
        status=status,
        model="gpt-4o-mini",
        usage={"completion_tokens": 214},
        first_token_ms=310,
        duration_ms=2_900,
    )


async def main() -> None:
    build_page()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Provider() as provider:
        folder = Path(name)
        ids = await seed(f"sqlite:///{folder / 'chat.db'}")
        with App(folder, openai_base_url=provider.base_url, openai_model="gpt-4o-mini") as app:
            ids.append(import_chat(app, 60, "A long evening of questions")[0])
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=chromium.require(full=True), args=chromium.ARGS
                )
                for theme in ("light", "dark"):
                    for width in WIDTHS:
                        await shoot_all(browser, app, ids, theme, width)
                await browser.close()
    print(f"The pictures are in {FOLDER}")


async def shoot_all(browser: Browser, app: App, ids: list[str], theme: str, width: int) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme=theme,
        device_scale_factor=2 if width == 360 else 1,
        has_touch=width == 360,
    )
    for name, show in STATES.items():
        page = await context.new_page()
        await show(ChatPage(page, app), ids)
        await settle(page)
        await page.screenshot(path=FOLDER / f"{name}-{theme}-{width}.png")
        await page.close()
    await context.close()


async def settle(page: Page) -> None:
    await page.evaluate("document.fonts.ready")
    await page.wait_for_timeout(400)


async def empty(chat: ChatPage, _ids: list[str]) -> None:
    await chat.open()


async def answer(chat: ChatPage, ids: list[str]) -> None:
    await chat.open(f"/c/{ids[0]}")
    await expect(chat.answers.locator("table")).to_be_visible()


async def interrupted(chat: ChatPage, ids: list[str]) -> None:
    await chat.open(f"/c/{ids[3]}")
    await expect(chat.answers.locator(".problem")).to_be_visible()


async def typing(chat: ChatPage, _ids: list[str]) -> None:
    await chat.open()
    await chat.ask(tokens=1, first_ms=3_000)
    await expect(chat.answers.get_by_text("Assistant is typing")).to_be_visible()


async def growing(chat: ChatPage, _ids: list[str]) -> None:
    await chat.open()
    await chat.ask(tokens=900, interval_ms=10, markdown=True)
    await expect(chat.answers.locator(".prose")).to_contain_text("Section 3")


async def failed(chat: ChatPage, _ids: list[str]) -> None:
    await chat.open()
    await chat.ask(tokens=30, interval_ms=1, reset_after=20)
    await expect(chat.toasts).to_be_visible()


async def remark(chat: ChatPage, ids: list[str]) -> None:
    await chat.open(f"/c/{ids[1]}")
    await chat.page.get_by_role("button", name="Add a remark").click()
    await expect(chat.page.get_by_role("textbox", name="Remark")).to_be_visible()


async def earlier(chat: ChatPage, ids: list[str]) -> None:
    """At the top of what is loaded, while the older messages are on their way."""
    held: list[bool] = []

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: None if held else socket.send(message))

    await chat.page.route_web_socket(re.compile("/_event"), relay)
    await chat.open(f"/c/{ids[-1]}")
    await expect(chat.earlier).to_be_attached()
    held.append(True)
    await chat.earlier.focus()


async def new_settings(chat: ChatPage, _ids: list[str]) -> None:
    """What was chosen for a chat that is only about to begin."""
    await settings(chat, [])
    await chat.page.get_by_role("button", name="Save").click()
    await expect(chat.page.get_by_text("own prompt")).to_be_visible()


async def settings(chat: ChatPage, _ids: list[str]) -> None:
    await chat.open()
    await chat.page.get_by_role("button", name="Settings of this chat").click()
    await chat.page.get_by_role("textbox", name="System prompt").fill("Answer in one sentence.")
    await chat.page.get_by_role("spinbutton", name="Temperature").fill("0.2")


async def search(chat: ChatPage, _ids: list[str]) -> None:
    await chat.open()
    await chat.page.keyboard.press("Control+k")
    await chat.page.get_by_role("searchbox", name="Search").fill("sky")
    await expect(chat.page.get_by_role("list", name="Results").get_by_role("link").first).to_be_visible()


async def missing(chat: ChatPage, _ids: list[str]) -> None:
    await chat.page.goto(f"{chat.app.url}/c/no-such-chat")
    await expect(chat.page.get_by_role("heading", name="This chat is not here")).to_be_visible()


async def drawer(chat: ChatPage, ids: list[str]) -> None:
    await chat.open(f"/c/{ids[1]}")
    if await chat.page.get_by_role("button", name="Show chats").is_visible():
        await chat.page.get_by_role("button", name="Show chats").click()


STATES: dict[str, Callable[[ChatPage, list[str]], Awaitable[None]]] = {
    "empty": empty,
    "answer": answer,
    "typing": typing,
    "growing": growing,
    "interrupted": interrupted,
    "failed": failed,
    "remark": remark,
    "earlier": earlier,
    "settings": settings,
    "new-settings": new_settings,
    "search": search,
    "missing": missing,
    "drawer": drawer,
}


if __name__ == "__main__":
    asyncio.run(main())
