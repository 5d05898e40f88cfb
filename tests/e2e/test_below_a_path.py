"""A proxy that serves the app below a path: its page has no scripts, and says why."""

import pytest
from playwright.async_api import Page, Route, expect

from tests.app import App

pytestmark = pytest.mark.anyio


async def test_a_page_below_a_path_says_that_it_needs_a_host(page: Page, app: App) -> None:
    async def missing(route: Route) -> None:
        await route.fulfill(status=404, content_type="text/html", body="<h1>Not here</h1>")

    async def stripped(route: Route) -> None:
        await route.fulfill(response=await route.fetch(url=app.url + "/"))

    await page.route("**/assets/**", missing)
    await page.route("**/rill/", stripped)
    await page.goto(app.url + "/rill/")
    await expect(page.get_by_role("alert").first).to_contain_text("needs a host of its own")
    await page.goto(app.url + "/")
    await expect(page.get_by_role("alert").first).to_contain_text("load the page again")
