"""What a developer may save: the files of agents, hooks, pages and brand, wherever they lie, and the app's own.

They are looked at, not watched by the system: that has limits for watches, tells nothing of many shared and mounted
folders, and loses what is saved between two watches. A look takes a millisecond or two.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chat_app import built
from chat_app.config import load_settings
from chat_app.errors import SettingsError
from chat_app.extend import LIBRARIES
from chat_app.folders import INSTALLED, PACKAGES, ROOT

LOADED = built.DEVELOPMENT / "loaded.json"
"""Files of the modules that the last server has imported: `all`, and those that it had when it had made its pages."""
KINDS = {".py", ".toml", ".jsx", ".js", ".mjs", ".css"}
SKIPPED = {"__pycache__", "node_modules", "site-packages"}
Stamp = tuple[int, int]


class Sources:
    def __init__(self) -> None:
        self._loaded: set[Path] = set()
        self._written: Stamp | None = None
        self.begun = False
        """Whether a server has begun since this was set to False last."""
        self._known = self._look()

    def changed(self) -> set[Path]:
        """The files that are not as they were when they were looked at last."""
        before, self._known = self._known, self._look()
        changed = {path for path in before.keys() | self._known.keys() if before.get(path) != self._known.get(path)}
        # A module that was just loaded from where nobody looked is not new.
        return {path for path in changed if path in before or path not in self._loaded}

    def _look(self) -> dict[Path, Stamp]:
        if (written := _stamp(LOADED)) != self._written:
            self._written, self.begun = written, True
        found = loaded()
        self._loaded = found.get("all", set())
        self.beside_pages = self._loaded - found.get("pages", set())
        """Agents and hooks, no part of any page."""
        return {path: stamp for path in self._loaded.union(own_files()) if (stamp := _stamp(path))}


def own_files() -> Iterator[Path]:
    yield ROOT / ".env"
    if not INSTALLED:
        for package in ("chat_app", "rill"):
            yield from _all_below(PACKAGES / package)
    for folder in {ROOT, Path.cwd()}:
        yield from _of(folder)
    with suppress(SettingsError):
        settings = load_settings()
        if settings.brand:
            yield settings.brand.absolute()
        for module in {path.partition(":")[0] for path in (settings.replies, settings.hooks, settings.pages) if path}:
            yield from _of_module(module)


def _of_module(name: str) -> Iterator[Path]:
    """All files of its package, also where it cannot be imported now; of a single module those beside it, too."""
    top = name.partition(".")[0]
    places = {ROOT, Path.cwd(), *(Path(place) for place in sys.path if not is_library(place))}
    with suppress(ImportError, ValueError):
        if (spec := importlib.util.find_spec(top)) and spec.origin and not is_library(spec.origin):
            places.add(Path(spec.origin).parents[1 if spec.submodule_search_locations else 0])
    for place in places:
        if (place / top).is_dir():
            yield from _all_below(place / top)
        elif (place / f"{top}.py").is_file():
            yield from _of(place)


def _all_below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if one not in SKIPPED and not one.startswith(".")]
        yield from (path for one in files if (path := Path(place, one)).suffix in KINDS)


def _of(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (path for path in folder.iterdir() if path.suffix in KINDS)


def loaded() -> dict[str, set[Path]]:
    with suppress(OSError, ValueError):
        return {when: set(map(Path, files)) for when, files in json.loads(LOADED.read_text()).items()}
    return {}


def imported() -> list[str]:
    """The files of what this process has imported, without libraries."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return sorted(str(Path(file).absolute()) for file in files if file and not is_library(file))


class Imported:
    """For the loop that has started this process."""

    def __init__(self) -> None:
        self._for_pages: list[str] = []

    def pages_are_made(self) -> None:
        self._for_pages = imported()

    def keep(self) -> None:
        LOADED.write_text(json.dumps({"all": imported(), "pages": self._for_pages}))


def is_library(path: str) -> bool:
    """Whether it belongs to Python, or is installed: no developer saves that."""
    return path.endswith(".zip") or str(Path(path).absolute()).startswith(LIBRARIES)


def _stamp(path: Path) -> Stamp | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None
