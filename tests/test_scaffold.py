"""`python -m chat_app new`: what it makes works as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chat_app.__main__ import main
from chat_app.config import ROOT
from chat_app.errors import CannotStart
from chat_app.extend import page_adder
from chat_app.scaffold import new_agent
from tests.own_app import own_app


@pytest.mark.slow
def test_the_folder_works_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["chat_app", "new", "my_helper"])
    main()
    folder = tmp_path / "my_helper"
    names = {"__init__.py", "agent.py", "hooks.py", "pages.py", "brand.toml", "test_agent.py", "README.md"} | {
        "pytest.ini"
    }
    assert {file.name for file in folder.iterdir()} == names
    assert len((folder / "README.md").read_text().splitlines()) <= 14
    environ = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    # As in a checkout, whose tests need packages that its own do without.
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:timeout", "my_helper"]
    run = subprocess.run(tests, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    used = {"REPLIES": "my_helper.agent:reply", "HOOKS": "my_helper.hooks:setup", "PAGES": "my_helper.pages:add"}
    check = [sys.executable, "-m", "chat_app.extend"]
    run = subprocess.run(check, cwd=tmp_path, env=environ | used, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    with own_app() as app:
        page_adder("my_helper.pages:add")(app)
    assert "about-my_helper" in app._unevaluated_pages
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my agent", "'my agent' is no name for a module"),
        ("../agent", "is no name for a module"),
        ("MyAgent", "is no name for a module"),
        ("", "is no name for a module"),
        ("taken", "taken is there already. Choose another name."),
        ("taken_module", "taken_module is there already"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken_module.py").touch()
    with pytest.raises(CannotStart) as caught:
        new_agent(name, tmp_path)
    assert sentence in caught.value.message
