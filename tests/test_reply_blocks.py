"""How the page arranges a reply's parts, without a browser: `reply_blocks.test.mjs` under Node's own test runner."""

from pathlib import Path

from chat_app.config import ROOT
from tests.node import run_tests

TESTS = Path(__file__).with_name("reply_blocks.test.mjs")


def test_the_parts_of_a_reply_as_blocks(tmp_path: Path) -> None:
    run_tests(tmp_path, TESTS, [ROOT / "chat_app" / "ui" / "reply_blocks.js"])
