"""The database: its engine, and sessions to read and to write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.store import schema

ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
SQLITE_BUSY_TIMEOUT_MS = 5_000
# Pages of 4 kB. At its end the text of an answer takes the place of its rows in the journal: with so many pages between
# two checkpoints, most answers are written to the file itself only once.
SQLITE_CHECKPOINT_PAGES = 4_000

Result = TypeVar("Result")
Work = Callable[[Connection], Result]
"""Plain statements on a connection within a transaction."""


class Database:
    """What is behind `url` (`sqlite:///…` or `postgresql://…`)."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(make_url(url))
        self.reading = async_sessionmaker(self.engine, class_=AsyncSession, expire_on_commit=False)
        """`async with database.reading() as session`"""
        is_sqlite = self.engine.dialect.name == "sqlite"
        self._turn_to_write = asyncio.Lock() if is_sqlite else None
        self._plain = PlainSqlite(make_url(url)) if is_sqlite else None

    async def open(self) -> None:
        """Bring the schema up to date."""
        async with self.engine.connect() as connection:
            await connection.run_sync(schema.upgrade)

    async def close(self) -> None:
        if self._plain:
            self._plain.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that writes.

        SQLite has one writer at a time, and polls for its turn: of many at once some starve until "database is locked".
        Here they queue.
        """
        async with self._turn_to_write or nullcontext(), self.reading.begin() as session:
            yield session

    async def write(self, work: Work[Result]) -> Result:
        """A transaction that writes, of plain statements: on SQLite one way to a thread and back, not one for each."""
        # A task of its own: a caller that is cancelled must not let the next one in before the transaction has ended.
        return await asyncio.shield(asyncio.ensure_future(self._write(work)))

    async def read(self, work: Work[Result]) -> Result:
        """The same for what only reads."""
        if self._plain:
            return await self._plain.read(work)
        async with self.engine.connect() as connection:
            return await connection.run_sync(work)

    async def _write(self, work: Work[Result]) -> Result:
        async with self._turn_to_write or nullcontext():
            if self._plain:
                return await self._plain.write(work)
            async with self.engine.begin() as connection:
                return await connection.run_sync(work)


class PlainSqlite:
    """SQLite in a thread that writes and one that reads."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url)
        event.listen(self._engine, "connect", _prepare_sqlite)
        self._threads = {name: ThreadPoolExecutor(1, f"database {name}") for name in ("write", "read")}

    async def write(self, work: Work[Result]) -> Result:
        return await self._in_thread("write", work)

    async def read(self, work: Work[Result]) -> Result:
        return await self._in_thread("read", work)

    def close(self) -> None:
        for thread in self._threads.values():
            thread.shutdown(wait=False)
        self._engine.dispose()

    async def _in_thread(self, name: str, work: Work[Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads[name], self._transaction, work)

    def _transaction(self, work: Work[Result]) -> Result:
        with self._engine.begin() as connection:
            return work(connection)


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url.set(drivername=ASYNC_DRIVERS[url.drivername]))
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # A write transaction takes its lock when it begins: a later upgrade from a read fails at once instead of waiting.
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
        f"wal_autocheckpoint={SQLITE_CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
