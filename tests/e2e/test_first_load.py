"""The first load is light: highlighting languages, maths and diagrams come when they are needed."""

import time
from collections.abc import Callable

import pytest
from playwright.async_api import BrowserContext, Page

from tests.app import App
from tests.e2e.chat import ChatPage

pytestmark = pytest.mark.anyio

MOST_BYTES = 600_000


async def test_scripts_and_styles_of_the_page_are_small(
    context: BrowserContext, page: Page, app: App, figure: Callable[[object], None]
) -> None:
    browser = await context.new_cdp_session(page)
    await browser.send("Network.enable")
    names: dict[str, str] = {}
    sizes: dict[str, float] = {}
    browser.on("Network.responseReceived", lambda event: names.update({event["requestId"]: event["response"]["url"]}))
    browser.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    began = time.monotonic()
    await ChatPage(page, app).open()
    took = time.monotonic() - began
    await page.wait_for_load_state("networkidle")
    code = sum(size for id, size in sizes.items() if names.get(id, "").endswith((".js", ".css")))
    figure(f"first load: {code / 1000:.0f} KB of scripts and styles, interactive after {took:.2f} s")
    assert 0 < code <= MOST_BYTES
