"""The first load is light: the highlighter, its languages, maths and diagrams come when they are needed."""

import time
from collections.abc import Callable

import pytest
from playwright.async_api import BrowserContext, Page

from tests.app import App
from tests.e2e.embed import Open, the_embed, the_page

pytestmark = pytest.mark.anyio


@pytest.mark.new_profile
@pytest.mark.parametrize(("opened", "most_bytes"), [(the_page, 430_000), (the_embed, 290_000)])
async def test_scripts_and_styles_are_small(
    context: BrowserContext, page: Page, app: App, figure: Callable[[object], None], opened: Open, most_bytes: int
) -> None:
    browser = await context.new_cdp_session(page)
    await browser.send("Network.enable")
    names: dict[str, str] = {}
    sizes: dict[str, float] = {}
    browser.on("Network.responseReceived", lambda event: names.update({event["requestId"]: event["response"]["url"]}))
    browser.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    began = time.monotonic()
    await opened(page, app)
    took = time.monotonic() - began
    await page.wait_for_load_state("networkidle")
    code = sum(size for id, size in sizes.items() if names.get(id, "").endswith((".js", ".css")))
    figure(
        f"first load of {opened.__name__}: {code / 1000:.0f} KB of scripts and styles, interactive after {took:.2f} s"
    )
    assert 0 < code <= most_bytes
