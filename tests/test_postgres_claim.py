"""One server a PostgreSQL database; and two that come to it by whatever way run no two turns in one chat."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_app.errors import CannotStart, TurnRunning
from chat_app.store import postgres_claim
from chat_app.store.store import Store
from tests.forked import Api
from tests.postgres import Postgres
from tests.provider_client import Provider, script
from tests.sse_client import streaming

pytestmark = pytest.mark.anyio


@pytest.fixture
async def url(postgres: Postgres, migrated_on_postgres: str) -> AsyncIterator[str]:
    async with postgres.database(migrated_on_postgres) as name:
        yield postgres.url(name)


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[Store]]:
    stores = [Store(url), Store(url)]
    yield stores
    for store in stores:
        await store.close()


async def until_set(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()


@pytest.mark.slow
async def test_a_second_one_is_refused_until_the_first_is_gone(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_claim, "PATIENCE_S", 0.2)
    first, second = (store.database for store in stores)
    lost = asyncio.Event()
    await first.claim(lost.set)
    with pytest.raises(CannotStart, match=r"Another server \(process \d+ on .*\) uses the database"):
        await second.claim(lost.set)
    await first.close()
    # PostgreSQL may take a moment to see that the first has gone.
    monkeypatch.setattr(postgres_claim, "PATIENCE_S", 60)
    await second.claim(lost.set)
    assert not lost.is_set()


async def test_a_claim_whose_connection_broke_is_taken_again(
    postgres: Postgres, stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_claim, "WATCH_S", 0.02)
    monkeypatch.setattr(postgres_claim, "PATIENCE_S", 60)
    first, second = (store.database for store in stores)
    lost = asyncio.Event()
    await first.claim(lost.set)
    before = await holder(first.engine)
    await postgres.execute(f"SELECT pg_terminate_backend(pid) {postgres_claim.HOLDER}", str(first.url.database))
    async with asyncio.timeout(60):
        while await holder(first.engine) in (None, before):
            await asyncio.sleep(0.01)
    monkeypatch.setattr(postgres_claim, "PATIENCE_S", 0.2)
    with pytest.raises(CannotStart):
        await second.claim(lost.set)
    assert not lost.is_set()


async def test_one_that_another_has_taken_meanwhile_is_lost(
    postgres: Postgres, stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_claim, "PATIENCE_S", 0.2)
    first, second = (store.database for store in stores)
    lost = asyncio.Event()
    await first.claim(lost.set)
    # It does not look before the other one has it.
    await postgres.execute(f"SELECT pg_terminate_backend(pid) {postgres_claim.HOLDER}", str(first.url.database))
    async with asyncio.timeout(60):
        while await holder(second.engine):
            await asyncio.sleep(0.01)
    await second.claim(lambda: None)
    monkeypatch.setattr(postgres_claim, "WATCH_S", 0.02)
    assert first._claim and first._claim._watching
    first._claim._watching.cancel()
    watching = asyncio.create_task(first._claim._watch())
    await until_set(lost)
    await watching


async def holder(engine: AsyncEngine) -> int | None:
    async with engine.connect() as connection:
        return (await connection.exec_driver_sql(f"SELECT pid {postgres_claim.HOLDER}")).scalar()


@pytest.mark.slow
async def test_a_second_server_is_refused_and_cuts_no_answer_off(url: str, tmp_path: Path, provider: Provider) -> None:
    settings = {"database_url": url, "openai_base_url": provider.base_url, "openai_model": "bench"}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with Api(tmp_path / "first", **settings) as first:
        second = Api(tmp_path / "second", **settings)
        async with first.client() as client:
            body = {"content": script(tokens=-1, interval_ms=5)}
            async with streaming(client, "POST", "/stream/", json=body) as stream:
                await stream.next()
                with pytest.raises(AssertionError, match="the app ended at start"):
                    await asyncio.to_thread(second.start)
                said = second.logged().strip().splitlines()[-1]
                assert said.startswith("Another server (process ")
                assert "End that one first" in said
                reply = (await client.get("/messages/", params={"chat_id": stream.chat_id})).json()["messages"][-1]
                assert reply["status"] == "streaming"
                (await client.post(f"/stream/{stream.turn_id}/stop")).raise_for_status()
        # A crash frees it.
        first.kill()
        with Api(tmp_path / "second", **settings) as third:
            assert third.http.get("/chats/").is_success


async def test_of_starts_from_two_servers_at_once_one_is_saved(stores: list[Store]) -> None:
    """Whatever the servers know of each other, the database refuses the second."""
    chat = await stores[0].create_chat()
    for _ in range(5):
        tries = (store.begin_turn("hello", chat.id) for store in stores * 4)
        results = await asyncio.gather(*tries, return_exceptions=True)
        [begun] = [one for one in results if not isinstance(one, BaseException)]
        _, reply, _ = begun
        assert all(isinstance(one, TurnRunning) and one.turn_id == reply.id for one in results if one is not begun)
        await stores[0].end_turn(reply.id, {"status": "complete", "content": "x"})
        again = (store.begin_reply(reply.id) for store in stores * 4)
        results = await asyncio.gather(*again, return_exceptions=True)
        [version] = [one for one in results if not isinstance(one, BaseException)]
        assert sum(isinstance(one, TurnRunning) for one in results) == len(results) - 1
        await stores[1].end_turn(version[1].id, {"status": "complete", "content": "y"})
