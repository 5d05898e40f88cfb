"""What the production build of the page needs beyond Reflex's own."""

import re
from pathlib import Path
from typing import Any

from reflex.plugins import Plugin

# `chat_app/__main__.py` gives Reflex this address while it builds.
_HOST = "same-origin.invalid"
_BAKED = re.compile(r"`(?:http|ws)://same-origin\.invalid(/[^`]*)`")


class SameOriginPlugin(Plugin):
    """Lets one build serve on any host and port: Reflex bakes the server's address, port included, into the page."""

    def post_build(self, **context: Any) -> None:
        for file in (Path(context["static_dir"]) / "assets").glob("*.js"):
            text = file.read_text()
            if _HOST in text:
                file.write_text(_BAKED.sub(r'((globalThis.location?.origin??"http://localhost")+"\1")', text))
