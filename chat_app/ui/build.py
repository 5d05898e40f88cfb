"""What the production build of the page needs beyond Reflex's own."""

import re
from pathlib import Path
from typing import Any

from reflex.plugins import Plugin

# `chat_app/__main__.py` gives Reflex this address while it builds.
_BAKED = re.compile(r"`(?:http|ws)://same-origin\.invalid(/[^`]*)`")


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
