"""Where the built page is: each build is in a folder of its own, in `.web/pages/`.

A running server keeps the build it began with, and a browser can load the rest of that page, while another is made.
"""

import os
import shutil
from pathlib import Path

from chat_app.config import ROOT

WEB = ROOT / ".web"
PAGES = WEB / "pages"
KEPT = 3
"""Builds: older ones go with the next."""
# Of what Reflex leaves in its working folder, the server reads this.
NEEDED = ["build/client", "backend", "routes.json", "reflex.json", "env.json"]
VARIABLE = "REFLEX_WEB_WORKDIR"
"""Names the folder to Reflex, and to us."""


def folder(stamp: str) -> Path:
    """Of the build that was made from the sources with this fingerprint. If it is there, it is complete."""
    return PAGES / stamp[:16]


def served() -> Path:
    """The folder whose page this process serves."""
    return Path(os.environ.get(VARIABLE, WEB)) / "build" / "client"


def keep(stamp: str) -> None:
    """Put what Reflex has just built into its folder."""
    making = PAGES / f"{stamp[:16]}.{os.getpid()}"
    for name in NEEDED:
        source = WEB / name
        (making / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, making / name)
        elif source.exists():
            shutil.copy(source, making / name)
    if folder(stamp).exists():
        # Another process built the same.
        return shutil.rmtree(making)
    making.rename(folder(stamp))
    for old in sorted(PAGES.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
