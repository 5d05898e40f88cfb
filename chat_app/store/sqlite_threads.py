"""SQLite in threads: no statement holds the event loop up, and a transaction is one way there and back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL

BUSY_TIMEOUT_MS = 5_000
# Pages of 4 kB. At its end the text of an answer takes the place of its rows in the journal: with so many pages between
# two checkpoints, most answers are written to the file itself only once.
CHECKPOINT_PAGES = 4_000

Result = TypeVar("Result")
Work = Callable[[Connection], Result]
"""Plain statements on a connection within a transaction."""


class SqliteThreads:
    """One thread writes, one reads, and one reads much.

    SQLite has one writer at a time, and polls for its turn: of many at once some starve until "database is locked".
    Here they queue for the thread. It goes from one transaction to the next without the event loop, which has a hundred
    other things to do between two turns of one task.
    """

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, hide_parameters=True)
        event.listen(self._engine, "connect", prepare)
        self._writer, self._reader, self._aside = (
            ThreadPoolExecutor(1, f"database {name}") for name in ("write", "read", "aside")
        )
        self._closed = False

    async def write(self, work: Work[Result]) -> Result:
        """It is done also where the caller is cancelled."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def run() -> None:
            try:
                settle = partial(done.set_result, self._transaction(work))
            except BaseException as problem:
                settle = partial(done.set_exception, problem)
            # The thread's own future would take the loop one turn more.
            loop.call_soon_threadsafe(lambda: done.cancelled() or settle())

        self._writer.submit(run)
        return await done

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """The thread that writes waits meanwhile: another connection does."""
        loop, reached, over = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def wait() -> None:
            loop.call_soon_threadsafe(reached.set)
            over.wait()

        self._writer.submit(wait)
        try:
            await reached.wait()
            yield
        finally:
            over.set()

    async def read(self, work: Work[Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._transaction, work)

    async def read_aside(self, work: Work[Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._aside, self._transaction, work)

    async def close(self, limit_s: float) -> None:
        """What waits to be written is written first, unless that takes longer. A second time does nothing."""
        if self._closed:
            return
        self._closed = True
        written = asyncio.get_running_loop().run_in_executor(self._writer, int)
        await asyncio.wait({written}, timeout=limit_s)
        for thread in (self._writer, self._reader, self._aside):
            thread.shutdown(wait=False)
        self._engine.dispose()

    def _transaction(self, work: Work[Result]) -> Result:
        with self._engine.begin() as connection:
            return work(connection)


def prepare(connection: Any, _record: Any) -> None:
    """A new connection of a driver's."""
    # A write transaction takes its lock when it begins: a later upgrade from a read fails at once instead of waiting.
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        # What is deleted is overwritten, also the rows of the journal when their text is in its message. Some builds of
        # SQLite do so by themselves.
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
