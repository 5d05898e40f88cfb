"""Windows, which cannot be tried here: as far as a module of its own, and those that it lacks, can stand for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from chat_app.config import ROOT

pytestmark = pytest.mark.slow

# All that others wrote is loaded as on this system; then the app again, as on the other one.
BEGIN = """
import importlib, sys, types
from sqlmodel import SQLModel
import chat_app.api, chat_app.client.__main__, chat_app.server, chat_app.service, chat_app.shutdown
ours = sorted(name for name in sys.modules if name.partition(".")[0] == "chat_app")
for name in ours:
    del sys.modules[name]
SQLModel.metadata.clear()
SQLModel._sa_registry.dispose()
for name in ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp"):
    sys.modules[name] = None
sys.modules["msvcrt"] = msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2
sys.platform = "win32"
"""
IMPORT_ALL = """
for name in ours:
    importlib.import_module(name)
print(*ours)
"""
# By the place that is locked, as there: what is read elsewhere in the file is free.
CLAIM = """
import os
from chat_app.errors import CannotStart
from chat_app.store import claim
held = set()
def locking(descriptor, mode, count):
    place = os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
    assert (mode, count) == (msvcrt.LK_NBLCK, 1) and place[1] > 1_000_000
    if place in held:
        raise PermissionError(13, "Permission denied")
    held.add(place)
msvcrt.locking = locking
claim.PATIENCE_S = 0
for file in sys.argv[1:]:
    first = claim.claim("sqlite:///" + file)
    first.seek(0)
    assert first.read() == str(os.getpid())
    try:
        claim.claim("sqlite:///" + file)
    except CannotStart as refusal:
        print(refusal.message if hasattr(refusal, "message") else refusal)
"""


def on_windows(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", BEGIN + script, *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_server_and_the_terminal_client_can_be_imported() -> None:
    assert {"chat_app.store.claim", "chat_app.connections", "chat_app.client.prompt"} <= set(
        on_windows(IMPORT_ALL).split()
    )


def test_a_second_server_on_the_database_is_refused(tmp_path: Path) -> None:
    names = ["chat.db", "with space.db", "ünïcode.db"]
    refusals = on_windows(CLAIM, *(str(tmp_path / name) for name in names)).splitlines()
    for name, refusal in zip(names, refusals, strict=True):
        assert "Another server (process " in refusal and name in refusal
