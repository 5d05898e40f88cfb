"""How text that grows is written into the page, without a browser: `appended.test.mjs` under Node's own test runner."""

from pathlib import Path

from chat_app.config import ROOT
from tests.node import run_tests

TESTS = Path(__file__).with_name("appended.test.mjs")


def test_text_that_grows_is_added_to(tmp_path: Path) -> None:
    run_tests(tmp_path, TESTS, [ROOT / "chat_app" / "ui" / "appended.js"])
