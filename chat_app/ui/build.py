"""What the production build of the page needs beyond Reflex's own."""

import re
from pathlib import Path
from typing import Any

from reflex.constants import Dirs
from reflex.plugins import Plugin, TailwindV4Plugin

# `chat_app/__main__.py` gives Reflex this address while it builds.
_BAKED = re.compile(r"`(?:http|ws)://same-origin\.invalid(/[^`]*)`")


class StylesPlugin(TailwindV4Plugin):
    """Tailwind, which looks for classes only where its configuration says.

    Else it reads all that is in the working folder, older builds too: that took most of a build, and what it took for
    classes there came into the style sheet.
    """

    def pre_compile(self, **context: Any) -> None:
        super().pre_compile(**context)
        context["add_modify_task"](f"{Dirs.STYLES}/tailwind.css", _listed_only)


def _listed_only(css: str) -> str:
    return css.replace("layer(utilities);", "layer(utilities) source(none);")


class SameOriginPlugin(Plugin):
    """Lets one build serve on any host and port: Reflex bakes the server's address, port included, into the page."""

    def post_build(self, **context: Any) -> None:
        rewrite_scripts(context["static_dir"], _BAKED, r'((globalThis.location?.origin??"http://localhost")+"\1")')


def rewrite_scripts(static_dir: str | Path, pattern: re.Pattern[str], by: str) -> None:
    """Replace what matches in all scripts of the built page, as `re.sub` does."""
    for file in (Path(static_dir) / "assets").glob("*.js"):
        text, found = pattern.subn(by, file.read_text())
        if found:
            file.write_text(text)
