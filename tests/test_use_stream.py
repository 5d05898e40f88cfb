"""The core of the `useStream()` hook, without a browser: `use_stream.test.mjs` under Node's own test runner."""

from pathlib import Path

from chat_app.config import ROOT
from tests.node import run_tests

TESTS = Path(__file__).with_name("use_stream.test.mjs")


def test_the_core_of_the_hook(page_built: None, tmp_path: Path) -> None:
    run_tests(tmp_path, TESTS, [ROOT / "assets" / "use-stream.js"], "--test-timeout=20000")
