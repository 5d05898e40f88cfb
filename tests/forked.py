"""Servers that are up at once, where a start of their own takes seconds: forked from a process that has loaded them.

`ForkedApp` is the whole app; `Api` the API alone: the same turns, doors, guard and server, no page. Their settings are
the app's; for `Api` some of the app's constants can be set too: `SEND_TIMEOUT_S` and those that `tests.fork_server`
names, which is what forks.
"""

import atexit
import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from chat_app.config import ROOT
from tests.app import App, Process


class Forked:
    """A server that `tests.fork_server` has forked, as `subprocess` would give it."""

    def __init__(self, starter: "Starter", pid: int) -> None:
        self._starter = starter
        self.pid = pid

    def poll(self) -> int | None:
        return self._starter.order({"poll": self.pid})

    def wait(self, timeout: float | None = None) -> int:
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired("a server", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, sig: int) -> None:
        os.kill(self.pid, sig)


class Starter:
    """One `tests.fork_server`."""

    def __init__(self) -> None:
        self._lock = Lock()
        command = [sys.executable, "-m", "tests.fork_server"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(self._end)

    def start(self, what: str, environment: dict[str, str], log: Path) -> Forked:
        pid = self.order({"start": what, "environment": environment, "log": str(log), "nice": os.nice(0)})
        assert pid is not None
        return Forked(self, pid)

    def order(self, order: dict[str, Any]) -> int | None:
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def _end(self) -> None:
        self._process.communicate()


@cache
def starter() -> Starter:
    return Starter()


class ForkedApp(App):
    """The whole app, as `python -m chat_app` runs it."""

    server = "app"

    def spawn(self, environment: dict[str, str]) -> Process:
        return starter().start(self.server, environment, self.log)


class Api(ForkedApp):
    """The API alone."""

    server = "api"
