"""A real browser on the real page."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

DESKTOP = {"width": 1280, "height": 900}
# How long a condition may take to come true; nothing waits that long when all is well.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A new empty profile."""
    context = await browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A tab; an error in its scripts fails the test."""
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert not errors
