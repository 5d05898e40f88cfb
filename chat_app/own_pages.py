"""The pages that PAGES adds to the app: none takes the address of another.

`python -m chat_app.own_pages` tries them, and says in one sentence what is wrong.
"""

import sys
from functools import cache
from typing import Any

import reflex as rx
from fastapi import FastAPI
from starlette.routing import Match

from chat_app.api import create_api
from chat_app.config import load_settings
from chat_app.errors import SettingsError
from chat_app.extend import own_code, page_adder
from chat_app.ui import beside_rxconfig

RESERVED = {"", "index", "c", "404", "assets", "_event", "_upload", "_health", "ping"} | {
    "login",
    "logout",
    "invite",
    "account",
    "embed",
}
"""First parts of addresses that are the page's own, Reflex's, and those of accounts (`people.pages`); those of the API
are asked for."""


def add_own_pages(app: rx.App, setting: str) -> None:
    """Call PAGES' function. Raises SettingsError: it takes an address that is another's, or it fails."""
    original = app.add_page
    mine: set[str] = set()

    def add_page(component: Any = None, route: str | None = None, *arguments: Any, **options: Any) -> Any:
        name = app._page_route_key(component, route)
        if name is not None:
            if _is_taken(name.strip("/")) or name in mine:
                raise _taken(setting, name, by_itself=name in mine)
            mine.add(name)
        return original(component, route, *arguments, **options)

    setattr(app, "add_page", add_page)  # noqa: B010 - a method, to mypy
    adding = page_adder(setting)
    try:
        with own_code("PAGES", setting):
            adding(app)
    finally:
        del app.add_page


@cache
def _api() -> FastAPI:
    return create_api()


def _is_taken(address: str) -> bool:
    """`address` without the slashes around it."""
    first = address.partition("/")[0]
    return first in RESERVED or first.startswith("[") or _answers(f"/{address}") or _answers(f"/{first}/")


def _answers(path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is not Match.NONE for route in _api().routes)


def _taken(setting: str, name: str, *, by_itself: bool) -> SettingsError:
    address = "/" + name.strip("/").removeprefix("index")
    whose = "it adds two pages at" if by_itself else "the app itself is at"
    reason = f"{whose} {address}; give its page another address, such as /my{address.rstrip('/').replace('[', '')}"
    return SettingsError(f"The setting PAGES={setting} cannot be used: {reason.rstrip('/')}.")


if __name__ == "__main__":
    try:
        with beside_rxconfig():
            app = rx.App()
        add_own_pages(app, load_settings().pages or "")
    except SettingsError as problem:
        sys.exit(str(problem))
