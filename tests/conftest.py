"""Fixtures that every test may use."""

import asyncio
import gc
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings
from playwright.async_api import Browser, async_playwright

from chat_app.building import build_page
from chat_app.store.store import Store
from tests import chromium
from tests.app import App, read_certificates_once
from tests.forked import ForkedApp
from tests.installed import Installation
from tests.installed import installation as make_installation
from tests.postgres import Postgres
from tests.provider_client import Provider

# A shell starts what runs in the background with SIGINT ignored, and programs inherit that: Ctrl+C would do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    # As `nohup` does with this one.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
read_certificates_once()
# A test of generated examples has no deadline, and is given the same ones each time, on any machine.
settings.load_profile("ci")


TIMED = "tests/test_kill.py"
"""Measures seconds: all others let it go first where they want a core at the same time."""
BACK = 10
# Few tests that take long: what begins last should be short, or one process ends long after the other. The first three
# run side by side, and the servers that are killed need most of a core.
LONG = [
    TIMED,
    "tests/e2e/test_injection.py",
    "tests/test_contract.py",
    "tests/e2e/test_installed.py",
    "tests/e2e/test_development.py",
    "tests/test_bench.py",
    "tests/test_schema.py",
    "tests/test_kill_steps.py",
    "tests/test_hours.py",
    "tests/test_texts.py",
    "tests/e2e/test_reference.py",
    "tests/e2e/test_states.py",
    # It would wait for what test_installed.py installs and builds.
    "tests/e2e/test_extension.py",
    "tests/test_back_pressure.py",
    "tests/test_turns.py",
    "tests/e2e/test_local_model.py",
    "tests/e2e/test_earlier.py",
    "tests/test_chaos.py",
    "tests/e2e/test_accessibility.py",
    "tests/test_client.py",
    "tests/e2e/test_long_answer.py",
    "tests/e2e/test_outbox.py",
    "tests/e2e/test_around.py",
    # Of what `make test` runs, these take longest.
    "tests/test_api.py",
    "tests/e2e/test_chat.py",
    "tests/test_doors.py",
]


def file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if file_of(item) != TIMED and os.nice(0) < BACK:
        # For good, and for all that is started from here on: it cannot be taken back.
        os.nice(BACK - os.nice(0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then by turns one with a browser and one without, which waits more than it computes."""
    files = list(dict.fromkeys(map(file_of, items)))
    rest = [file for file in files if file not in LONG]
    browser = [file for file in rest if file.startswith("tests/e2e/")]
    others = [file for file in rest if file not in browser]
    by_turns = [file for pair in zip_longest(browser, others) for file in pair if file]
    place = {file: number for number, file in enumerate([*LONG, *by_turns])}
    items.sort(key=lambda item: place[file_of(item)])


def pytest_collection_finish() -> None:
    """All tests and what they import stay to the end: a full collection need not look through them each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """`figure(text)`: a seed or a measurement, said at the end of the run, also where the test failed."""
    return lambda text: record_property("figure", str(text))


class Failures:
    """Says at once what failed, and why: a run that is cut off has no summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            said = f"\nFAILED {report.nodeid} ({report.when})\n{report.longreprtext[-2000:]}"
            self._terminal.write_line(said, red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if terminal := config.pluginmanager.get_plugin("terminalreporter"):
        config.pluginmanager.register(Failures(terminal))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some]
    for report in reports:
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if name == "figure":
                    terminalreporter.write_line(str(value))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database as the migrations leave it, to copy: to make one takes longer than most tests do."""
    file = tmp_path_factory.mktemp("migrated") / "chat.db"
    beside_the_loop(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_on_postgres(postgres: Postgres) -> str:
    """The name of a PostgreSQL database as the migrations leave it, to copy."""
    name = "migrated"
    beside_the_loop(postgres.execute(f"CREATE DATABASE {name}"))
    beside_the_loop(migrate(postgres.url(name)))
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Of an empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'chat.db'}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        async with postgres.database() as name:
            yield postgres.url(name)


async def migrate(url: str) -> None:
    store = Store(url)
    await store.open()
    await store.close()


def beside_the_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end in a loop of its own: that of the tests is running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture
def file(tmp_path: Path, migrated: Path) -> Path:
    """An empty database's file."""
    return Path(shutil.copy(migrated, tmp_path / "chat.db"))


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{file}")
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
def page_built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The page is built once, before the first app starts."""
    # Next to the folders of the other processes that run tests.
    with FileLock(tmp_path_factory.getbasetemp().parent / "page.lock"):
        build_page()


@pytest.fixture(scope="session")
def installation(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel, installed, and a project that has built pages with it: one for all processes of this run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "installation"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        return make_installation(folder)


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """An OpenAI-compatible server in a process of its own; what it does is scripted by the messages it gets."""
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The whole app in a process of its own, with the scripted provider behind it."""
    with ForkedApp(
        tmp_path_factory.mktemp("app"),
        openai_base_url=provider.base_url,
        openai_model="bench",
        system_prompt="You are under test.",
        max_message_chars="20000",
    ) as app:
        yield app


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        args = [*chromium.ARGS, chromium.RESOLVED]
        browser = await playwright.chromium.launch(executable_path=chromium.require(), args=args)
        yield browser
        await browser.close()
