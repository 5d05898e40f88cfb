"""Connections of a database: none is left behind."""

import asyncio

import pytest

from chat_app.store.database import Database
from tests.postgres import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_no_connection_is_left_of_a_caller_that_was_cancelled_as_it_gave_its_back(postgres: Postgres) -> None:
    async with postgres.database() as name:
        database = Database(postgres.url(name))
        pool, reads = database.engine.sync_engine.pool, asyncio.Event()

        async def read() -> None:
            async with database._connection() as connection:
                # So that its end is a way to the server and back.
                await connection.exec_driver_sql("SELECT 1")
                reads.set()
                await asyncio.Event().wait()

        reading = asyncio.create_task(read())
        await reads.wait()
        while not reading.done():
            reading.cancel()
            await asyncio.sleep(0)
        assert pool.checkedout() == 1
        await database.close()
        assert (pool.checkedout(), pool.checkedin()) == (0, 0)
