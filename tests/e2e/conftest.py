"""A real browser on the real page."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Frame, Page, expect

from tests import chromium
from tests.provider_client import Provider

DESKTOP = {"width": 1280, "height": 900}
# How long a condition may take to come true; nothing waits that long when all is well.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)
PASSED = pytest.StashKey[bool]()
# A toast goes after four seconds; a busy machine may take longer to look. It stays while the page is hidden, and only
# the script of the toasts asks for that by this name.
KEEP_TOASTS = "Object.defineProperty(document, 'hidden', { value: true })"


async def new_profile(browser: Browser) -> BrowserContext:
    context = await browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(KEEP_TOASTS)
    return context


class Profile:
    """A profile that many tests use, one after the other: it is emptied, but its pages are read and compiled only once.

    That takes a tab which stays open and opens all others: they share its process. One tab can be used by several
    tests, which saves to load the page.
    """

    def __init__(self, context: BrowserContext, opener: Page) -> None:
        self.context = context
        self._opener = opener
        self._used: Page | None = None
        self._origins: set[str] = set()
        context.on("page", lambda page: page.on("framenavigated", self._visited))

    async def new_tab(self) -> Page:
        async with self.context.expect_page() as opened:
            await self._opener.evaluate("void open('about:blank')")
        return await opened.value

    async def used_tab(self) -> Page:
        """The one of the last test that asked for it and passed, as that left it."""
        if self._used is None:
            self._used = await self.new_tab()
        # As a new one is.
        await self._used.set_viewport_size(DESKTOP)
        await self._used.emulate_media(color_scheme="null", reduced_motion="null", media="null")
        return self._used

    async def close_used_tab(self) -> None:
        if self._used:
            self._used = None
            await self.empty()

    async def empty(self) -> None:
        for page in self.context.pages:
            if page not in (self._opener, self._used):
                await page.close()
        await self.context.set_offline(False)
        await self.context.clear_permissions()
        await self.context.clear_cookies()
        browser = await self.context.new_cdp_session(self._opener)
        for origin in self._origins:
            await browser.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        await browser.detach()
        self._origins.clear()

    def _visited(self, frame: Frame) -> None:
        address = urlsplit(frame.url)
        if address.netloc:
            self._origins.add(f"{address.scheme}://{address.netloc}")


@pytest.fixture(scope="session")
async def profile(browser: Browser, provider: Provider) -> AsyncIterator[Profile]:
    context = await new_profile(browser)
    opener = await context.new_page()
    # Of the same site as the app's, whatever its port.
    await opener.goto(provider.base_url.removesuffix("/v1") + "/_requests")
    yield Profile(context, opener)
    await context.close()


@pytest.fixture(scope="session")
async def browser_with_cache(browser: Browser) -> AsyncIterator[Callable[[], Awaitable[Browser]]]:
    """A full one, launched by the first test that asks for it."""
    launched: list[Browser] = []

    async def launch() -> Browser:
        if not launched:
            launched.append(
                await browser.browser_type.launch(
                    executable_path=chromium.require(full=True),
                    args=chromium.ARGS,
                    ignore_default_args=chromium.NOT_WITH_CACHE,
                )
            )
        return launched[0]

    yield launch
    for one in launched:
        await one.close()


@pytest.fixture
async def context(
    request: pytest.FixtureRequest,
    browser: Browser,
    browser_with_cache: Callable[[], Awaitable[Browser]],
    profile: Profile,
) -> AsyncIterator[BrowserContext]:
    """An empty profile; with the mark `new_profile` one that nobody used before."""
    if not request.node.get_closest_marker("used_tab"):
        # Its answer may still grow.
        await profile.close_used_tab()
    if request.node.get_closest_marker("browser_cache"):
        context = await new_profile(await browser_with_cache())
        yield context
        await context.close()
    elif request.node.get_closest_marker("new_profile"):
        context = await new_profile(browser)
        yield context
        await context.close()
    else:
        yield profile.context
        await profile.empty()


@pytest.fixture
async def page(request: pytest.FixtureRequest, context: BrowserContext, profile: Profile) -> AsyncIterator[Page]:
    """A tab, new but for the mark `used_tab`; an error in its scripts fails the test."""
    if context is not profile.context:
        page = await context.new_page()
    elif request.node.get_closest_marker("used_tab"):
        page = await profile.used_tab()
    else:
        page = await profile.new_tab()
    errors: list[str] = []

    def note(error: Error) -> None:
        errors.append(str(error))

    page.on("pageerror", note)
    yield page
    page.remove_listener("pageerror", note)
    if errors or not request.node.stash.get(PASSED, False):
        await profile.close_used_tab()
    assert not errors


def pytest_itemcollected(item: pytest.Item) -> None:
    """All in here takes seconds, so most of it is left to CI."""
    if not item.get_closest_marker("everyday"):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report
