"""Connections of a database: none is left behind."""

import asyncio
from typing import Any

import pytest

from chat_app.store.database import Database
from tests.postgres import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_no_connection_is_left_of_a_caller_that_was_cancelled_as_it_gave_its_back(postgres: Postgres) -> None:
    async with postgres.database() as name:
        database = Database(postgres.url(name))
        used: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def read() -> None:
            async with database._connection() as connection:
                # So that its end is a way to the server and back.
                await connection.exec_driver_sql("SELECT 1")
                used.set_result((await connection.get_raw_connection()).driver_connection)
                await asyncio.Event().wait()

        reading = asyncio.create_task(read())
        await used
        while not reading.done():
            reading.cancel()
            await asyncio.sleep(0)
        await database.close()
        assert used.result().is_closed()
