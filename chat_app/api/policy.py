"""What a page of ours may do in the browser: the Content-Security-Policy of every response."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

# An answer holds what strangers wrote, and the address of a picture in it, or in one of its diagrams, could carry what
# was said to whoever serves it.
FETCHES = (
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; worker-src 'self' blob:; frame-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'"
)
# What Swagger UI's page begins with is in no file of the build; nothing that a stranger wrote is shown there.
REFERENCE = "/docs"
EMBED = ("/embed", "/embed/")
FILES = "/assets/"
INLINE = "inline_scripts"
"""In the scope of a request: hashes of the scripts in a page that is in no file of the build."""
_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


class Policy:
    """Of the pages in the folder `built`, which may be built anew meanwhile.

    Who may frame the chat to embed may not frame the page itself: a person could be led to click what they do not see.
    """

    def __init__(self, built: Path, framed_by: Sequence[str]) -> None:
        self._built = built
        self._embedded = "frame-ancestors " + " ".join(["'self'", *framed_by])
        self._known: tuple[float, str] | None = None

    def of(self, path: str, inline: Sequence[str] = ()) -> str:
        frames = self._embedded if path in EMBED else "frame-ancestors 'self'"
        return f"{frames}; script-src {self._sources(path, inline)}; {FETCHES}"

    def _sources(self, path: str, inline: Sequence[str]) -> str:
        # Nothing stands inline in a file of the build, and there are many of them. A worker is one.
        if path.startswith(FILES):
            return "'self'"
        if path.startswith(REFERENCE):
            return "'self' 'unsafe-inline'"
        scripts = " ".join([self._scripts(), *inline])
        # What a handler of Reflex's gives to `rx.call_script` is run by its client with `eval`.
        return scripts if path in EMBED else f"{scripts} 'unsafe-eval'"

    def _scripts(self) -> str:
        """Files of ours, and the scripts that stand in the built pages, known by their hashes."""
        changed = self._changed()
        if self._known is None or self._known[0] != changed:
            hashes = dict.fromkeys(
                known for page in sorted(self._built.glob("*.html")) for known in inline_hashes(page.read_text())
            )
            self._known = changed, " ".join(["'self'", *hashes])
        return self._known[1]

    def _changed(self) -> float:
        try:
            return (self._built / "index.html").stat().st_mtime
        except OSError:
            return 0.0


def inline_hashes(html: str) -> list[str]:
    return [_hash(found) for found in _INLINE.findall(html)]


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
