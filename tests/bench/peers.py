"""Other chat apps on the same yardstick: a folder with a `peer.toml` describes each, see `docs/figures.md`.

A peer runs in an environment of its own, which is made once, beside the run's results.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser
from pydantic import BaseModel, ConfigDict

from tests.app import CLIENT, free_port
from tests.bench.page import PEER_CASES, QUICK, Target, measure
from tests.bench.records import Table
from tests.provider_client import Provider

FOLDER = Path(__file__).parent / "peer_apps"
END_S = 10.0


class Peer(BaseModel):
    """How it is started, and where its page has what. `{port}`, `{url}` (the provider's) and `{folder}` may stand in
    `command` and the values of `env`; it runs in a copy of its folder, which is `{folder}`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    packages: list[str]
    command: list[str]
    env: dict[str, str] = {}
    ready: str = "/"
    start_s: float = 120
    box: str
    send: str = ""
    answer: str
    close: str = ""


def peer(name: str) -> Peer:
    """Raises FileNotFoundError where none is described by this name, and ValidationError."""
    with (FOLDER / name / "peer.toml").open("rb") as file:
        return Peer.model_validate(tomllib.load(file))


def names() -> list[str]:
    return sorted(file.parent.name for file in FOLDER.glob("*/peer.toml"))


def run(browser: Browser, provider: Provider, name: str, work: Path, into: Table, quick: bool) -> None:
    """Adds its rows to the page's table."""
    described = peer(name)
    with serving(described, FOLDER / name, work / name, provider) as target:
        for case in QUICK if quick else PEER_CASES:
            into.add(case.name, described.name, **measure(browser, provider, target, case).values())


@contextmanager
def serving(described: Peer, folder: Path, work: Path, provider: Provider) -> Iterator[Target]:
    """The peer, up. Raises RuntimeError."""
    python = _installed(described, work)
    run_in = work / "run"
    shutil.rmtree(run_in, ignore_errors=True)
    shutil.copytree(folder, run_in)
    port = free_port()
    given = {"port": str(port), "url": provider.base_url, "folder": str(run_in)}
    environment = os.environ | {
        "OPENAI_BASE_URL": provider.base_url,
        "OPENAI_API_KEY": "any",
        "OPENAI_MODEL": "bench",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        **{name: value.format_map(given) for name, value in described.env.items()},
    }
    command = [word.format_map(given) for word in described.command]
    command[0] = shutil.which(command[0], path=environment["PATH"]) or command[0]
    with (work / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=run_in, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url + described.ready, described.start_s, work / "log.txt")
        yield Target(url + "/", process.pid, described.box, described.send, described.answer, described.close)
    finally:
        _end(process)


def _installed(described: Peer, work: Path) -> Path:
    """The Python of its environment, which is made where it is not there or has other packages."""
    python, done = work / "venv" / "bin" / "python", work / "installed.txt"
    wanted = "\n".join(described.packages)
    if not done.exists() or done.read_text() != wanted:
        print(f"Installing {described.name} …", flush=True)
        work.mkdir(parents=True, exist_ok=True)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, work / "venv"], check=True)
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *described.packages], check=True)
        done.write_text(wanted)
    return python


def _wait(process: subprocess.Popen[Any], url: str, patience_s: float, log: Path) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, **CLIENT).status_code < 500:
                return
        time.sleep(0.2)
    raise RuntimeError(f"It was not up within {patience_s:.0f} s:\n{log.read_text()[-2_000:]}")


def _end(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
