"""A copy of the app's tree, for a test that builds the page differently; what npm installed, and builds, are shared."""

import os
import shutil
from pathlib import Path

from chat_app.config import ROOT

TREE = ["chat_app", "rill", "tests", "assets", "rxconfig.py", "requirements.txt", "reflex.lock"]
LINKED = ["node_modules", "pages"]
"""Of `.web`: npm and builds replace files there and write into none, so that ours may be the same ones."""


def copy_tree(tree: Path) -> None:
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    copy_workshop(ROOT, tree)


def copy_workshop(place: Path, folder: Path) -> None:
    """Where a page was built: with what npm installed, which takes longer than the build."""
    web = place / ".web"
    shutil.copytree(web, folder / ".web", symlinks=True, ignore=lambda place, _: LINKED if Path(place) == web else [])
    for name in LINKED:
        shutil.copytree(web / name, folder / ".web" / name, symlinks=True, copy_function=link_or_copy)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # On another disk.
        shutil.copy2(source, target)
