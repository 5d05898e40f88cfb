"""A built checkout: served by a user who may not write it, moved, and built anew while a server runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

import pytest

from chat_app import building, built, logs
from chat_app.building import build_page, fingerprint
from chat_app.config import ROOT
from chat_app.lockfile import locked
from tests.app import App

NOBODY = 65534
COPIED = [*built.RESOURCES, "chat_app", "rill", "docs", "tests/__init__.py", "tests/examples"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Open to everybody; pytest closes the ones that it gives, whenever another run begins."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def moved(page_built: None, folder: Path) -> Iterator[Path]:
    """What a container has: the sources and the build, in another place, and read-only."""
    tree = folder / "moved"
    tree.mkdir()
    for name in COPIED:
        source, target = ROOT / name, tree / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "external")
            shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    page = built.folder(fingerprint())
    shutil.copytree(page, tree / ".web" / "pages" / page.name)
    change_all(tree, 0o555, 0o444)
    yield tree
    change_all(tree, 0o755, 0o644)


def change_all(tree: Path, folders: int, files: int) -> None:
    for path in (tree, *tree.rglob("*")):
        # What a link leads to is not the tree's.
        if not path.is_symlink():
            path.chmod(folders if path.is_dir() else files)


class Unprivileged(App):
    """Run by a user who owns nothing but the folder of the data, and has no home."""

    python = Path(sys.executable)

    def spawn(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        environment = environment | {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        prefix: list[str] = []
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
            # Python and its packages may be where only root may look.
            reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
            prefix = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *reads]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*prefix, str(self.python), "-m", "chat_app"],
                cwd=self.root,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="setpriv is Linux's")
def test_a_read_only_checkout_in_another_place_is_served_by_an_unprivileged_user(moved: Path, folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    app = Unprivileged(data, replies="tests.examples.rules:reply")
    app.root = moved
    before = {path: path.stat().st_mtime for path in moved.rglob("*")}
    with app:
        page = app.http.get("/")
        assert page.status_code == 200
        scripts = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
        assert scripts
        assert {app.http.get(script).status_code for script in scripts} == {200}
        for path in ("/embed", "/docs", "/chat.css", "/openapi.json"):
            assert app.http.get(path).status_code == 200, path
        assert app.http.post("/messages/", json={"content": "hello"}).json()["content"].startswith("Hello!")
        assert "The page is built already." in app.log.read_text()
    assert {path: path.stat().st_mtime for path in moved.rglob("*")} == before


@pytest.mark.slow
def test_a_running_server_keeps_its_build_while_others_are_made(
    page_built: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reflex empties its folder before it builds; nothing that is served is there."""
    web = tmp_path / ".web"
    shutil.copytree(built.folder(fingerprint()) / "build", web / "build")
    monkeypatch.setattr(built, "WEB", web)
    monkeypatch.setattr(built, "PAGES", web / "pages")
    built.keep("first" * 10)
    served = built.folder("first" * 10) / "build" / "client"
    files = {path.relative_to(served) for path in served.rglob("*")}
    shutil.rmtree(web / "build")
    (web / "build" / "client").mkdir(parents=True)
    (web / "build" / "client" / "index.html").write_text("new")
    # As a server leaves it that was started on this build before there was one.
    (built.folder("other" * 10) / "backend").mkdir(parents=True)
    assert not built.is_there("other" * 10)
    built.keep("other" * 10)
    assert {path.relative_to(served) for path in served.rglob("*")} == files
    assert (built.folder("other" * 10) / "build" / "client" / "index.html").read_text() == "new"
    # The same once more changes nothing, and old ones go at last.
    built.keep("other" * 10)
    for name in ("third", "fourth"):
        built.keep(name * 10)
    assert len(list((web / "pages").iterdir())) == built.KEPT
    assert not served.exists()


def test_a_path_leads_to_no_file_outside_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "client"
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "x.js").write_text("1")
    (tmp_path / "secret").write_text("2")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert built.file_in(folder, "/assets/x.js") == folder / "assets" / "x.js"
    for path in (
        "/assets/../../secret",
        "/../secret",
        "/link",
        "/assets",
        "/assets/x.js\0",
        "/" + "x" * 5_000,
        "/none",
    ):
        assert built.file_in(folder, path) is None, path


def test_what_a_killed_build_wrote_into_the_lock_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or no build would be that of these sources any more."""
    text = building.LOCK.read_text()
    lock = json.loads(text)
    for package in lock["packages"].values():
        package["funding"] = {"url": "https://example.org"}
    left = tmp_path / "package-lock.json"
    left.write_text(json.dumps(lock))
    monkeypatch.setattr(building, "LOCK", left)
    building.drop_funding()
    assert left.read_text() == text


def test_a_second_build_waits_for_the_first_and_takes_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would write the same folders, and one of them keep half of the other's."""
    monkeypatch.setattr(built, "WEB", tmp_path)
    monkeypatch.setattr(built, "PAGES", tmp_path / "pages")
    told: Queue[str] = Queue()
    monkeypatch.setattr(logs, "note", told.put)
    with (tmp_path / "building.lock").open("a") as first:
        assert locked(first)
        second = threading.Thread(target=build_page)
        second.start()
        assert told.get(timeout=60).endswith("Waiting for it …")
        (built.folder(fingerprint()) / "build" / "client").mkdir(parents=True)
    second.join()
    assert told.get_nowait() == "The page is built already."
