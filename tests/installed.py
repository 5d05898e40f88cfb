"""The app as a package: its wheel in an environment of its own, and a project that uses it, with pages and a brand.

They take minutes to make, so all tests of a run share them.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chat_app.config import ROOT
from tests.app import App, Process
from tests.tree import copy_workshop

UV = [sys.executable, "-m", "uv"]
SYSTEM = "/usr/bin:/bin"
FETCHING = ("UV_", "PIP_", "NPM_", "SSL_", "NODE_", "HTTP_", "HTTPS_", "NO_PROXY", "ALL_PROXY")
PAGES = """
from my_agent import pages
from tests.examples import pages as examples


def add(app):
    pages.add(app)
    examples.add(app)
"""
SETTINGS = """
REPLIES=my_agent.agent:reply
HOOKS=my_agent.hooks:setup
PAGES=all_pages:add
BRAND=tests/examples/acme/brand.toml
"""


class Installed(App):
    """`rill`, in its folder, with the settings of the `.env` there."""

    def __init__(self, folder: Path, environment: Path, path: str = SYSTEM, **variables: str) -> None:
        super().__init__(folder)
        self.variables = variables
        self.root = folder
        self.log = folder.with_suffix(".log")
        self.rill = environment / "bin" / "rill"
        self.path = path
        self.command: list[str] = []

    def environment(self) -> dict[str, str]:
        return {
            # How packages are fetched here, by pip, uv and npm.
            **{name: value for name, value in os.environ.items() if name.upper().startswith(FETCHING)},
            "PATH": self.path,
            "HOME": os.environ["HOME"],
            "PORT": str(self.port),
            "SHUTDOWN_GRACE": "0",
            **self.variables,
        }

    def spawn(self, environment: dict[str, str]) -> Process:
        command = [self.rill, *self.command]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.rill, *arguments], cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False
        )


@dataclass
class Ran:
    """A command."""

    code: int
    said: str


@dataclass
class Installation:
    """What is in `folder`, and what happened while it was made."""

    folder: Path
    files: dict[str, int] = field(default_factory=dict)
    """Of the environment, as it was installed."""
    without_node: Ran = field(default_factory=lambda: Ran(0, ""))
    """`rill build` with pages, where there is no Node."""
    left: list[str] = field(default_factory=list)
    """What is in the folder of the project after that."""
    built: Ran = field(default_factory=lambda: Ran(0, ""))
    """`rill build` where there is one."""
    changed: list[str] = field(default_factory=list)
    """Files of the environment that it has written."""

    @property
    def wheel(self) -> Path:
        (file,) = (self.folder / "wheel").glob("*.whl")
        return file

    @property
    def environment(self) -> Path:
        """Where nothing is installed but the wheel and what it declares to need, in the versions of the lock."""
        return self.folder / "venv"

    @property
    def project(self) -> Path:
        """A folder of `rill new`, with the worked examples beside it: all their pages and their brand are built."""
        return self.folder / "project"


def installation(folder: Path) -> Installation:
    """The one in that folder, which is made if there is none: one process at a time."""
    record = folder / "made.json"
    if record.is_file():
        known: dict[str, Any] = json.loads(record.read_text())
        ran = {name: Ran(**known.pop(name)) for name in ("without_node", "built")}
        return Installation(folder, **known, **ran)
    made = Installation(folder)
    make_wheel(folder / "wheel")
    make_environment(made.environment)
    # Not compiled: the first commands do that with what they import, a part of it.
    install(made.environment, str(made.wheel))
    make_project(made)
    record.write_text(json.dumps({name: value for name, value in asdict(made).items() if name != "folder"}))
    return made


def make_wheel(folder: Path) -> None:
    make = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(make, cwd=ROOT, check=True)


def make_environment(folder: Path) -> None:
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)


def install(environment: Path, *asked: str, locks: Sequence[str] = ("requirements.lock",)) -> Ran:
    target = ["--python", str(environment / "bin" / "python")]
    constraints = [option for lock in locks for option in ("--constraint", str(ROOT / lock))]
    ran = subprocess.run(
        [*UV, "pip", "install", *target, *constraints, *asked], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return Ran(ran.returncode, ran.stdout + ran.stderr)


def make_project(made: Installation) -> None:
    project = made.project
    project.mkdir()
    assert Installed(project, made.environment).run("new", "my_agent").returncode == 0
    shutil.copytree(ROOT / "tests" / "examples", project / "tests" / "examples", ignore=shutil.ignore_patterns("__py*"))
    (project / "tests" / "__init__.py").touch()
    (project / "all_pages.py").write_text(PAGES)
    (project / ".env").write_text(SETTINGS)
    made.without_node = built(Installed(project, made.environment, path=str(project)))
    made.left = sorted(names(project))
    install(made.environment, f"{made.wheel}[pages]")
    made.files = written(made.environment)
    (project / ".rill").mkdir()
    copy_workshop(ROOT, project / ".rill")
    made.built = built(Installed(project, made.environment))
    made.changed = [str(path) for path, _ in made.files.items() ^ written(made.environment).items()]


def built(app: Installed) -> Ran:
    ran = app.run("build")
    return Ran(ran.returncode, ran.stdout + ran.stderr)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


def written(environment: Path) -> dict[str, int]:
    """When each file of the environment was, but what Python itself makes of them."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in environment.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.is_symlink()
    }
