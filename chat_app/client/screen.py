"""What a terminal is shown: text of a model's or a server's must not steer it. Pure: no I/O."""

import os
import re

# Sequences could move the cursor, rename the window, or fill the keyboard's buffer: each begins with one of these.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufff9-\ufffb]")
# Overrides and isolates let text be read in another order than it has.
DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u206f]")


def clean(text: str) -> str:
    """Line feeds and tabs stay, another control character becomes U+FFFD, what turns the direction of text goes."""
    return DIRECTIONS.sub("", CONTROLS.sub("\ufffd", text.replace("\r\n", "\n")))


def dim(text: str) -> str:
    """For a terminal that can show it so."""
    if not text or os.environ.get("TERM", "dumb") == "dumb":
        return text
    return f"\x1b[2m{text}\x1b[22m"


class Cleaner:
    """The same for text that comes in pieces: a line end in two of them is one."""

    def __init__(self) -> None:
        self._held = ""

    def __call__(self, text: str) -> str:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return clean(text.removesuffix("\r"))
