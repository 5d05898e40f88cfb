"""`/insights` as a person reads it."""

from typing import Any

from playwright.async_api import Page


def card(page: Page, name: str) -> Any:
    return page.get_by_role("listitem").filter(has_text=name)


async def numbers(page: Page, title: str) -> list[list[str]]:
    """The table of a plot, opened where it is not."""
    section = page.get_by_role("region", name=title, exact=True)
    if not await section.locator("details").get_attribute("open") is not None:
        await section.get_by_text("Numbers").click()
    rows: list[list[str]] = await section.get_by_role("table").evaluate(
        "(table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    return rows
