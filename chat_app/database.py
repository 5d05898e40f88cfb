"""The database: its engine, and sessions to read and to write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app import schema

ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
SQLITE_BUSY_TIMEOUT_MS = 5_000


class Database:
    """What is behind `url` (`sqlite:///…` or `postgresql://…`)."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(make_url(url))
        self.reading = async_sessionmaker(self.engine, class_=AsyncSession, expire_on_commit=False)
        """`async with database.reading() as session`"""
        self._turn_to_write = asyncio.Lock() if self.engine.dialect.name == "sqlite" else None

    async def open(self) -> None:
        """Bring the schema up to date."""
        async with self.engine.connect() as connection:
            await connection.run_sync(schema.upgrade)

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that writes.

        SQLite has one writer at a time, and polls for its turn: of many at once some starve until "database is locked".
        Here they queue.
        """
        async with self._turn_to_write or nullcontext(), self.reading.begin() as session:
            yield session

    async def execute(self, statement: Executable, values: dict[str, Any]) -> None:
        """A transaction of one statement that writes, without a session: that takes most of its time."""
        async with self._turn_to_write or nullcontext(), self.engine.begin() as connection:
            await connection.execute(statement, values)


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
    ):
        connection.execute(f"PRAGMA {pragma}")
