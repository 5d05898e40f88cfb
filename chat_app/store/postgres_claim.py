"""One server a PostgreSQL database, as `claim` is for SQLite: by an advisory lock, which a connection of its own holds.

PostgreSQL frees it with the connection, however the server ends. A connection that breaks is made anew; if another
server has taken the database meanwhile, this one has to end.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_app.errors import CannotStart
from chat_app.models import new_id

logger = logging.getLogger(__name__)

# Any number that no other program is likely to take.
LOCK = 0x52696C6D
# A server that has just been ended, or is being replaced, may not be quite gone.
PATIENCE_S = 5.0
LOOK_S = 0.1
WATCH_S = 10.0
# A machine that vanishes without a word holds its lock for so many seconds; PostgreSQL's default is two hours.
SETTINGS = ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3")
TAKE = f"SELECT pg_try_advisory_lock({LOCK})"
HOLDER = f"""
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = {LOCK} AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class PostgresClaim:
    """`engine` is the claim's own, `where` names the database in the sentence, `lost` is called when another has it."""

    def __init__(self, engine: AsyncEngine, where: str, lost: Callable[[], None]) -> None:
        self._engine = engine
        self._where = where
        self._lost = lost
        self._name = f"process {os.getpid()} on {socket.gethostname()[:24]}, {new_id()[-8:]}"
        self._connection: AsyncConnection | None = None
        self._watching: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Raises CannotStart: another server has it."""
        if not await self._taken():
            holder = (await self._ask(f"SELECT application_name {HOLDER}") or "unknown").partition(",")[0]
            await self.close()
            raise CannotStart(
                f"Another server ({holder}) uses the database {self._where}. "
                "End that one first, or set DATABASE_URL to another database."
            )
        self._watching = asyncio.create_task(self._watch(), name="the claim of the database")

    async def close(self) -> None:
        """Give it back."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        await self._disconnect()
        await self._engine.dispose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                if await self._held():
                    continue
            except Exception as problem:
                # The database is away; others say so.
                logger.debug("the claim of the database is lost for now: %s", type(problem).__name__)
                await self._disconnect()
                continue
            logger.error("another server has taken the database; this one ends")
            return self._lost()

    async def _held(self) -> bool:
        """Whether it is still ours, or again: a connection that broke is made anew."""
        if self._connection is not None:
            await self._ask("SELECT 1")
            return True
        # PostgreSQL may not have noticed that the old connection is gone.
        await self._ask(f"SELECT pg_terminate_backend(pid) {HOLDER} AND application_name = '{self._name}'")
        return await self._taken()

    async def _taken(self) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while not await self._ask(TAKE):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def _ask(self, query: str) -> str | None:
        if self._connection is None:
            self._connection = await self._connect()
        async with asyncio.timeout(PATIENCE_S):
            return (await self._connection.exec_driver_sql(query)).scalar()

    async def _connect(self) -> AsyncConnection:
        connection = await self._engine.connect()
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        for setting in (*SETTINGS, f"application_name = '{self._name}'"):
            await connection.exec_driver_sql(f"SET {setting}")
        return connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Not back into a pool: that would keep the lock.
            with suppress(Exception):
                await connection.invalidate()
            with suppress(Exception):
                await connection.close()
