"""The core of the `useStream()` hook, without a browser: `use_stream.test.mjs` under Node's own test runner."""

import shutil
import subprocess
import sys
from pathlib import Path

from chat_app.config import ROOT

FILES = [ROOT / "assets" / "use-stream.js", Path(__file__).with_name("use_stream.test.mjs")]


def test_the_core_of_the_hook(page_built: None, tmp_path: Path) -> None:
    for file in FILES:
        shutil.copy(file, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    # The packages are those that the page is built with.
    (tmp_path / "node_modules").symlink_to(ROOT / ".web" / "node_modules")
    node = Path(sys.executable).with_name("node")
    command = [str(node), "--test", "--test-reporter=spec", "--test-timeout=20000", FILES[1].name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "fail 0" in run.stdout
