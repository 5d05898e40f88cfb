"""The app as a process of its own, real HTTP: `python -m chat_app` on a free port with a test's settings."""

import functools
import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import httpx

from chat_app.config import ROOT, Settings

START_S = 60.0
# Nothing here speaks TLS, and to read the certificates of its authorities takes longer than most requests.
CLIENT: dict[str, Any] = {"timeout": 30, "trust_env": False, "verify": False}


def read_certificates_once() -> None:
    """In this process and those that it forks, for the clients that the app and its parts make."""
    ssl.create_default_context = functools.cache(ssl.create_default_context)


# Below those that the system gives to connections; each process of tests begins somewhere else.
PORTS = range(20_000, 32_000)
_numbers = itertools.count(os.getpid() * 997)


def free_port() -> int:
    """One that this process gave nobody before: of two servers with the same each would get half of the connections."""
    for _ in PORTS:
        port = PORTS[next(_numbers) % len(PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Process(Protocol):
    """What is used of a `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class App:
    """Started on entry, ended on exit; its database is in `folder` and survives a restart.

    Settings are given by field name (`feature_streaming="false"`); none leaks in from the environment or `.env`.
    """

    root = ROOT
    """The tree that is run; another one for a test that builds the page differently."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = settings
        self.log = folder / "app.log"
        self.process: Process | None = None
        self.http = httpx.Client(base_url=self.url, **CLIENT)

    def __enter__(self) -> "App":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.http.close()

    def client(self, timeout: float = 30) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, **CLIENT | {"timeout": timeout})

    def start(self) -> None:
        self.process = self.spawn(self.environment())
        try:
            self._wait_until_ready()
        except AssertionError:
            self.kill()
            raise

    def stop(self, grace: float = 20.0) -> int:
        """SIGTERM, as an operator does; returns the exit code."""
        return self._end(signal.SIGTERM, grace)

    def kill(self) -> None:
        """SIGKILL to the server and its worker at once."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
            self._wait_until_deaf()

    def spawn(self, environment: dict[str, str]) -> Process:
        """Start it, in a session of its own, so that a kill reaches the server's worker too."""
        command = [sys.executable, "-m", "chat_app"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def logged(self) -> str:
        return self.log.read_text()

    def _end(self, how: signal.Signals, grace: float) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(grace)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the app did not end within {grace} s of {how.name}:\n{self.logged()}") from None

    def environment(self) -> dict[str, str]:
        # An empty system prompt is none: that one is left out.
        defaults = {name.upper(): "" for name in Settings.model_fields if name != "system_prompt"}
        # Or the provider's double would have a request on record that no test made.
        defaults["CHAT_TITLES"] = "false"
        # Or a test's end would wait for answers that have none.
        defaults["SHUTDOWN_GRACE"] = "0"
        given = {name.upper(): value for name, value in self.settings.items()}
        database = {"DATABASE_URL": f"sqlite:///{self.folder / 'chat.db'}", "PORT": str(self.port)}
        return os.environ | defaults | database | given

    def _wait_until_deaf(self) -> None:
        """A worker that is not quite dead would get some of the connections to the next one."""
        with suppress(ConnectionRefusedError):
            while True:
                # One that dies while it is asked resets the connection: it is asked again.
                with suppress(ConnectionResetError):
                    socket.create_connection(("127.0.0.1", self.port)).close()
                time.sleep(0.01)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"the app ended at start:\n{self.logged()}")
            try:
                if self.http.get("/ping").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the app was not up within {START_S} s:\n{self.logged()}")
