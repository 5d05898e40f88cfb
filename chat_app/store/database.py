"""The database: its engine, and sessions to read and to write.

All ways to it lead through `Database`: each has a time limit, and what fails because the database is in trouble is
raised as `DatabaseUnavailable`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app import logs
from chat_app.errors import CannotStart, DatabaseUnavailable
from chat_app.store import postgres_url, schema, sqlite_file, sqlite_threads, trouble
from chat_app.store.postgres_claim import PostgresClaim
from chat_app.store.sqlite_threads import Result, SqliteThreads, Work

ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# After a transaction's time is over, so long its connection may take to be given back.
CLOSE_S = 3.0
CROWDED_S = 0.05
INDEXED = ("message", "chat")
MERGED_AT_ONCE = 250
"""Pages of the full-text index that one transaction writes: some milliseconds."""
LOOK_S = 0.5
ONE = text("SELECT 1")


class Database:
    """What is behind `url` (`sqlite:///…` or `postgresql://…`).

    `pool_size` is how many connections to PostgreSQL there are at most: who needs one more waits. `limit_s` is how many
    seconds a transaction may take, the wait for its connection included, and `wait_s` how many a start waits for a
    server that is not there yet.
    """

    def __init__(self, url: str, *, pool_size: int = 10, limit_s: float = 10.0, wait_s: float = 0.0) -> None:
        self.url = make_url(url)
        self._limit_s = limit_s
        self._wait_s = wait_s
        self.engine = _engine(self.url, pool_size, limit_s)
        self._sqlite = SqliteThreads(self.url) if self.engine.dialect.name == "sqlite" else None
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._state = State()
        self.on_time: Callable[[float], None] = lambda _seconds: None
        """Called with how long each transaction took."""
        self._claim: PostgresClaim | None = None

    async def open(self) -> None:
        """Bring the schema up to date. Raises CannotStart."""
        await self.reach()
        with self._or_a_sentence():
            async with self.engine.connect() as connection:
                await connection.run_sync(schema.upgrade)

    async def reach(self) -> None:
        """See whether it is there: wait for a server that is not yet, look into a file. Raises CannotStart."""
        with self._or_a_sentence():
            if self._sqlite:
                await asyncio.to_thread(sqlite_file.check, self.url)
            else:
                await self._wait_for_server()

    async def claim(self, lost: Callable[[], None]) -> None:
        """Take a PostgreSQL database for this server alone; `lost` is called if another one takes it. A SQLite file is
        claimed before it is opened, see `claim`. Raises CannotStart."""
        if self._sqlite:
            return
        await self.reach()
        self._claim = PostgresClaim(_engine(self.url, 1, self._limit_s), trouble.where(self.url), lost)
        with self._or_a_sentence():
            await self._claim.take()

    async def forget(self) -> None:
        """Take what was deleted out of all that still has it: the words out of the index, the pages out of the log.

        A little at a time, since others want to write meanwhile. PostgreSQL does its own (autovacuum). Raises
        DatabaseUnavailable.
        """
        if not self._sqlite:
            return
        for table in INDEXED:
            # Negative: from now on, all that was ever deleted is to be merged away; then in steps.
            pages = -MERGED_AT_ONCE
            while await self.write(lambda connection: _merge(connection, table, pages)):  # noqa: B023
                pages = MERGED_AT_ONCE
        await self.write(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())

    @contextmanager
    def _or_a_sentence(self) -> Iterator[None]:
        try:
            yield
        except CannotStart:
            raise
        except Exception as problem:
            raise CannotStart(trouble.at_start(self.url, problem)) from problem

    async def close(self) -> None:
        if self._claim:
            await self._claim.close()
        if self._unfinished:
            # What a cancelled caller left: a connection that comes back to the pool after this would never be closed.
            await asyncio.wait(self._unfinished, timeout=CLOSE_S)
        if self._sqlite:
            await self._sqlite.close(CLOSE_S)
        await self.engine.dispose()

    async def answers(self) -> None:
        """Ask it the least that there is. Raises DatabaseUnavailable."""
        await self.read(lambda connection: connection.execute(ONE))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that reads; rows come out of it detached. Raises DatabaseUnavailable."""
        async with (
            self._guarded(),
            self._connection() as connection,
            AsyncSession(connection, expire_on_commit=False) as session,
        ):
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that writes. Raises DatabaseUnavailable."""
        async with self._sqlite.held() if self._sqlite else nullcontext(), self.reading() as session, session.begin():
            yield session

    async def write(self, work: Work[Result]) -> Result:
        """A transaction that writes, of plain statements: on SQLite one way to a thread and back, not one for each.

        Raises:
            DatabaseUnavailable: it fails or takes too long; it may yet be done.
        """
        async with self._guarded():
            if self._sqlite:
                return await self._sqlite.write(work)
            return await self._to_its_end(self._write(work))

    async def read(self, work: Work[Result]) -> Result:
        """The same for what only reads."""
        async with self._guarded():
            if self._sqlite:
                return await self._sqlite.read(work)
            async with self._connection() as connection:
                return await connection.run_sync(work)

    async def read_aside(self, work: Work[Result]) -> Result:
        """The same for what takes a while: no other reader waits for it."""
        async with self._guarded():
            if self._sqlite:
                return await self._sqlite.read_aside(work)
            async with self._connection() as connection:
                return await connection.run_sync(work)

    async def _write(self, work: Work[Result]) -> Result:
        async with asyncio.timeout(self._limit_s), self._connection() as connection, connection.begin():
            return await connection.run_sync(work)

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """Within the block the time is limited, and what the database's trouble raises is `DatabaseUnavailable`."""
        began = time.monotonic()
        try:
            # The second is for what the first one's cancel sets off: a connection that is frozen cannot be given back.
            async with asyncio.timeout(self._limit_s + CLOSE_S), asyncio.timeout(self._limit_s):
                yield
        except DatabaseUnavailable:
            raise
        except Exception as problem:
            if (told := trouble.away(problem)) is None:
                raise
            self._state.failed(problem)
            raise told from problem
        finally:
            self.on_time(time.monotonic() - began)
        self._state.answered()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """One of the pool's. Where the server gives us fewer than the pool may have, one that others give back."""
        while True:
            try:
                connection = await self.engine.connect()
            except Exception as problem:
                if not trouble.is_crowded(problem):
                    raise
                await asyncio.sleep(CROWDED_S)
            else:
                break
        try:
            yield connection
        finally:
            await self._to_its_end(connection.close())

    async def _to_its_end(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Also where the caller is cancelled."""
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        # Nobody else asks how it ended where the caller has gone.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(task)

    async def _wait_for_server(self) -> None:
        deadline = time.monotonic() + self._wait_s
        said = False
        while True:
            try:
                async with asyncio.timeout(self._limit_s), self.engine.connect():
                    return
            except Exception as problem:
                if not trouble.comes_soon(problem) or time.monotonic() > deadline:
                    raise
                if not said:
                    logs.event(
                        "waiting for PostgreSQL",
                        level=logging.WARNING,
                        at=trouble.where(self.url),
                        seconds=round(self._wait_s),
                        reason=trouble.reason(problem),
                    )
                    said = True
            await asyncio.sleep(LOOK_S)


class State:
    """Whether the database answers: said once when it stops to, and once when it does again."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._failures = 0
        self._reason = ""

    def failed(self, problem: Exception) -> None:
        self._failures += 1
        if self._since is None:
            self._since, self._reason = time.monotonic(), trouble.reason(problem)
            # One that comes and goes is a line and a count, but a full disk after a restart is something new.
            logs.event("database unavailable", level=logging.ERROR, same_as=self._reason, reason=self._reason)

    def answered(self) -> None:
        if self._since is not None:
            seconds = round(time.monotonic() - self._since, 1)
            logs.event("database available again", same_as=self._reason, after_s=seconds, failures=self._failures)
            self._since, self._failures = None, 0


def _engine(url: URL, pool_size: int, limit_s: float) -> AsyncEngine:
    driver = ASYNC_DRIVERS[url.drivername]
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url.set(drivername=driver), hide_parameters=True)
        event.listen(engine.sync_engine, "connect", sqlite_threads.prepare)
        return engine
    address, arguments = postgres_url.split(url.set(drivername=driver))
    return create_async_engine(
        address,
        # Errors must not quote what people wrote.
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=limit_s,
        connect_args={"timeout": limit_s} | arguments,
    )


def _merge(connection: Connection, table: str, pages: int) -> bool:
    """Merge some of the index, which leaves out what was deleted; returns whether there was any to do."""
    driver: Any = connection.connection.driver_connection
    before = driver.total_changes
    connection.exec_driver_sql(f"INSERT INTO {table}_fts ({table}_fts, rank) VALUES ('merge', {pages})")
    # One is the command itself.
    return bool(driver.total_changes - before > 1)
