"""What is on the disk: no other user of the machine can read it, and what was deleted is not there any more."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_app.store import sqlite_file
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.test_schema import old_file

ASKED = "Quetzalcoatl beneath zinnias"
ANSWERED = "Wherefore xylophones murmur"
TITLE = "Unmistakable heliotrope"
WORDS = [word.encode() for text in (ASKED, ANSWERED, TITLE) for word in text.split()]


@pytest.fixture
def api(tmp_path: Path, provider: Provider) -> Iterator[Api]:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_other_users_of_the_machine_cannot_read_the_chats(tmp_path: Path) -> None:
    file = tmp_path / "new" / "data" / "chat.db"
    with Api(tmp_path, database_url=f"sqlite:///{file}") as api:
        assert api.http.post("/chats/", json={"title": "Private"}).is_success
        names = sorted(path.name for path in file.parent.iterdir())
        assert names == ["chat.db", "chat.db-shm", "chat.db-wal", "chat.db.lock"]
        assert set(modes(file.parent).values()) == {0o600}
        assert file.parent.stat().st_mode & 0o777 == 0o700


def test_those_of_an_older_version_are_closed_too(tmp_path: Path) -> None:
    """Before, all was made as the user's umask says. What others put into the folder stays as it is."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    old_file(folder / "chat.db", "0001")
    for name in ("chat.db.lock", "chat.before-update.2026-01-01-000000.db", "chat.html", "other.db"):
        (folder / name).touch()
    for path in folder.iterdir():
        path.chmod(0o644)
    with Api(tmp_path, database_url=f"sqlite:///{folder / 'chat.db'}") as api:
        assert api.http.get("/chats/").is_success
        found = modes(folder)
    assert found.pop("chat.html") == found.pop("other.db") == 0o644
    assert len(found) >= 4 and set(found.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_the_app_s_own_folder_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    monkeypatch.setattr(sqlite_file, "DATA", data)
    sqlite_file.make_private(data / "chat.db")
    assert data.stat().st_mode & 0o777 == 0o700


def left(folder: Path) -> dict[str, list[bytes]]:
    """Which of the words are in which file."""
    texts = {path.name: path.read_bytes().lower() for path in folder.iterdir() if path.name.startswith("chat.db")}
    found = {name: [word for word in WORDS if word.lower() in text] for name, text in texts.items()}
    return {name: words for name, words in found.items() if words}


def gone(folder: Path) -> bool:
    deadline = time.monotonic() + 20
    while left(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left(folder)


def ask(api: Api, asked: str, answered: str) -> str:
    response = api.http.post("/messages/", json={"content": f"{asked}\n{script(text=answered, interval_ms=0)}"})
    chat: str = response.json()["chat_id"]
    return chat


@pytest.mark.slow
@pytest.mark.parametrize("others", [0, 40])
def test_deleted_means_deleted(others: int, api: Api) -> None:
    for number in range(others):
        ask(api, f"Before {number}", "Some answer that stays. " * 50)
    # As long as an answer that needs pages of its own, in the journal and in the table.
    chat = ask(api, f"{ASKED} " * 20, f"{ANSWERED} " * 1_000)
    assert api.http.patch(f"/chats/{chat}", json={"title": TITLE}).is_success
    for number in range(others):
        ask(api, f"After {number}", "Some answer that stays. " * 50)
    assert left(api.folder)
    assert api.http.delete(f"/chats/{chat}").is_success
    assert gone(api.folder), left(api.folder)
    assert len(api.http.get("/search/?q=answer").json()["hits"]) == min(2 * others, 30)
    api.stop()
    assert not left(api.folder)
    with sqlite3.connect(api.folder / "chat.db") as connection:
        connection.execute("INSERT INTO message_fts (message_fts) VALUES ('integrity-check')")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
def test_the_trash_is_emptied_for_good_at_a_start(api: Api) -> None:
    ask(api, "Stays", "Some answer.")
    chat = ask(api, ASKED, ANSWERED)
    api.stop()
    with sqlite3.connect(api.folder / "chat.db") as connection:
        connection.execute("UPDATE chat SET deleted_at = '2026-01-01 00:00:00.000000' WHERE id = ?", [chat])
    connection.close()
    api.start()
    assert gone(api.folder), left(api.folder)
    shutil.rmtree(api.folder, ignore_errors=True)
