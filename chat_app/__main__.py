"""`python -m chat_app`, or `rill` where it is installed: build the page if its sources changed, then serve page, API
and websocket on one port.

`build` does the first alone. `dev` serves too, and again whenever a source is saved.
`backup FILE` and `restore FILE` copy the database into a file and back. `chat` is a chat in the terminal.
`user` and `key` are for accounts.
"""

import argparse
import asyncio
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

from chat_app import built, logs, server
from chat_app.brand import load_brand
from chat_app.building import UNLINKED, build_page, fingerprint
from chat_app.client import __main__ as terminal
from chat_app.config import VERSION, Settings, load_settings
from chat_app.connections import capacity
from chat_app.errors import CannotStart, SettingsError
from chat_app.people.command_line import add_commands
from chat_app.scaffold import new_agent
from chat_app.store.backup import back_up, restore
from chat_app.store.claim import claim
from chat_app.store.database import Database
from chat_app.weights import fetch_model

CANNOT_LISTEN = {
    errno.EADDRINUSE: "Port {port} is taken. End the program that uses it, or set PORT to another.",
    errno.EACCES: "This user may not use port {port}. Set PORT to one above 1023, with a proxy before it.",
    errno.EADDRNOTAVAIL: "HOST={host} is no address of this machine. Set HOST to 127.0.0.1 or 0.0.0.0.",
}
OTHERWISE = "The server cannot listen at HOST={host}, PORT={port}. Set them to others."


def main() -> None:
    try:
        if sys.argv[1:2] == ["chat"]:
            # It has options of its own.
            sys.exit(terminal.main(sys.argv[2:], f"{program()} chat"))
        arguments = parser().parse_args()
        if arguments.command == "new":
            folder = new_agent(arguments.name, Path.cwd())
            print(f"{folder} is there. Its README.md says how to start it.")
            return
        if arguments.command == "model":
            fetch_model()
            return
        settings = load_settings()
        logs.install(settings.log_format, settings.secrets)
        if arguments.command in ("user", "key"):
            # Loaded only here, as are most parts of it: without accounts nobody needs them.
            from chat_app.people.commands import run_command

            asyncio.run(run_command(settings, arguments))
        elif arguments.command in ("backup", "restore"):
            asyncio.run(copy_database(settings, arguments))
        else:
            run(settings, arguments.command)
    except (SettingsError, CannotStart) as error:
        logs.say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def program() -> str:
    """How it was called."""
    name = Path(sys.argv[0]).stem
    return "python -m chat_app" if name == "__main__" else name


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program(), description="Without a command, serve the app.")
    parser.add_argument("--version", action="version", version=f"Rill {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("build", help="build the page, and no more")
    commands.add_parser("dev", help="serve, and again whenever a source is saved")
    commands.add_parser("model", help="fetch the embedded model (93 MB), and what runs it")
    commands.add_parser("chat", help="chat in the terminal with a running server", add_help=False)
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
    add_commands(commands)
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
    if command == "dev":
        check_address(settings)
        # It brings what no other command needs.
        from chat_app.dev.loop import develop

        return develop(settings)
    if command != "build":
        settings.check_auth()
    load_brand(settings.brand)
    if command != "build":
        check_address(settings)
        check_database(settings)
    if not built.is_there(fingerprint(settings.pages, settings.brand)):
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
        checked = subprocess.run([sys.executable, "-m", "chat_app.extend"], env=os.environ | UNLINKED, check=False)
        if checked.returncode:
            sys.exit(checked.returncode)


def serve(settings: Settings) -> None:
    # What `reflex run --env prod` sets before it starts the same server; run here without its rebuild of the page.
    os.environ |= {
        "REFLEX_ENV_MODE": "prod",
        "__REFLEX_SKIP_COMPILE": "true",
        "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true",
        "REFLEX_TELEMETRY_ENABLED": "false",
        # Only a build needs them, and not every user may.
        **UNLINKED,
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
