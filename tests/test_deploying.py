"""The commands of docs/deploying.md for a service and PostgreSQL, as they are written there; the proxies' lines are in
test_web_servers.py, backup and restore in test_backup.py."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from chat_app.config import ROOT, Settings
from tests.app import free_port
from tests.forked import Api
from tests.postgres import Postgres
from tests.provider_client import Provider, script
from tests.test_documents import blocks

pytestmark = pytest.mark.slow

DOCUMENT = "docs/deploying.md"
PASSWORD = "s3cret"


@pytest.fixture
def server() -> Iterator[Postgres]:
    """As Debian's: passwords over TCP, and a user `postgres` who needs none."""
    with Postgres(free_port()) as server:
        yield server


def run(server: Postgres, command: str, **environment: str) -> None:
    """A line of a shell, by whoever may do anything on the server."""
    path = f"{server._binaries}{os.pathsep}{os.environ['PATH']}"
    reached = {"PGHOST": str(server._folder), "PGPORT": str(server.port), "PGUSER": "postgres"}
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": path, **reached, **environment},
        # `--pwprompt` asks twice, at the terminal if there is one.
        input=f"{PASSWORD}\n" * 2,
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_a_database_for_the_service(server: Postgres, provider: Provider, tmp_path: Path) -> None:
    (lines,) = [code for code in blocks(DOCUMENT, "sh") if "createdb" in code]
    settings = Path(shutil.copy(ROOT / "deploy" / "rill.env", tmp_path))
    for line in lines.replace("/etc/rill.env", str(settings)).splitlines():
        if not line.startswith("systemctl"):
            run(server, line.removeprefix("sudo -u postgres "))
    url = str(dotenv_values(settings)["DATABASE_URL"])
    url = url.replace("PASSWORD", PASSWORD).replace("localhost", f"127.0.0.1:{server.port}")
    given = {"openai_base_url": provider.base_url, "openai_model": "bench"}
    with Api(tmp_path, database_url=url, **given) as api:
        chat_id = api.http.post("/messages/", json={"content": script(tokens=2)}).raise_for_status().json()["chat_id"]
    # Before an update, and back.
    text = (ROOT / DOCUMENT).read_text()
    dump, back = [re.sub(r"\s+", " ", one) for one in re.findall(r"`((?:pg_dump|psql) [^`]+)`", text)]
    file = str(tmp_path / "rill-backup.sql")
    run(server, dump.replace("rill-backup.sql", file), DATABASE_URL=url)
    run(server, "createdb --owner rill before")
    old = url.removesuffix("rill") + "before"
    run(server, back.replace("rill-backup.sql", file), DATABASE_URL=old)
    with Api(tmp_path, database_url=old, **given) as api:
        messages = api.http.get("/messages/", params={"chat_id": chat_id}).raise_for_status().json()["messages"]
    assert messages[1]["content"] == "tok0 tok1 "


def test_a_service_in_a_bare_machine(tmp_path: Path) -> None:
    """The lines with `/opt`, `/etc` and `/var` below a folder; what is installed and built there is this checkout's."""
    for folder in ("opt", "etc/systemd/system", "var/lib/rill"):
        (tmp_path / folder).mkdir(parents=True)
    (lines,) = [code for code in blocks(DOCUMENT, "sh") if "useradd" in code]
    (commands,) = [code for code in blocks(DOCUMENT, "sh") if "sudo -u rill" in code]
    (update,) = [code for code in blocks(DOCUMENT, "sh") if "git pull" in code]
    for line in lines.splitlines():
        below(tmp_path, line)
    checkout, settings = tmp_path / "opt" / "rill", tmp_path / "etc" / "rill.env"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o640
    settings.write_text(settings.read_text().replace("/var/", f"{tmp_path}/var/"))
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    below(tmp_path, commands)
    assert (tmp_path / "var" / "lib" / "rill" / "chat.db").exists()
    assert not (checkout / "data").exists()
    below(tmp_path, f"cd /opt/rill\n{update}")
    if shutil.which("systemctl"):
        assert (tmp_path / "etc/systemd/system/multi-user.target.wants/rill.service").is_symlink()
    if os.getuid() == 0:
        assert "rill:" in (tmp_path / "etc" / "passwd").read_text()


def below(folder: Path, lines: str) -> None:
    """Runs them as they are, but for what only the machine's administrator may do, or takes minutes."""
    changed = {
        "ADDRESS": str(ROOT),
        "make": "make --dry-run",
        "useradd": f"useradd --prefix {folder}" if os.getuid() == 0 else "true",
        "--group rill": f"--group {os.getgid()}",
        "systemctl enable --now": f"systemctl --root={folder} enable" if shutil.which("systemctl") else "true",
        "sudo -u rill": "",
    }
    for old, new in changed.items():
        lines = lines.replace(old, new)
    lines = re.sub(r"(?<![\w.])/(?=(opt|etc|var)/)", f"{folder}/", lines)
    unset = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    run = subprocess.run(
        ["sh", "-ec", lines], env=environment, input="correct horse\n" * 2, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, f"{lines}\n{run.stdout}{run.stderr}"
