"""SQLite's threads: the order of what is written, and what becomes of it if its caller goes, or the database closes."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url

from chat_app.store.sqlite_threads import SqliteThreads, Work

pytestmark = pytest.mark.anyio

PATIENCE_S = 30.0


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return make_url(f"sqlite:///{tmp_path / 'numbers.db'}")


@pytest.fixture
async def threads(url: URL) -> Any:
    threads = SqliteThreads(url)
    await threads.write(lambda connection: connection.exec_driver_sql("CREATE TABLE number (n INTEGER)"))
    yield threads
    await threads.close(PATIENCE_S)


def adding(number: int) -> Work[int]:
    def work(connection: Connection) -> int:
        connection.exec_driver_sql(f"INSERT INTO number VALUES ({number})")
        return number

    return work


async def numbers(threads: SqliteThreads) -> list[int]:
    return await threads.read(lambda connection: list(connection.exec_driver_sql("SELECT n FROM number").scalars()))


async def test_they_write_in_the_order_of_the_calls_without_the_event_loop(threads: SqliteThreads) -> None:
    last = threading.Event()

    def work(connection: Connection) -> None:
        adding(9)(connection)
        last.set()

    writes = [asyncio.ensure_future(threads.write(work)) for work in [*map(adding, range(9)), work]]
    await asyncio.sleep(0)
    # The loop stands still meanwhile.
    assert last.wait(PATIENCE_S)
    assert await asyncio.gather(*writes) == [*range(9), None]
    assert await numbers(threads) == list(range(10))


async def test_what_fails_is_raised_and_taken_back_and_the_next_is_written(threads: SqliteThreads) -> None:
    def failing(connection: Connection) -> None:
        adding(1)(connection)
        raise LookupError("of the caller's")

    results = await asyncio.gather(threads.write(failing), threads.write(adding(2)), return_exceptions=True)
    assert isinstance(results[0], LookupError) and results[1] == 2
    assert await numbers(threads) == [2]


async def test_it_is_written_also_where_the_caller_has_gone(threads: SqliteThreads) -> None:
    async with threads.held():
        writing = asyncio.ensure_future(threads.write(adding(1)))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert await threads.write(adding(2)) == 2
    assert await numbers(threads) == [1, 2]


async def test_nothing_is_written_while_it_is_held(threads: SqliteThreads) -> None:
    async with threads.held():
        writing = asyncio.ensure_future(threads.write(adding(1)))
        # Readers need not wait.
        assert await numbers(threads) == []
        assert not writing.done()
    assert await writing == 1


async def test_who_gives_up_holding_it_holds_nobody_up(threads: SqliteThreads) -> None:
    async def hold() -> None:
        async with threads.held():
            await asyncio.Event().wait()

    for steps in range(5):
        holding = asyncio.ensure_future(hold())
        for _ in range(steps):
            await asyncio.sleep(0)
        holding.cancel()
        assert await threads.write(adding(steps)) == steps
    assert await numbers(threads) == list(range(5))


async def test_what_waits_is_written_before_it_closes(threads: SqliteThreads, url: URL) -> None:
    writes = [asyncio.ensure_future(threads.write(adding(number))) for number in range(5)]
    await asyncio.sleep(0)
    await threads.close(PATIENCE_S)
    await threads.close(PATIENCE_S)
    assert await asyncio.gather(*writes) == list(range(5))
    again = SqliteThreads(url)
    assert await numbers(again) == list(range(5))
    await again.close(PATIENCE_S)


async def test_a_transaction_that_does_not_end_keeps_nobody_from_closing(threads: SqliteThreads) -> None:
    go = threading.Event()
    writing = asyncio.ensure_future(threads.write(lambda _: go.wait(PATIENCE_S)))
    await asyncio.sleep(0)
    await threads.close(0.01)
    go.set()
    assert await writing
