"""Where the built page is: each build is in a folder of its own, in `.web/pages/`; a wheel brings one along.

A running server keeps the build it began with, and a browser can load the rest of that page, while another is made.

Only what Python brings is imported here: the wheel's own build asks before anything is installed.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from chat_app.folders import FILES, INSTALLED, PACKAGES, SHIPPED, WORKSHOP

WEB = WORKSHOP / ".web"
PAGES = WEB / "pages"
KEPT = 3
"""Builds: older ones go with the next."""
# Of what Reflex leaves in its working folder, the server reads this.
NEEDED = ["build/client", "backend", "routes.json", "reflex.json", "env.json"]
DEVELOPMENT = WEB / "dev"
VITE = "RILL_VITE"
"""In the development loop: the address of Vite, which makes the page instead."""
VARIABLE = "REFLEX_WEB_WORKDIR"
"""Names the folder to Reflex, and to us."""
RESOURCES = ["rxconfig.py", "requirements.txt", "reflex.lock", "assets"]
CODE = ["chat_app/chat_app.py", "chat_app/brand.py", "chat_app/ui"]
# Made by Reflex while it builds, from what is in `chat_app/ui`.
GENERATED = "external"


def fingerprint(*more: bytes) -> str:
    """A hash over all that the page is made from: the app's own files, and what is given."""
    digest = hashlib.sha256()
    for one in more:
        digest.update(one + b"\0")
    for folder, names in ((FILES, RESOURCES), (PACKAGES, CODE)):
        for file in _files(folder, names):
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(folder: Path, names: list[str]) -> Iterator[Path]:
    generated = folder / "assets" / GENERATED
    for path in (folder / name for name in names):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts and generated not in file.parents:
                yield file


def folder(stamp: str) -> Path:
    """Of the build that was made from the sources with this fingerprint, if there is one."""
    shipped = SHIPPED / "pages" / stamp[:16]
    return shipped if INSTALLED and shipped.is_dir() else PAGES / stamp[:16]


def is_there(stamp: str) -> bool:
    """Whether there is such a build. The folder alone is no sign: a server that began without a build made it."""
    return (folder(stamp) / "build" / "client").is_dir()


def served() -> Path:
    """The folder whose page this process serves."""
    folder = DEVELOPMENT if os.environ.get(VITE) else Path(os.environ.get(VARIABLE, WEB))
    return folder / "build" / "client"


def file_in(folder: Path, path: str) -> Path | None:
    """The file that the path of an address leads to; None: there is none, or it is not in this folder."""
    if "\0" in path:
        return None
    try:
        file = (folder / path.lstrip("/")).resolve()
        return file if file.is_relative_to(folder) and file.is_file() else None
    except OSError:
        # A name that is too long, for one.
        return None


def copy_for_development() -> None:
    """The app's own page, of which the development loop serves what is no part of Reflex's: `/embed`."""
    shutil.rmtree(DEVELOPMENT, ignore_errors=True)
    client = Path("build") / "client"
    shutil.copytree(folder(fingerprint()) / client, DEVELOPMENT / client)


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
    if is_there(stamp):
        # Another process built the same.
        return shutil.rmtree(making)
    shutil.rmtree(folder(stamp), ignore_errors=True)
    making.rename(folder(stamp))
    for old in sorted(PAGES.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
