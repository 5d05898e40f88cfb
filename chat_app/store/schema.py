"""Brings the schema of a database up to date when it is opened: whole or not at all, and a SQLite file is copied first.

Migrations themselves are in `migrations/`; each start runs all that are missing in one transaction.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from chat_app import logs
from chat_app.errors import CannotStart
from chat_app.store.sqlite_file import make_private

COPIES = 3
"""How many copies of a SQLite file are kept, each from before an update."""
# PostgreSQL's advisory lock of those who migrate; any number that no other program is likely to take.
MIGRATING = 0x52696C6C


def newest(connection: Connection) -> str | None:
    """The version that this app's tables have."""
    return ScriptDirectory.from_config(alembic_config(connection)).get_current_head()


def upgrade(connection: Connection, *, keep_copy: bool = True) -> None:
    """Run the migrations that are missing; of a SQLite file that has chats, `keep_copy` keeps one from before.

    Raises:
        CannotStart: the database is of a newer version, or there is no room for the copy.
    """
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    version = MigrationContext.configure(connection).get_current_revision()
    if version == scripts.get_current_head():
        return
    if version not in (None, *(script.revision for script in scripts.walk_revisions())):
        raise CannotStart(
            f"The database is of a newer version of the app ({version}). "
            "Update the app, or set DATABASE_URL to another database."
        )
    known = inspect(connection).has_table("chat")
    copy = None
    if connection.dialect.name == "sqlite":
        copy = _keep_copy(connection) if known and keep_copy else None
        with _sqlite_transaction(connection):
            command.upgrade(config, "head")
    else:
        # Two servers that start at once: the second waits, and finds nothing left to do.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
        command.upgrade(config, "head")
        connection.commit()
    if known and keep_copy:
        logs.event("database updated", before=version, now=scripts.get_current_head(), copy=copy)


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _sqlite_transaction(connection: Connection) -> Iterator[None]:
    """SQLite's DDL is as transactional as its data, but Python's driver begins no transaction for it."""
    # Off, since a table that is made anew drops the old one: that would delete all that refers to its rows.
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def _keep_copy(connection: Connection) -> Path | None:
    """Copy a database beside its file: `chat.before-update.2026-11-26-161905.db`; drop the oldest."""
    file = _file(connection)
    if file is None:
        return None
    begin = f"{file.stem}.before-update."
    copy = file.with_name(f"{begin}{datetime.now():%Y-%m-%d-%H%M%S}{file.suffix}")
    # Under another name until it is whole.
    part = copy.with_name(f"{file.stem}.unfinished-copy{file.suffix}")
    try:
        part.unlink(missing_ok=True)
        make_private(part)
        connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
        _flush(part)
        part.replace(copy)
    except (DBAPIError, OSError) as error:
        with suppress(OSError):
            part.unlink()
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise CannotStart(
            f"The database must be updated, and there can be no copy of it before: {reason}. "
            f"Make room for a second {file.name} in {file.parent}."
        ) from error
    copies = [one for one in file.parent.iterdir() if one.name.startswith(begin) and one.suffix == file.suffix]
    for old in sorted(copies)[:-COPIES]:
        old.unlink()
    return copy


def _file(connection: Connection) -> Path | None:
    """Where a SQLite database is; None where it is in memory."""
    [name] = [row.file for row in connection.exec_driver_sql("PRAGMA database_list") if row.name == "main"]
    return Path(name) if name else None


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
