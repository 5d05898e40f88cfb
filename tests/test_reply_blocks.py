"""How the page arranges a reply's parts, without a browser: `reply_blocks.test.mjs` under Node's own test runner."""

import shutil
import subprocess
import sys
from pathlib import Path

from chat_app.config import ROOT

FILES = [ROOT / "chat_app" / "ui" / "reply_blocks.js", Path(__file__).with_name("reply_blocks.test.mjs")]


def test_the_parts_of_a_reply_as_blocks(tmp_path: Path) -> None:
    for file in FILES:
        shutil.copy(file, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    node = Path(sys.executable).with_name("node")
    command = [str(node), "--test", "--test-reporter=spec", FILES[1].name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "fail 0" in run.stdout
