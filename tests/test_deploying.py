"""The commands of docs/deploying.md for PostgreSQL, as they are written there; the proxies' lines are in
test_web_servers.py, backup and restore in test_backup.py."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    settings = tmp_path / "rill.env"
    for line in lines.replace("/etc/rill.env", str(settings)).splitlines():
        if not line.startswith("systemctl"):
            run(server, line.removeprefix("sudo -u postgres "))
    assert settings.stat().st_mode & 0o077 == 0
    name, _, url = settings.read_text().strip().partition("=")
    assert name == "DATABASE_URL"
    url = url.replace("PASSWORD", PASSWORD).replace("localhost", f"127.0.0.1:{server.port}")
    given = {"openai_base_url": provider.base_url, "openai_model": "bench"}
    with Api(tmp_path, database_url=url, **given) as api:
        chat_id = api.http.post("/messages/", json={"content": script(tokens=2)}).raise_for_status().json()["chat_id"]
    # Before an update, and back.
    text = (Path(__file__).parent.parent / DOCUMENT).read_text()
    dump, back = [re.sub(r"\s+", " ", one) for one in re.findall(r"`((?:pg_dump|psql) [^`]+)`", text)]
    file = str(tmp_path / "rill-backup.sql")
    run(server, dump.replace("rill-backup.sql", file), DATABASE_URL=url)
    run(server, "createdb --owner rill before")
    old = url.removesuffix("rill") + "before"
    run(server, back.replace("rill-backup.sql", file), DATABASE_URL=old)
    with Api(tmp_path, database_url=old, **given) as api:
        messages = api.http.get("/messages/", params={"chat_id": chat_id}).raise_for_status().json()["messages"]
    assert messages[1]["content"] == "tok0 tok1 "
