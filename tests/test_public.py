"""`rill`, what an extension may rely on: a change here is a change for everybody who wrote one."""

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


@pytest.mark.slow
def test_it_loads_no_page() -> None:
    code = "import sys, rill; print('reflex' in sys.modules, 'chat_app.ui' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False False\n"


OF_TESTING = {"Provider", "script"}


def test_the_public_names_for_tests_are_these() -> None:
    assert set(testing.__all__) == OF_TESTING
    assert all(hasattr(testing, name) for name in OF_TESTING)


def test_strict_code_of_an_extension_works(tmp_path: Path) -> None:
    strict.test_it_answers(tmp_path)
