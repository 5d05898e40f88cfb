"""Pages of one's own never take an address that is the app's; what is wrong is said in one sentence, before a build."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import reflex as rx

from chat_app import building
from chat_app.config import ROOT
from chat_app.errors import SettingsError
from chat_app.own_pages import add_own_pages
from tests.own_app import own_app

TAKEN = [
    *(
        "/",
        "",
        "index",
        "/c/other",
        "c",
        "/embed",
        "/docs",
        "/chats",
        "/chats/mine",
        "messages",
        "/stream/x",
        "/v1/mine",
    ),
    *("/openapi.json", "/healthz", "/ping", "/assets/x", "404", "/[name]", "/[[name]]/[[other]]"),
]


def added(monkeypatch: pytest.MonkeyPatch, *routes: str | None) -> rx.App:
    def about_us() -> rx.Component:
        return rx.el.main("Hello")

    def add(app: rx.App) -> None:
        for route in routes:
            app.add_page(about_us, route=route)

    monkeypatch.setattr(sys.modules[__name__], "add", add, raising=False)
    with own_app() as app:
        add_own_pages(app, f"{__name__}:add")
    return app


@pytest.mark.parametrize("route", TAKEN)
def test_an_address_of_the_apps_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    with pytest.raises(SettingsError) as caught:
        added(monkeypatch, route)
    assert caught.value.message.startswith(f"The setting PAGES={__name__}:add cannot be used: the app itself is at /")
    assert route.strip("/").removeprefix("index") in caught.value.message


def test_two_pages_at_one_address_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="it adds two pages at /mine; give its page another"):
        added(monkeypatch, "/mine", "mine/")


def test_any_other_address_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    app = added(monkeypatch, "/hello", "reports/[day]", "chat", "/embedded", None)
    assert {"hello", "reports/[day]", "chat", "embedded", "about-us"} <= set(app._unevaluated_pages)
    # Nothing is left of the check.
    assert "add_page" not in vars(app)


def fails(app: Any) -> None:
    raise ValueError("no chart")


def test_a_function_that_fails_is_named_with_its_line() -> None:
    with own_app() as app, pytest.raises(SettingsError, match=r"ValueError: no chart at .*test_own_pages\.py:\d+"):
        add_own_pages(app, f"{__name__}:fails")


@pytest.mark.slow
def test_the_start_ends_with_the_sentence_and_builds_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken_pages.py").write_text("def add(app):\n    app.add_page(lambda: None, route='/')\n")
    environ = os.environ | {"PAGES": "taken_pages:add", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "chat_app", "build"]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "the app itself is at /; give its page another address" in run.stderr
    assert "Building" not in run.stderr + run.stdout


def test_what_a_page_installs_stays_out_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "package-lock.json"
    before = {lock: b'{"packages": {}}', tmp_path / "package.json": b"{}"}
    for file, content in before.items():
        file.write_bytes(content)
    monkeypatch.setattr(building, "LOCK", lock)
    with pytest.raises(KeyboardInterrupt), building.kept_lock():
        for file in before:
            file.write_text('{"recharts": "1"}')
        raise KeyboardInterrupt
    assert {file: file.read_bytes() for file in before} == before
