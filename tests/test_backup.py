"""`backup FILE` and `restore FILE`: while the server runs, between both kinds of database, and with whatever file."""

import asyncio
import gzip
import json
import os
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from chat_app.caller import Scope
from chat_app.errors import CannotStart
from chat_app.models import Status
from chat_app.people.accounts import Accounts
from chat_app.people.invitations import Invitations
from chat_app.people.keys import Keys
from chat_app.people.sessions import Sessions
from chat_app.store.backup import SIGNED_IN, back_up, restore
from chat_app.store.store import Store
from tests.forked import Api, starter
from tests.postgres import Postgres
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of
from tests.test_documents import blocks
from tests.test_schema import VERSIONS, old_file

pytestmark = pytest.mark.anyio

ODD = "🙂 ünï \u0301 'quotes\" \\ \n\u2028"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        yield f"sqlite:///{shutil.copy(migrated, tmp_path / 'data' / 'chat.db')}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        async with postgres.database(request.getfixturevalue("migrated_on_postgres")) as name:
            yield postgres.url(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'other' / 'chat.db'}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        async with postgres.database() as name:
            yield postgres.url(name)


async def fill(url: str) -> None:
    """Chats with all that there can be in one: versions, parts, settings, a rating, the trash, a turn that runs."""
    store = Store(url)
    await store.open()
    try:
        user, reply, _ = await store.begin_turn(ODD, settings={"model": "m", "temperature": 0.5})
        values = {
            "status": Status.complete,
            "content": ODD * 100,
            "reasoning": "why",
            "usage": {"total_tokens": 3},
            "parts": [{"type": "reasoning", "n": 3}, {"type": "text"}],
        }
        await store.end_turn(reply.id, values)
        await store.rate(reply.id, -1, "Not so good")
        _, edited, _ = await store.begin_turn("Another", user.chat_id, edit_of=user.id, key="a key")
        await store.end_turn(edited.id, {"status": Status.failed, "error": {"code": "x", "message": "y"}})
        gone, gone_reply, _ = await store.begin_turn("Gone")
        await store.end_turn(gone_reply.id, {"status": Status.complete, "content": "gone"})
        await store.trash_chat(gone.chat_id)
        _, running, _ = await store.begin_turn("Running")
        row = {"turn_id": running.id, "seq": 5, "part": 0, "kind": "text", "text": "so far" * 500}
        await store.add_rows([row])
    finally:
        await store.close()


async def add_people(url: str) -> None:
    """Somebody with a key who is signed in, and an invitation."""
    store = Store(url)
    await store.open()
    try:
        person = await Accounts(store.database).add("Ada", "a hash", admin=True)
        await Sessions(store.database).begin(person.id)
        await Invitations(store.database).make()
        await Keys(store.database).make(person.id, "laptop", Scope.read)
    finally:
        await store.close()


async def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """All that is stored, of each table."""

    def read(connection: Connection) -> dict[str, list[dict[str, Any]]]:
        tables = SQLModel.metadata.sorted_tables
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in tables
        }

    store = Store(url)
    await store.open()
    try:
        return await store.database.read(read)
    finally:
        await store.close()


async def found(url: str, words: str) -> int:
    store = Store(url)
    await store.open()
    try:
        return len(await store.search(words))
    finally:
        await store.close()


async def test_all_comes_back_whatever_the_databases(url: str, other_url: str, tmp_path: Path) -> None:
    await fill(url)
    await add_people(url)
    file = tmp_path / "backups" / "rill.db"
    copied = await back_up(url, file)
    assert (str(copied), file.stat().st_mode & 0o777) == ("3 chats with 8 messages", 0o600)
    assert list(file.parent.iterdir()) == [file]
    before = await rows(url)
    assert len(before["journal"]) == len(before["person"]) == len(before["api_key"]) == 1
    # Or whoever has signed out since would be in again.
    assert [len(before.pop(table)) for table in SIGNED_IN] == [1, 1]
    before |= {table: [] for table in SIGNED_IN}
    assert str(await restore(other_url, file)) == "3 chats with 8 messages"
    assert await rows(other_url) == before
    assert await rows(f"sqlite:///{shutil.copy(file, tmp_path / 'copy.db')}") == before
    assert await found(other_url, "another") == await found(url, "another") == 1


async def test_what_was_there_is_kept(url: str, tmp_path: Path) -> None:
    await fill(url)
    file = tmp_path / "rill.db"
    await back_up(url, file)
    before = await rows(url)
    store = Store(url)
    await store.create_chat("A later one")
    await store.close()
    with pytest.raises(CannotStart, match=r"has 4 chats\. Add --force to put the backup in their place"):
        await restore(url, file)
    later = await rows(url)
    restored = await restore(url, file, force=True)
    assert restored.kept and restored.kept.stat().st_mode & 0o777 == 0o600
    assert await rows(url) == before
    assert await rows(f"sqlite:///{restored.kept}") == later


async def test_a_file_that_is_there_is_not_overwritten(url: str, tmp_path: Path) -> None:
    await fill(url)
    file = tmp_path / "rill.db"
    file.write_text("precious")
    with pytest.raises(CannotStart, match=r"is there already\. Name another file, or add --force"):
        await back_up(url, file)
    assert file.read_text() == "precious"
    await back_up(url, file, force=True)
    assert (await back_up(url, file, force=True)).chats == 3


@pytest.mark.slow
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[len(VERSIONS) // 2], VERSIONS[-1]])
async def test_a_backup_of_an_older_version_is_brought_up_to_date(version: str, other_url: str, tmp_path: Path) -> None:
    """The steps from each version to the last are those of a start: see test_schema.py."""
    old = old_file(tmp_path / "old.db", version)
    # The version's own file: a copy by the command is the same.
    file = tmp_path / "backup.db"
    await back_up(f"sqlite:///{old}", file)
    assert str(await restore(other_url, file)) == "1 chat with 3 messages"
    assert await found(other_url, "apple") == 3
    # The backup itself is as it was.
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)


def rows_of(file: Path) -> list[Any]:
    with sqlite3.connect(file) as connection:
        tables = ("alembic_version", "chat", "message")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def test_an_update_and_going_back(tmp_path: Path) -> None:
    """A database that an older version itself has written: with a rating, a failure, and an answer that was cut off."""
    file = tmp_path / "chat.db"
    file.write_bytes(gzip.decompress((Path(__file__).parent / "examples" / "of_version_0002.db.gz").read_bytes()))
    before = rows_of(file)
    with Api(tmp_path) as api:
        chats = {chat["title"]: chat["id"] for chat in api.http.get("/chats/").json()["chats"]}
        fruit, cut = (
            api.http.get(f"/messages/?chat_id={chats[title]}&include=reasoning").json()["messages"]
            for title in ("Fruit", "Cut off?")
        )
        assert [message["status"] for message in fruit] == ["complete", "complete", "complete", "failed"]
        assert (fruit[1]["rating"], fruit[1]["remark"], len(fruit[1]["content"])) == (1, "Good", 2600)
        assert fruit[1]["parts"][0] == {"type": "reasoning", "text": "They ask for fruit."}
        assert (cut[1]["status"], cut[1]["content"]) == ("interrupted", "So far")
        assert len(api.http.get("/search/?q=apple").json()["hits"]) == 1
        updated, cut_off, started = [line for line in api.logged().splitlines() if " INFO " in line or " WARN" in line]
    assert f" INFO database updated before=0002 now={VERSIONS[-1]} copy=" in updated
    assert "answers were cut off" in cut_off and "server started" in started
    # Back: the older version gets the file that it knows.
    [copy] = tmp_path.glob("chat.before-update.*.db")
    assert str(copy) in updated
    assert rows_of(copy) == before


@pytest.mark.slow
async def test_a_postgresql_of_another_version_is_not_copied_by_halves(postgres: Postgres, tmp_path: Path) -> None:
    async with postgres.database() as name:
        with pytest.raises(CannotStart, match=r"of another version of the app\. Back it up with that version"):
            await back_up(postgres.url(name), tmp_path / "rill.db")
    assert not list(tmp_path.iterdir())


def damaged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:12288] = os.urandom(8192)
    file.write_bytes(content)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def without_tables(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE other (id)")


def of_a_newer_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda file: file.write_text("Hello " * 1000), "is damaged, or no backup"),
    "empty": (lambda file: file.write_text(""), "is no backup of Rill"),
    "damaged": (damaged, "is damaged, or no backup"),
    "cut off": (lambda file: os.truncate(file, file.stat().st_size // 2), "is damaged, or no backup"),
    "another program's": (without_tables, "is no backup of Rill"),
    "newer": (of_a_newer_version, "is of a newer version of the app"),
    "missing": (Path.unlink, "There is no file"),
    "a folder": (a_folder, "There is no file"),
}


async def test_what_is_no_backup_changes_nothing(url: str, file: Path, tmp_path: Path) -> None:
    await fill(url)
    before = await rows(url)
    for kind, (spoil, said) in BAD.items():
        bad = Path(shutil.copy(file, tmp_path / f"{kind}.db"))
        spoil(bad)
        with pytest.raises(CannotStart, match=said) as problem:
            await restore(url, bad, force=True)
        assert str(problem.value).endswith("."), kind
        assert await rows(url) == before, kind
    assert not [path for path in tmp_path.rglob("*") if "unfinished" in path.name or "before-restore" in path.name]


@pytest.mark.parametrize("spoil", [damaged, of_a_newer_version, lambda file: file.write_text("no database" * 1000)])
async def test_a_database_that_cannot_be_opened_is_replaced(
    spoil: Callable[[Path], object], file: Path, tmp_path: Path
) -> None:
    """Damaged, or of a version that somebody goes back from."""
    backup = tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    await fill(url)
    before = await rows(url)
    await back_up(url, backup)
    spoil(file)
    spoiled = file.read_bytes()
    with pytest.raises(CannotStart, match="Add --force"):
        await restore(url, backup)
    restored = await restore(url, backup, force=True)
    assert await rows(url) == before
    assert restored.kept and restored.kept.read_bytes() == spoiled


@pytest.mark.slow
async def test_a_postgresql_of_a_newer_version_is_left_alone(postgres: Postgres, file: Path) -> None:
    async with postgres.database() as name:
        await restore(postgres.url(name), file)
        await postgres.execute("UPDATE alembic_version SET version_num = '9999'", name)
        with pytest.raises(CannotStart, match="is of a newer version of the app"):
            await restore(postgres.url(name), file, force=True)


async def test_what_is_in_the_log_of_a_file_is_restored_too(file: Path, tmp_path: Path) -> None:
    """A copy that a server has used is one, too."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO chat (id, title, created_at, updated_at) VALUES ('c', 'In the log', 1, 1)")
        connection.commit()
        assert file.with_name("chat.db-wal").stat().st_size
        assert str(await restore(f"sqlite:///{tmp_path / 'other.db'}", file)) == "1 chat with 0 messages"


async def test_the_database_is_no_backup_of_itself(file: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{file}"
    (tmp_path / "link.db").symlink_to(file)
    for name in (file, tmp_path / "link.db"):
        for command in (back_up, restore):
            with pytest.raises(CannotStart, match="is the database itself"):
                await command(url, name, force=True)
    with pytest.raises(CannotStart, match="There is no database"):
        await back_up(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "rill.db")
    with pytest.raises(CannotStart, match="cannot be written"):
        await back_up(url, file / "rill.db")


def run(api: Api, *arguments: str) -> tuple[int, str]:
    """`python -m chat_app` with these arguments: its exit code and all that it says."""
    said = api.folder / "said"
    said.write_text("")
    process = starter().start("app", api.environment() | {"ARGUMENTS": json.dumps(arguments)}, said)
    return process.wait(60), said.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_commands_beside_a_server(kind: str, postgres: Postgres, tmp_path: Path, provider: Provider) -> None:
    async with postgres.database() as name:
        url = f"sqlite:///{tmp_path / 'chat.db'}" if kind == "sqlite" else postgres.url(name)
        file = str(tmp_path / "backup.db")
        with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", database_url=url) as api:
            assert api.http.post("/messages/", json={"content": script(tokens=3)}).is_success
            asked = {"json": {"content": script(tokens=-1, interval_ms=5)}}
            async with api.client() as client, streaming(client, "POST", "/stream/", **asked) as stream:
                frames = await stream.until(lambda frame: "tok600" in frame.data)
                # While an answer grows. What is seen is at most 2,000 characters ahead of the database.
                assert await asyncio.to_thread(run, api, "backup", file) == (
                    0,
                    f"2 chats with 4 messages are in {file}.\n",
                )
                code, said = await asyncio.to_thread(run, api, "restore", "--force", file)
                assert (code, said.count("\n")) == (1, 1) and said.startswith("Another server (process ")
                await client.post(f"/stream/{stream.turn_id}/stop")
                text = text_of([*frames, *await stream.rest()])
            assert api.http.delete(f"/chats/{stream.chat_id}").is_success
            api.stop()
            code, said = await asyncio.to_thread(run, api, "restore", file)
            assert (code, said.count("\n")) == (1, 1) and "has 1 chat. Add --force" in said
            code, said = await asyncio.to_thread(run, api, "restore", file, "--force")
            assert code == 0 and said.startswith(
                "2 chats with 4 messages are in the database. What was there before is"
            )
            api.start()
            messages = api.http.get(f"/messages/?chat_id={stream.chat_id}").json()["messages"]
            assert (messages[1]["status"], messages[1]["content"][:5]) == ("interrupted", "tok0 ")
            assert "tok199 " in messages[1]["content"] and text.startswith(messages[1]["content"])
            assert "Traceback" not in api.logged()


def test_the_commands_of_the_document_are_these(tmp_path: Path, file: Path) -> None:
    api = Api(tmp_path)
    all_lines = [line for block in blocks("docs/deploying.md", "sh") for line in block.splitlines()]
    lines = [line for line in all_lines if re.search(" -m chat_app (backup|restore) ", line)]
    assert len(lines) == 2
    for line in lines:
        words = line.replace("rill-backup.db", str(tmp_path / "rill-backup.db")).split()
        assert words[:3] == [".venv/bin/python", "-m", "chat_app"]
        code, said = run(api, *words[3:])
        assert code == 0, said
    assert said == "0 chats with 0 messages are in the database.\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_command_that_does_not_exist_is_told(tmp_path: Path) -> None:
    api = Api(tmp_path)
    code, said = run(api, "bakcup", "file")
    assert code == 2 and "invalid choice: 'bakcup'" in said
    assert run(api, "backup")[0] == 2
    assert "copy the database into a file" in run(api, "--help")[1]
