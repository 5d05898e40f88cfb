"""A copy of the app's tree, for a test that builds the page differently; what npm installed is shared."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from chat_app.config import ROOT

TREE = ["chat_app", "rill", "tests", "assets", "rxconfig.py", "requirements.txt", "reflex.lock"]


def copy_tree(tree: Path) -> None:
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    # With what npm installed, which takes longer than the build.
    shutil.copytree(ROOT / ".web", tree / ".web", symlinks=True, copy_function=copy_or_link)


def copy_or_link(source: str, target: str) -> None:
    # npm replaces its files and does not write into them, so ours may be the same ones.
    if "node_modules" in Path(source).parts:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)
