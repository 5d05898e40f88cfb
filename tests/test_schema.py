"""The schema is brought up to date whole or not at all, whenever the server is killed, and a copy is kept before."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from chat_app.config import ROOT
from chat_app.errors import CannotStart
from chat_app.store.schema import COPIES
from chat_app.store.store import Store
from tests.cut_off import CutOff
from tests.postgres import Postgres

pytestmark = pytest.mark.anyio

CONFIG = Config()
CONFIG.set_main_option("script_location", str(ROOT / "chat_app" / "migrations"))
VERSIONS = [script.revision for script in ScriptDirectory.from_config(CONFIG).walk_revisions()][::-1]
FIRST = VERSIONS[0]
OLDER = [None, *VERSIONS[:-1]]
"""What a database may be before a start: nothing, or of an older version."""
WHEN = "'2026-01-01 00:00:00'"
ROWS = [
    f"INSERT INTO chat (id, title, created_at, updated_at) VALUES ('c', 'Old apples', {WHEN}, {WHEN})",
    *(
        "INSERT INTO message (id, chat_id, parent_id, role, content, reasoning, status, created_at)"
        f" VALUES ('{id}', 'c', {parent}, '{role}', '{content}', '', 'complete', {WHEN})"
        for id, parent, role, content in (
            ("1", "NULL", "user", "An apple?"),
            ("2", "'1'", "assistant", "A red apple."),
            ("3", "'2'", "user", "And a pear?"),
        )
    ),
]
"""A chat, as any version takes it."""
HAS_DEPTH = "0007"


@pytest.fixture(scope="module")
def cut_off() -> Iterator[CutOff]:
    with CutOff() as cut_off:
        yield cut_off


def make_old(connection: Connection, version: str | None) -> None:
    """Make the schema of a version, with a chat in it."""
    if version is not None:
        CONFIG.attributes["connection"] = connection
        command.upgrade(CONFIG, version)
        for row in ROWS:
            connection.execute(text(row))
        if version >= HAS_DEPTH:
            for depth, id in enumerate("123"):
                connection.execute(text(f"UPDATE message SET depth = {depth} WHERE id = '{id}'"))


def old_file(file: Path, version: str | None) -> Path:
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        make_old(connection, version)
    engine.dispose()
    return file


async def check(url: str, with_chat: bool) -> None:
    """A normal start, and all that was there is there."""
    store = Store(url)
    await store.open()
    if with_chat:
        assert [item.message.content for item in await store.path("c")] == ["An apple?", "A red apple.", "And a pear?"]
        assert [item.message.depth for item in await store.path("c")] == [0, 1, 2]
        assert [hit.message_id for hit in await store.search("apple")] == [None, "2", "1"]
        assert (await store.chat("c")).pinned is False
    user, _, _ = await store.begin_turn("More fruit")
    assert user.id in [hit.message_id for hit in await store.search("fruit")]
    await store.close()


def schema_of(file: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(file)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    finally:
        connection.close()


def copies(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if ".before-update." in file.name)


# At each step for the oldest version: the steps of a later one are its last. On PostgreSQL, where an update is one
# transaction too, at some.
SOME = [(version, 9) for version in OLDER]
AT_EACH = pytest.param(FIRST, 1, marks=pytest.mark.thorough, id=f"{FIRST} at each")


@pytest.mark.slow
@pytest.mark.parametrize(("version", "stride"), [*SOME, AT_EACH])
async def test_killed_at_any_statement_sqlite(
    version: str | None, stride: int, cut_off: CutOff, tmp_path: Path, migrated: Path, figure: Callable[[object], None]
) -> None:
    old = old_file(tmp_path / "old.db", version)
    for step in count(0, stride):
        folder = tmp_path / str(step)
        folder.mkdir()
        file = Path(shutil.copy(old, folder / "chat.db"))
        if not await cut_off.open(f"sqlite:///{file}", step):
            break
        await check(f"sqlite:///{file}", version is not None)
        assert schema_of(file) == schema_of(migrated)
        assert len(copies(folder)) in ((1, 2) if version else (0,))
        for copy in copies(folder):
            assert schema_of(copy) == schema_of(old)
        assert {one.name.partition(".")[0] for one in folder.iterdir()} == {"chat"}
        assert not list(folder.glob("*unfinished*"))
    figure(f"version {version or 'none'} on SQLite: killed before {step // stride} steps of {step} or less")
    # The last update has few statements.
    assert step >= stride


@pytest.mark.slow
@pytest.mark.parametrize(("version", "stride"), [*SOME, pytest.param(FIRST, 4, marks=pytest.mark.thorough)])
async def test_killed_at_any_statement_postgresql(
    version: str | None, stride: int, cut_off: CutOff, postgres: Postgres, figure: Callable[[object], None]
) -> None:
    async with postgres.database() as old:
        engine = create_async_engine(postgres.url(old).replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.begin() as connection:
            await connection.run_sync(make_old, version)
        await engine.dispose()
        for step in count(0, stride):
            async with postgres.database(old) as name:
                if not await cut_off.open(postgres.url(name), step):
                    break
                await check(postgres.url(name), version is not None)
    figure(f"version {version or 'none'} on PostgreSQL: killed before {step // stride} steps of {step} or less")
    assert step >= stride


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "stride"), [(None, 9), (FIRST, 9), pytest.param(FIRST, 1, marks=pytest.mark.thorough)]
)
async def test_a_database_that_an_earlier_server_left_half_updated_opens(
    version: str | None, stride: int, tmp_path: Path, migrated: Path
) -> None:
    """Earlier ones migrated without a transaction: "duplicate column name" at each later start."""
    for step in count(0, stride):
        file = old_file(tmp_path / f"{step}.db", version)
        if not half_update(file, step):
            break
        await check(f"sqlite:///{file}", version is not None)
        assert schema_of(file) == schema_of(migrated)
    assert step > 2 * stride


def half_update(file: Path, step: int) -> bool:
    """Update to 0002 as earlier servers did, each statement for itself, until that step; whether it came so far."""
    engine = create_engine(f"sqlite:///{file}")
    steps = count()

    def stop(*_: object) -> None:
        if next(steps) == step:
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", stop)
    try:
        with engine.connect() as connection:
            CONFIG.attributes["connection"] = connection
            command.upgrade(CONFIG, "0002")
            connection.commit()
    except KeyboardInterrupt:
        return True
    finally:
        engine.dispose()
    return False


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def new_database(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of one without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'chat.db'}"
    else:
        async with postgres.database() as name:
            yield postgres.url(name)


async def test_several_that_start_at_once_do_not_all_migrate(new_database: str) -> None:
    stores = [Store(new_database) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    await check(new_database, with_chat=False)


async def test_a_copy_is_made_only_before_an_update_and_old_ones_go(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    await check(f"sqlite:///{file}", with_chat=False)
    await check(f"sqlite:///{file}", with_chat=False)
    assert copies(tmp_path) == []
    file.unlink()
    old_file(file, "0001")
    earlier = [tmp_path / f"chat.before-update.2025-01-0{day}-120000.db" for day in range(1, 6)]
    others = [tmp_path / "mychat.before-update.2025-01-01-120000.db", tmp_path / "chat.before-update.txt"]
    for one in [*earlier, *others]:
        one.touch()
    await check(f"sqlite:///{file}", with_chat=True)
    left = copies(tmp_path)
    assert [one for one in left if one not in others][:-1] == earlier[-(COPIES - 1) :]
    assert set(others) < set(left)
    await check(f"sqlite:///{file}", with_chat=True)
    assert copies(tmp_path) == left


async def test_a_copy_has_what_was_only_in_the_wal_and_is_a_database_of_its_own(tmp_path: Path) -> None:
    file = old_file(tmp_path / "chat.db", "0001")
    with sqlite3.connect(file) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE chat SET title = 'Apples in the WAL'")
        writer.commit()
        await check(f"sqlite:///{file}", with_chat=False)
    writer.close()
    [copy] = copies(tmp_path)
    await check(f"sqlite:///{copy}", with_chat=False)
    store = Store(f"sqlite:///{copy}")
    assert (await store.chat("c")).title == "Apples in the WAL"
    await store.close()


async def test_without_room_for_the_copy_nothing_is_changed_and_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    file = old_file(tmp_path / "chat.db", "0001")
    before = schema_of(file)
    in_its_way = tmp_path / "chat.unfinished-copy.db"
    in_its_way.mkdir()
    store = Store(f"sqlite:///{file}")
    with pytest.raises(CannotStart, match=r"no copy of it before: .*Make room for a second chat\.db in /"):
        await store.open()
    await store.close()
    assert schema_of(file) == before
    in_its_way.rmdir()
    await check(f"sqlite:///{file}", with_chat=True)


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(new_database: str, tmp_path: Path) -> None:
    store = Store(new_database)
    await store.open()
    async with store.database.writing() as session:
        await (await session.connection()).execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CannotStart, match=r"newer version of the app \(9999\)\. Update the app"):
        await store.open()
    await store.close()
    assert copies(tmp_path) == []
