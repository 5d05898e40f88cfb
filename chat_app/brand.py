"""BRAND: what the app is called and how it looks, from a TOML file of whoever runs it."""

import functools
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from chat_app.config import load_settings
from chat_app.errors import SettingsError

CONTRAST = 4.5
"""WCAG 2's least for text."""
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")
]
Colour = Annotated[str, StringConstraints(pattern=r"^#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")]
GROUNDS = ("background", "sidebar", "muted")
TEXTS = ("foreground", "muted-foreground", "primary")


class Colours(BaseModel):
    """Of a theme, as `#rrggbb`; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"))

    background: Colour | None = None
    sidebar: Colour | None = None
    muted: Colour | None = None
    border: Colour | None = None
    foreground: Colour | None = None
    muted_foreground: Colour | None = None
    primary: Colour | None = None

    @property
    def set(self) -> dict[str, str]:
        return {name: value for name, value in self.model_dump(by_alias=True).items() if value}


# Those of assets/chat.css, for the contrast of what is set against what is not.
LIGHT = Colours.model_validate(
    {
        "background": "#fff",
        "sidebar": "#f7f7f6",
        "muted": "#f3f3f1",
        "border": "#e4e4e0",
        "foreground": "#1f1f1d",
        "muted-foreground": "#666661",
        "primary": "#0b6f6a",
    }
)
DARK = Colours.model_validate(
    {
        "background": "#191918",
        "sidebar": "#131312",
        "muted": "#262625",
        "border": "#343432",
        "foreground": "#ecece8",
        "muted-foreground": "#a3a39c",
        "primary": "#4fc4b8",
    }
)


class Brand(BaseModel):
    """What the file may hold; `logo`, `icon` and the folder `assets` are named from where the file is.

    `language` is a tag such as `de` or `pt-BR`, for dates; without it they are the reader's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Line = "Rill"
    welcome: Line = "Ask something. The answer flows in as it is written, and stays."
    suggestions: Annotated[tuple[Line, ...], Field(max_length=8)] = (
        "Why is the sky blue?",
        "Write a short poem about rain.",
        "Explain photosynthesis to a child.",
        "Give me three tips for a good night's sleep.",
    )
    footer: Line | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*$")] | None = None
    logo: Path | None = None
    icon: Path | None = None
    assets: Path | None = None
    light: Colours = Colours()
    dark: Colours = Colours()
    file: Path | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for theme, own, standard in (("light", self.light, LIGHT), ("dark", self.dark, DARK)):
            if problem := unreadable(own.set, standard.set):
                raise ValueError(f"in {theme}, {problem}")
        return self

    @property
    def css(self) -> str:
        """The colours, above those of chat.css, on screens: paper stays black and white."""
        rules = [_rule(":root:root", self.light.set, LIGHT.set), _rule(".dark.dark", self.dark.set, DARK.set)]
        return "@media screen {\n" + "".join(rules) + "}\n"


def load_brand(file: Path | None) -> Brand:
    """The brand in a file; without one, the app's own. Raises SettingsError: one sentence with what is wrong."""
    if file is None:
        return Brand()
    try:
        brand = Brand.model_validate(tomllib.loads(file.read_text("utf-8")) | {"file": file})
    except FileNotFoundError:
        raise _unfit(file, "there is no such file") from None
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as problem:
        raise _unfit(file, f"it cannot be read: {problem}") from None
    except ValidationError as error:
        raise _unfit(file, _first(error)) from None
    folder = file.resolve().parent
    found = {
        name: _found(file, name, folder / path) for name in ("logo", "icon", "assets") if (path := getattr(brand, name))
    }
    return brand.model_copy(update=found)


@functools.cache
def brand() -> Brand:
    """The one that the settings name."""
    return load_brand(load_settings().brand)


def unreadable(own: dict[str, str], standard: dict[str, str]) -> str:
    """Which text could hardly be read on what it stands, if a colour of one's own is to blame; else empty."""
    colours = standard | own
    for text in TEXTS:
        for ground in GROUNDS:
            if own.keys() & {text, ground} and (ratio := contrast(colours[text], colours[ground])) < CONTRAST:
                return (
                    f"{text} {colours[text]} on {ground} {colours[ground]} has a contrast of {ratio:.1f} : 1, and text "
                    f"needs {CONTRAST} : 1; take colours that are further apart"
                )
    return ""


def contrast(one: str, other: str) -> float:
    """WCAG 2's, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rule(selector: str, own: dict[str, str], standard: dict[str, str]) -> str:
    more = dict(own)
    if primary := own.get("primary"):
        more["on-primary"] = max("#fff", "#000", key=lambda colour: contrast(colour, primary))
        more["accent-soft"] = f"color-mix(in srgb, {primary} 13%, transparent)"
    return f"{selector} {{ {' '.join(f'--{name}: {value};' for name, value in more.items())} }}\n" if more else ""


def _found(file: Path, name: str, path: Path) -> Path:
    if not (path.is_dir() if name == "assets" else path.is_file()):
        raise _unfit(file, f"its {name} is {path}, and there is no such {'folder' if name == 'assets' else 'file'}")
    return path


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"it has no {where}; there are {', '.join(name for name in Brand.model_fields if name != 'file')}"
    reason = re.sub("^Value error, ", "", first["msg"])
    return f"{where}: {reason}" if where else reason


def _unfit(file: Path, reason: Any) -> SettingsError:
    return SettingsError(f"The setting BRAND={file} cannot be used: {reason}.")
