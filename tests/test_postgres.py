"""The tests of the store and of the search once more, on PostgreSQL. Run only when `RILL_TEST_POSTGRES` is set.

It is the URL of a database that may be EMPTIED: `RILL_TEST_POSTGRES=postgresql://user:password@127.0.0.1/rill_test
python -m pytest tests/test_postgres.py`. Without it there is nothing in this file, so that no run of the tests looks as
if it had covered PostgreSQL. Left out are the tests that look into SQLite's file.
"""

import inspect
import os
from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlmodel import SQLModel

from chat_app.models import Chat, Message
from chat_app.store import Store
from tests import test_search, test_store

URL = os.environ.get("RILL_TEST_POSTGRES", "")

if URL:
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    async def store() -> AsyncIterator[Store]:
        store = Store(URL)
        async with store.database.engine.begin() as connection:
            for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
                await connection.execute(text(statement))
        await store.open()
        yield store
        await store.close()

    for module in (test_store, test_search):
        for name, test in vars(module).items():
            wanted = inspect.signature(test).parameters.keys() if name.startswith("test_") else set()
            if "store" in wanted and not {"file", "tmp_path"} & wanted:
                globals()[name] = test

    async def test_the_schema_is_that_of_the_models(store: Store) -> None:
        tables = MetaData()
        for model in (Chat, Message):
            SQLModel.metadata.tables[str(model.__tablename__)].to_metadata(tables)

        def differences(connection: object) -> list[object]:
            opts = {"compare_type": True, "compare_server_default": True, "include_name": no_index_of_words}
            return compare_metadata(MigrationContext.configure(connection, opts=opts), tables)

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
