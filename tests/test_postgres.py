"""The tests of the store and of the search once more, on a real PostgreSQL; and what is so on PostgreSQL alone."""

import json
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import TextClause, text

from chat_app.errors import InvalidRequest
from chat_app.store.store import Store
from tests import test_archive, test_search, test_store
from tests.postgres import on_postgres
from tests.tables import tables_of_models
from tests.test_chatfiles import SEVERAL_KINDS, WEBUI

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

globals().update(on_postgres(test_store, test_search))


async def test_the_schema_is_that_of_the_models(store: Store) -> None:
    def differences(connection: object) -> list[object]:
        opts = {"compare_type": True, "compare_server_default": True, "include_name": no_index_of_words}
        return compare_metadata(MigrationContext.configure(connection, opts=opts), tables_of_models())

    async with store.database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def no_index_of_words(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "index" or not str(name).endswith("_words")


async def test_the_index_is_used(store: Store) -> None:
    await store.create_chat("apple")
    for table, column in (("chat", "title"), ("message", "content")):
        query = f"SELECT 1 FROM {table} WHERE search_words({column}) @@ to_tsquery('simple', 'apple')"
        if table == "message":
            query += " AND status != 'streaming'"
        async with store.database.engine.begin() as connection:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = "\n".join((await connection.execute(text(f"EXPLAIN {query}"))).scalars())
        assert f"{table}_words" in plan


async def test_all_chats_go_out_and_come_in_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    file.write_text(json.dumps([SEVERAL_KINDS, WEBUI] * 20))
    assert (await test_archive.imported(store, file)).messages == 240
    once = await test_archive.exported(store)
    file.write_text(once)
    assert len((await test_archive.imported(store, file)).chat_ids) == 40
    both = test_archive.without_ids(await test_archive.exported(store))
    assert both == test_archive.without_ids(once) * 2
    file.write_text(json.dumps([SEVERAL_KINDS] * 200)[:-1])
    with pytest.raises(InvalidRequest):
        await test_archive.imported(store, file)
    async with store.database.engine.connect() as connection:
        assert (await connection.execute(text_of_count("chat"))).scalar() == 80
        assert (await connection.execute(text_of_count("message"))).scalar() == 480


def text_of_count(table: str) -> TextClause:
    return text(f"SELECT count(*) FROM {table}")
