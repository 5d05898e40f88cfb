"""How a long chat is drawn, without a browser: `drawing.test.mjs` under Node's test runner, with the page's modules."""

from pathlib import Path

from chat_app.config import ROOT
from tests.node import run_tests

UI = ROOT / "chat_app" / "ui"
TESTS = Path(__file__).with_name("drawing.test.mjs")


def test_drawing(page_built: None, tmp_path: Path) -> None:
    run_tests(tmp_path, TESTS, [UI / "slices.js", UI / "known_rows.js"])
