"""The server as a process: one a database, ended by its terminal and with the process that watches over it."""

import asyncio
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chat_app.config import ROOT
from chat_app.errors import CannotStart
from chat_app.store.claim import claim
from tests.app import App, Process
from tests.forked import Api, ForkedApp
from tests.process import family
from tests.provider_client import Provider, script
from tests.sse_client import streaming

pytestmark = pytest.mark.anyio

ENDLESS = {"tokens": -1, "interval_ms": 20}


@pytest.fixture
def api(tmp_path: Path, provider: Provider) -> Iterator[Api]:
    folder = tmp_path / "first"
    folder.mkdir()
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


@asynccontextmanager
async def running_answer(app: App) -> AsyncIterator[str]:
    """An endless answer that has begun; gives its turn's id."""
    async with (
        app.client() as client,
        streaming(client, "POST", "/stream/", json={"content": script(**ENDLESS)}) as stream,
    ):
        await stream.next()
        await stream.next()
        yield stream.turn_id


def stored(folder: Path, turn_id: str) -> tuple[str, str]:
    """The status and the text of an answer."""
    connection = sqlite3.connect(folder / "chat.db")
    try:
        [row] = connection.execute("SELECT status, content FROM message WHERE id = ?", [turn_id])
    finally:
        connection.close()
    return row


async def until(condition: Callable[[], object], timeout: float = 30) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


async def ended(app: App) -> None:
    """Wait until it has ended by itself."""
    assert app.process
    await asyncio.to_thread(app.process.wait, 20)
    app.process = None


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# One server a database


@pytest.mark.slow
async def test_a_second_server_on_the_same_database_is_refused_in_one_sentence(api: Api, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(api.folder / "chat.db")
    folder = tmp_path / "second"
    folder.mkdir()
    second = ForkedApp(folder, database_url=f"sqlite:///{link}")
    async with running_answer(api) as turn_id:
        with pytest.raises(AssertionError, match="the app ended at start"):
            await asyncio.to_thread(second.start)
        database = (api.folder / "chat.db").resolve()
        assert second.logged() == (
            f"Another server (process {api.pid}) uses the database {database}. "
            "End that one first, or set DATABASE_URL to another database.\n"
        )
        assert stored(api.folder, turn_id)[0] == "streaming"
    # A crash gives the database free.
    api.kill()
    third = Api(folder, database_url=f"sqlite:///{link}")
    with third:
        assert stored(api.folder, turn_id)[0] == "interrupted"


def test_whoever_reaches_the_database_by_another_name_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat_app.store.claim.PATIENCE_S", 0.1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "folder")
    claimed = claim(f"sqlite:///{tmp_path / 'folder' / 'chat.db'}")
    assert claimed
    for name in ("folder/chat.db", "./folder/../other/chat.db", f"{tmp_path}/other/chat.db"):
        with pytest.raises(CannotStart, match=rf"process {os.getpid()}\)"):
            claim(f"sqlite:///{name}")
    another = claim("sqlite:///folder/another.db")
    assert another
    another.close()
    claimed.close()
    again = claim("sqlite:///folder/chat.db")
    assert again
    again.close()
    assert claim("sqlite://") is claim("sqlite:///:memory:") is claim("postgresql://u@localhost/x") is None


async def test_a_server_that_takes_the_place_of_one_that_is_ending_waits_for_it(api: Api) -> None:
    claimed = asyncio.create_task(asyncio.to_thread(claim, f"sqlite:///{api.folder / 'chat.db'}"))
    await asyncio.to_thread(api.stop)
    lock = await claimed
    assert lock
    lock.close()


async def test_a_database_of_a_newer_version_is_told_without_a_traceback(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    app = Api(file.parent)
    with pytest.raises(AssertionError, match="the app ended at start"):
        await asyncio.to_thread(app.start)
    assert "The database is of a newer version of the app (9999). Update the app, or set DATABASE_URL" in app.logged()
    assert "Traceback" not in app.logged()


# How it ends


@pytest.mark.parametrize("to", ["the server", "its worker", "both"])
async def test_sighup_ends_the_server_as_sigterm_does(api: Api, to: str) -> None:
    pids = list(family(api.pid))
    server, worker = pids[:2]
    async with running_answer(api) as turn_id:
        for pid in {"the server": [server], "its worker": [worker], "both": [server, worker]}[to]:
            os.kill(pid, signal.SIGHUP)
        await ended(api)
    status, content = stored(api.folder, turn_id)
    assert (status, content[:5]) == ("stopped", "tok0 ")
    assert not any(map(alive, pids))
    assert "Traceback" not in api.logged()


async def test_a_worker_whose_parent_is_gone_ends_and_saves_its_answers(api: Api) -> None:
    server, worker = list(family(api.pid))[:2]
    async with running_answer(api) as turn_id:
        os.kill(server, signal.SIGKILL)
        await ended(api)
        await until(lambda: not alive(worker))
    status, content = stored(api.folder, turn_id)
    assert (status, content[:5]) == ("stopped", "tok0 ")
    # Nothing holds the port or the database any more.
    await asyncio.to_thread(api.start)


class FromTerminal(Api):
    """Started as a shell does it: from a terminal, whose foreground it is; or with SIGHUP ignored, as by `nohup`."""

    nohup = False

    def spawn(self, environment: dict[str, str]) -> Process:
        self.terminal, inside = os.openpty()

        def prepare() -> None:
            fcntl.ioctl(inside, termios.TIOCSCTTY, 0)
            if self.nohup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)

        command = [sys.executable, "-c", "from tests.fork_server import serve_api; serve_api()"]
        with self.log.open("ab") as log:
            given: dict[str, Any] = {"stdin": inside, "stdout": inside, "stderr": log, "preexec_fn": prepare}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **given)
        os.close(inside)
        return process


@contextmanager
def from_terminal(folder: Path, provider: Provider, nohup: bool) -> Iterator[FromTerminal]:
    api = FromTerminal(folder, openai_base_url=provider.base_url, openai_model="bench")
    api.nohup = nohup
    with api:
        yield api


@pytest.mark.slow
async def test_a_terminal_that_closes_ends_the_server(tmp_path: Path, provider: Provider) -> None:
    with from_terminal(tmp_path, provider, nohup=False) as api:
        async with running_answer(api) as turn_id:
            os.close(api.terminal)
            await ended(api)
        assert stored(tmp_path, turn_id)[0] == "stopped"


@pytest.mark.slow
async def test_with_nohup_it_outlives_its_terminal(tmp_path: Path, provider: Provider) -> None:
    with from_terminal(tmp_path, provider, nohup=True) as api:
        pids = list(family(api.pid))
        os.close(api.terminal)
        for pid in pids:
            os.kill(pid, signal.SIGHUP)
        async with running_answer(api):
            assert list(family(api.pid)) == pids
        assert api.stop() == 0
