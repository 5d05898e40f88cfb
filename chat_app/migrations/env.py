"""Alembic's entry: the connection is handed in by `store.Store.open`, or made from DATABASE_URL on the command line."""

from alembic import context
from sqlalchemy import Connection
from sqlmodel import SQLModel

import chat_app.models  # noqa: F401  (registers the tables)


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])
