"""Tests of the page's modules without a browser: under Node's own test runner, with the packages of the page."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from chat_app.config import ROOT


def run_tests(folder: Path, test: Path, modules: Sequence[Path], *options: str, **variables: str) -> None:
    """Of the file `test`, which imports `modules` from beside it; in `folder`."""
    for file in (test, *modules):
        shutil.copy(file, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    # The packages are those that the page is built with.
    (folder / "node_modules").symlink_to(ROOT / ".web" / "node_modules")
    node = Path(sys.executable).with_name("node")
    command = [str(node), "--test", "--test-reporter=spec", *options, test.name]
    run = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "fail 0" in run.stdout
