"""`/docs` in a browser: every route in the viewer, and a request that is sent from it."""

import json
import re
import subprocess
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Request, expect

from tests.app import App

pytestmark = pytest.mark.anyio


def operations(app: App) -> list[tuple[str, str, dict[str, Any]]]:
    paths = app.http.get("/openapi.json").json()["paths"]
    return [(method, path, operation) for path, methods in paths.items() for method, operation in methods.items()]


async def unfolded(page: Page, operation: dict[str, Any]) -> Locator:
    block = page.locator(f"#operations-{operation['tags'][0]}-{operation['operationId']}")
    await block.locator(".opblock-summary-control").click()
    return block


@pytest.mark.thorough
async def test_it_shows_every_route_with_all_that_it_has(page: Page, app: App) -> None:
    fetched: list[str] = []

    def note(request: Request) -> None:
        fetched.append(request.url)

    page.on("request", note)
    await page.goto(app.url + "/docs")
    shown = operations(app)
    await expect(page.locator(".opblock")).to_have_count(len(shown))
    for method, path, operation in shown:
        block = await unfolded(page, operation)
        await expect(block.locator(".responses-table").first).to_be_visible()
        # Long paths have invisible places to break at.
        text = (await block.inner_text()).replace("\u200b", "")
        expected = [method.upper(), path, operation["summary"], *operation["responses"]]
        expected += [one["name"] for one in operation.get("parameters", [])]
        assert [one for one in expected if one not in text] == [], path
        await block.locator(".opblock-summary-control").click()
    assert all(url.startswith((app.url, "data:")) for url in fetched)


async def test_a_request_can_be_tried_and_its_curl_runs_in_a_shell(page: Page, app: App) -> None:
    await page.goto(app.url + "/docs")
    (create,) = [one for _, _, one in operations(app) if one["operationId"] == "create_chat"]
    block = await unfolded(page, create)
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table")
    await expect(answer).to_contain_text("201")
    await expect(answer).to_contain_text("Plans")
    command = await block.locator(".curl").inner_text()
    run = subprocess.run(["sh", "-c", re.sub("^curl", "curl -sS", command)], capture_output=True, text=True, timeout=60)
    assert json.loads(run.stdout)["title"] == "Plans", run.stderr
