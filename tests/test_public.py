"""`rill`, what an extension may rely on: a change here is a change for everybody who wrote one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rill
from chat_app.config import ROOT, VERSION
from rill import pages, testing
from tests.examples import strict

NAMES = {
    *("ChatError", "Context", "Delta", "Ended", "Part", "Piece", "Question", "Reasoning", "Refused", "Service"),
    *("Settings", "Source", "Step", "Suggestions", "Turn", "Values", "__version__", "get_service", "serving"),
}


OF_PAGES = {"TOKENS", "Fonts", "Markdown", "Said", "StreamChat", "follow", "own", "start", "token", "transcript"}


def test_the_public_names_are_these() -> None:
    assert set(rill.__all__) == NAMES
    assert all(hasattr(rill, name) for name in NAMES)
    assert rill.__all__ == sorted(rill.__all__)
    assert rill.__version__ == VERSION
    assert (ROOT / "rill" / "py.typed").is_file()


def test_the_public_names_for_pages_are_these() -> None:
    assert set(pages.__all__) == OF_PAGES
    assert all(hasattr(pages, name) for name in OF_PAGES)


def test_it_loads_no_page() -> None:
    code = "import sys, rill; print('reflex' in sys.modules, 'chat_app.ui' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False False\n"


OF_TESTING = {"Provider", "script"}


def test_the_public_names_for_tests_are_these() -> None:
    assert set(testing.__all__) == OF_TESTING
    assert all(hasattr(testing, name) for name in OF_TESTING)


# It reads what the whole app is typed with.
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_strict_code_of_an_extension_has_types(tmp_path: Path) -> None:
    """With nothing of the app's own settings of mypy, as in a project of somebody else's."""
    shutil.copy(ROOT / "tests" / "examples" / "strict.py", tmp_path / "my_agent.py")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "--cache-dir", ".cache"]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    run = subprocess.run([*mypy, "my_agent.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    (tmp_path / "my_agent.py").write_text("from rill import Settings\n\nSettings(port='x')\n")
    run = subprocess.run([*mypy, "my_agent.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert 'Argument "port" to "Settings" has incompatible type "str"' in run.stdout


def test_that_code_works(tmp_path: Path) -> None:
    strict.test_it_answers(tmp_path)
