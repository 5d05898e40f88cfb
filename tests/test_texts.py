"""What a model may write, without a browser: `texts.test.mjs` under Node's test runner, with the page's modules."""

from pathlib import Path

import pytest

from chat_app.config import ROOT
from tests.node import run_tests

UI = ROOT / "chat_app" / "ui"
MODULES = [
    "address_syntax.js",
    "answer_blocks.js",
    "answer_tree.js",
    "bounded_syntax.js",
    "formula_syntax.js",
    "html_syntax.js",
    "katex.js",
    "plain_growth.js",
    "unfinished.js",
]
TESTS = Path(__file__).with_name("texts.test.mjs")
GROWTH = Path(__file__).with_name("plain_growth.test.mjs")


@pytest.fixture
def modules(tmp_path: Path) -> list[Path]:
    """Without what Node does not know: style sheets, and the document that a copy is made in."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name in MODULES:
        lines = (UI / name).read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(('import "katex/dist', 'import "katex/contrib/copy'))]
        (folder / name).write_text("".join(kept))
    return list(folder.iterdir())


@pytest.mark.slow
def test_texts(page_built: None, tmp_path: Path, modules: list[Path]) -> None:
    run_tests(tmp_path, TESTS, modules, SIZE="0.2", FUZZ_CASES="300")


@pytest.mark.slow
def test_growing_texts(page_built: None, tmp_path: Path, modules: list[Path]) -> None:
    run_tests(tmp_path, GROWTH, modules, GROWN="100")


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_many_growing_texts(page_built: None, tmp_path: Path, modules: list[Path]) -> None:
    run_tests(tmp_path, GROWTH, modules, GROWN="3000")


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_heavy_and_random_texts(page_built: None, tmp_path: Path, modules: list[Path]) -> None:
    heavy = "--test-name-pattern=no text takes long|random markdown"
    run_tests(tmp_path, TESTS, modules, heavy, SIZE="1", FUZZ_CASES="10000")
