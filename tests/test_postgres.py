"""The tests of the store and of the search once more, on a real PostgreSQL; and what is so on PostgreSQL alone."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlmodel import SQLModel

from chat_app.models import Chat, JournalRow, Message
from chat_app.store import Store
from tests import test_search, test_store
from tests.postgres import on_postgres

pytestmark = pytest.mark.anyio

globals().update(on_postgres(test_store, test_search))


async def test_the_schema_is_that_of_the_models(store: Store) -> None:
    tables = MetaData()
    for model in (Chat, Message, JournalRow):
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
