"""The Dockerfile, compose.yaml and the systemd unit, as far as they can be tried without a container engine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from chat_app import built
from chat_app.config import ROOT, Settings
from tests.forked import Api
from tests.test_documents import blocks

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNIT = ROOT / "deploy" / "rill.service"


def settings_named(lines: str) -> set[str]:
    return set(re.findall(r"\b([A-Z][A-Z_]+)(?==)", lines)) - {"PYTHONDONTWRITEBYTECODE"}


def test_what_is_set_are_settings() -> None:
    names = {name.upper() for name in Settings.model_fields}
    (environment,) = re.findall(r"^ENV (.*)$", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)
    assert settings_named(environment) <= names
    assert COMPOSE["services"]["app"]["environment"].keys() <= names
    assert dotenv_values(ROOT / "deploy" / "rill.env").keys() <= names


def test_what_compose_needs_is_set_as_documented(tmp_path: Path) -> None:
    (lines,) = [code for code in blocks("docs/deploying.md", "sh") if "docker compose up" in code]
    written = [line for line in lines.splitlines() if not line.startswith("docker")]
    subprocess.run(["sh", "-ec", "\n".join(written)], cwd=tmp_path, check=True)
    needed = set(re.findall(r"\$\{(\w+):\?\}", (ROOT / "compose.yaml").read_text()))
    assert dotenv_values(tmp_path / ".env").keys() == needed
    assert all(line.split()[3] in COMPOSE["services"] for line in lines.splitlines() if "compose exec" in line)


def test_the_image_gets_all_that_the_page_is_built_from() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    sources = [*built.RESOURCES, *built.CODE]
    assert all(any(source == name or source.startswith(f"{name}/") for name in allowed) for source in sources)
    assert (ROOT / "docs" / "api.md").exists()
    assert {"chat_app", "rill", "docs", "requirements.txt"} <= set(allowed)


def test_the_health_check_tells_alive_from_dead(tmp_path: Path) -> None:
    (code,) = re.findall(r'CMD \["\.venv/bin/python", "-c", "(.*)"\]', DOCKERFILE)
    with Api(tmp_path, replies="tests.examples.rules:reply") as api:
        check = code.replace("127.0.0.1:3000", f"127.0.0.1:{api.port}")
        assert run_python(check) == 0
    assert run_python(check) != 0


def run_python(code: str) -> int:
    python = ROOT / ".venv" / "bin" / "python"
    return subprocess.run([python, "-c", code], capture_output=True, timeout=30).returncode


def test_a_stop_has_more_time_than_the_answers_get() -> None:
    grace = Settings.model_fields["shutdown_grace"].default
    assert int(COMPOSE["services"]["app"]["stop_grace_period"].removesuffix("s")) > grace
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert int(seconds) > grace


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not there")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "rill.service"
    # The program and the user of the unit are not on this machine.
    text = UNIT.read_text().replace("/opt/rill/.venv/bin/python", "/bin/true").replace("User=rill", "User=root")
    unit.write_text(text.replace("WorkingDirectory=/opt/rill", "WorkingDirectory=/"))
    run = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (run.returncode, [line for line in run.stderr.splitlines() if "rill.service" in line]) == (0, [])
