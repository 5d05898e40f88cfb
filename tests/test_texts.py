"""What a model may write, without a browser: `texts.test.mjs` under Node's test runner, with the page's modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chat_app.config import ROOT

UI = ROOT / "chat_app" / "ui"
MODULES = [
    "address_syntax.js",
    "answer_blocks.js",
    "answer_tree.js",
    "bounded_syntax.js",
    "formula_syntax.js",
    "html_syntax.js",
    "katex.js",
    "unfinished.js",
]
TESTS = Path(__file__).with_name("texts.test.mjs")


def run_tests(folder: Path, *options: str, size: float, fuzz_cases: int) -> None:
    for name in MODULES:
        # Node knows neither style sheets, nor the document that a copy is made in.
        lines = (UI / name).read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(('import "katex/dist', 'import "katex/contrib/copy'))]
        (folder / name).write_text("".join(kept))
    shutil.copy(TESTS, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    # The packages are those that the page is built with.
    (folder / "node_modules").symlink_to(ROOT / ".web" / "node_modules")
    node = Path(sys.executable).with_name("node")
    command = [str(node), "--test", "--test-reporter=spec", *options, TESTS.name]
    environment = os.environ | {"SIZE": str(size), "FUZZ_CASES": str(fuzz_cases)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "fail 0" in run.stdout


def test_texts(page_built: None, tmp_path: Path) -> None:
    run_tests(tmp_path, size=0.2, fuzz_cases=100)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_heavy_and_random_texts(page_built: None, tmp_path: Path) -> None:
    run_tests(tmp_path, "--test-name-pattern=no text takes long|random markdown", size=1, fuzz_cases=10_000)
