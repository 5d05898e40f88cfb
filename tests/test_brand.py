"""BRAND: what its file may hold, and what is said of a wrong one."""

import re
from pathlib import Path

import pytest

from chat_app import brand as brands
from chat_app.api import brand as routes
from chat_app.brand import DARK, LIGHT, Brand, contrast, load_brand, unreadable
from chat_app.config import ROOT, load_settings
from chat_app.errors import NotFound, SettingsError

pytestmark = pytest.mark.anyio

ACME = ROOT / "tests" / "examples" / "acme" / "brand.toml"


def written(folder: Path, text: str) -> Path:
    file = folder / "brand.toml"
    file.write_text(text)
    return file


def test_without_one_the_app_is_rill() -> None:
    brand = load_brand(None)
    assert (brand.name, brand.file, len(brand.suggestions)) == ("Rill", None, 4)
    assert load_settings({"BRAND": ""}).brand is None
    assert load_settings({"BRAND": "acme/brand.toml"}).brand == Path("acme/brand.toml")


def test_the_example_has_it_all() -> None:
    brand = load_brand(ACME)
    assert (brand.name, brand.language, brand.suggestions) == ("Acme", "de", ("How many holidays do I have?",))
    assert brand.logo and brand.logo.is_file() and brand.assets and brand.assets.is_dir()
    assert "@media screen" in brand.css
    assert re.search(r":root:root { --primary: #7a1fa2; --on-primary: #fff; .*}", brand.css)
    assert re.search(r"\.dark\.dark { --primary: #d9a3f0; --on-primary: #000; .*}", brand.css)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "it cannot be read: "),
        ('nmae = "A"', "it has no nmae; there are name, welcome, suggestions, footer, language"),
        ('name = ""', "name: String should have at least 1 character"),
        ("name = 5", "name: "),
        ('name = "a\\nb"', "name: "),
        ('logo = "no.svg"', "no.svg, and there is no such file"),
        ('assets = "brand.toml"', "and there is no such folder"),
        ('language = "german language"', "language: "),
        ('[light]\nprimary = "blue"', "light.primary: "),
        ('[light]\naccent = "#000"', "it has no light.accent"),
        ('[light]\nprimary = "#ff0"', "in light, primary #ff0 on background #fff has a contrast of 1.1 : 1, and text"),
        ('[dark]\nforeground = "#333333"', "in dark, foreground #333333 on background #191918 has a contrast of "),
        ('[light]\nsidebar = "#000"', "in light, foreground #1f1f1d on sidebar #000 has a contrast of "),
    ],
)
def test_a_wrong_one_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_brand(file)
    assert caught.value.message.startswith(f"The setting BRAND={file} cannot be used: ")
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message.removesuffix("\n") or "cannot be read" in sentence


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"brand\.toml cannot be used: there is no such file\."):
        load_brand(tmp_path / "brand.toml")


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.478, abs=0.001)
    assert unreadable({}, LIGHT.set) == unreadable({}, DARK.set) == ""


def test_the_standard_colours_are_those_of_the_page() -> None:
    css = (ROOT / "assets" / "chat.css").read_text()
    for selector, colours in ((":root", LIGHT), (".dark", DARK)):
        rules = css[css.index(f"\n{selector} {{") :].partition("}")[0]
        for name, value in colours.set.items():
            assert f"--{name}: {value};" in rules


async def test_its_files_are_served_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "brand", lambda: load_brand(ACME))
    logo = await routes.logo()
    assert Path(logo.path).name == "logo.svg"
    assert Path((await routes.asset("paper.svg")).path).name == "paper.svg"
    assert b"--primary: #7a1fa2" in (await routes.colours()).body
    for path in ("../brand.toml", "..", "", "no.svg", "a\0b", "/etc/passwd"):
        with pytest.raises(NotFound):
            await routes.asset(path)
    monkeypatch.setattr(routes, "brand", Brand)
    with pytest.raises(NotFound):
        await routes.icon()
    assert brands.Brand().css == "@media screen {\n}\n"
