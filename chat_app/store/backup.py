"""All of a database in one file, and back: `python -m chat_app backup FILE` and `restore FILE`.

The file is a SQLite database whatever the server uses, so a copy can be opened by anything that opens those, by Rill
too, and a restore can move all chats from SQLite to PostgreSQL or back. A backup may be made while the server runs: it
is what was there at one moment. A restore needs the database for itself.
"""

# A command of its own: nobody else waits for this loop.
# ruff: noqa: ASYNC240

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, Table, create_engine, delete, func, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

from chat_app.errors import CannotStart
from chat_app.models import Chat
from chat_app.store import schema, trouble
from chat_app.store.claim import claim
from chat_app.store.database import Database
from chat_app.store.sqlite_file import check, make_private

ROWS_AT_ONCE = 500
SIGNED_IN = ("login", "invitation")
"""What is in no backup: whoever has signed out since, or has taken an invitation, would be able to once more."""
# Each after what it refers to.
TABLES: list[Table] = SQLModel.metadata.sorted_tables


@dataclass(frozen=True, slots=True)
class Copied:
    """What a file has, and where what it took the place of was kept."""

    chats: int
    messages: int
    kept: Path | None = None

    def __str__(self) -> str:
        return f"{_count(self.chats, 'chat')} with {_count(self.messages, 'message')}"


async def back_up(url: str, file: Path, *, force: bool = False) -> Copied:
    """Write all of the database at `url` to `file`, which only this user can read.

    Raises:
        CannotStart: it is there already and `force` is not given, or something is not to be read or written.
    """
    if _same(url, file):
        raise CannotStart(f"{file} is the database itself. Name another file.")
    if file.exists() and not force:
        raise CannotStart(f"{file} is there already. Name another file, or add --force to overwrite it.")
    with _whole_or_not(file) as part:
        await _write(url, part)
        _sign_everybody_out(part)
        copied = _read(part)
        part.replace(file)
    return copied


async def restore(url: str, file: Path, *, force: bool = False) -> Copied:
    """Make the database at `url` what `file` has. What was there is kept in a file beside it, if there were any chats.

    Raises:
        CannotStart: a server uses the database, it has chats and `force` is not given, or `file` is no backup.
    """
    if not file.is_file():
        raise CannotStart(f"There is no file {file}. Name one that `python -m chat_app backup` wrote.")
    if _same(url, file):
        raise CannotStart(f"{file} is the database itself. Name a backup of it.")
    async with _claimed(url) as database:
        target = _sqlite_file(url)
        beside = target or file.resolve()
        there = _chats_in(target) if target else await _chats(database)
        if there and not force:
            raise CannotStart(
                f"The database {trouble.where(database.url)} has {there}. "
                "Add --force to put the backup in their place; they are kept in a file."
            )
        with _whole_or_not(beside.with_name(f"{beside.stem}.unfinished-restore{beside.suffix}")) as part:
            copied = _updated(part, file)
            kept = (
                beside.with_name(f"{beside.stem}.before-restore.{datetime.now():%Y-%m-%d-%H%M%S}.db") if there else None
            )
            if target:
                _put_in_place(part, target, kept)
            else:
                await _put_into(database, part, url, kept)
    return Copied(copied.chats, copied.messages, kept)


async def _write(url: str, part: Path) -> None:
    if source := _sqlite_file(url):
        if not source.is_file():
            raise CannotStart(f"There is no database {source}. Set DATABASE_URL to the one to copy.")
        with _told(url):
            _copy_file(source, part)
        return
    database = Database(url, pool_size=1)
    try:
        with _told(url), _opened(part) as target:
            schema.upgrade(target)
            async with database.engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                await connection.run_sync(_check_version)
                await connection.run_sync(_copy, target)
            target.commit()
    finally:
        await database.close()


def _copy_file(source: Path, part: Path) -> None:
    """With what is in its log, without free pages, and of one moment; whoever writes meanwhile is not held up."""
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("VACUUM INTO ?", [str(part)])


def _sign_everybody_out(part: Path) -> None:
    """Also in a database of a version that had no accounts."""
    with closing(sqlite3.connect(part)) as connection, connection:
        connection.execute("PRAGMA secure_delete = ON")
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in there.intersection(SIGNED_IN):
            connection.execute(f"DELETE FROM {table}")


def _put_in_place(part: Path, target: Path, kept: Path | None) -> None:
    """Also of a database that is damaged, or of a newer version: it is kept as it is."""
    for end in ("", "-wal", "-shm"):
        old = target.with_name(target.name + end)
        if old.exists() and kept and end != "-shm":
            old.replace(kept.with_name(kept.name + end))
        else:
            old.unlink(missing_ok=True)
    part.replace(target)


async def _put_into(database: Database, part: Path, url: str, kept: Path | None) -> None:
    """Put the rows of `part` into the place of what is there."""
    if kept:
        await back_up(url, kept)
    with _told(url), _opened(part) as source:
        async with database.engine.begin() as connection:
            await connection.run_sync(_replace, source)


def _replace(target: Connection, source: Connection) -> None:
    for table in reversed(TABLES):
        target.execute(delete(table))
    _copy(source, target)


def _copy(source: Connection, target: Connection) -> None:
    """Message after message in the order of their ids, which has each after the one that it answers."""
    for table in TABLES:
        query = select(table).order_by(*table.primary_key).execution_options(yield_per=ROWS_AT_ONCE)
        for rows in source.execute(query).mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])


def _check_version(connection: Connection) -> None:
    """Raises CannotStart: its tables are not those that this version knows."""
    if MigrationContext.configure(connection).get_current_revision() != schema.newest(connection):
        raise CannotStart(
            "The database is of another version of the app. Back it up with that version, "
            "or start this one once, which updates it."
        )


def _updated(part: Path, file: Path) -> Copied:
    """Make `part` a copy of a backup, in the schema of this version."""
    try:
        _copy_file(file, part)
        check(make_url(f"sqlite:///{part}"))
        with _opened(part) as connection:
            if MigrationContext.configure(connection).get_current_revision() is None:
                raise CannotStart(f"{file} is no backup of Rill. Name one that `python -m chat_app backup` wrote.")
            schema.upgrade(connection, keep_copy=False)
        # One that was made otherwise may have some.
        _sign_everybody_out(part)
        return _read(part)
    except (sqlite3.Error, SQLAlchemyError) as problem:
        raise CannotStart(f"{file} is damaged, or no backup ({trouble.reason(problem)}). Name another.") from problem


def _read(file: Path) -> Copied:
    """Open a copy and look into it, so that it is known to be good."""
    check(make_url(f"sqlite:///{file}"))
    with closing(sqlite3.connect(file)) as connection:
        [chats] = connection.execute("SELECT count(*) FROM chat").fetchone()
        [messages] = connection.execute("SELECT count(*) FROM message").fetchone()
    return Copied(chats, messages)


async def _chats(database: Database) -> str:
    """In words; empty where there are none."""
    count = select(func.count()).select_from(Chat)
    number = await database.read(lambda connection: connection.execute(count).scalar_one())
    return _count(number, "chat") if number else ""


def _chats_in(file: Path) -> str:
    if not file.exists() or not file.stat().st_size:
        return ""
    try:
        with closing(sqlite3.connect(file)) as connection:
            [number] = connection.execute("SELECT count(*) FROM chat").fetchone()
    except sqlite3.Error as problem:
        return "" if "no such table" in str(problem) else f"chats that cannot be read ({problem})"
    return _count(number, "chat") if number else ""


@asynccontextmanager
async def _claimed(url: str) -> AsyncIterator[Database]:
    """The database, no server's as long as the block takes; PostgreSQL up to date. Raises CannotStart."""
    held = claim(url)
    database = Database(url, pool_size=1)
    try:
        if not held:
            await database.claim(lambda: None)
            await database.open()
        yield database
    finally:
        await database.close()
        if held:
            held.close()


@contextmanager
def _whole_or_not(file: Path) -> Iterator[Path]:
    """Gives the name of a file for this user alone, which is gone after the block, unless it was renamed."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        make_private(part)
        yield part
    except OSError as problem:
        raise CannotStart(f"{file} cannot be written ({problem.strerror}). Name another file.") from problem
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                part.with_name(part.name + end).unlink(missing_ok=True)


@contextmanager
def _opened(file: Path) -> Iterator[Connection]:
    engine: Engine = create_engine(f"sqlite:///{file}", hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What the database says is told as at a start. Raises CannotStart."""
    try:
        yield
    except CannotStart:
        raise
    except Exception as problem:
        raise CannotStart(trouble.at_start(make_url(url), problem)) from problem


def _sqlite_file(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(str(parsed.database)).resolve() if parsed.get_backend_name() == "sqlite" else None


def _same(url: str, file: Path) -> bool:
    return _sqlite_file(url) == file.resolve()


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"
