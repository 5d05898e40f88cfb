"""What a terminal is shown: text of a model's or a server's must not steer it. Pure: no I/O."""

import os
import re
from typing import Any

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


def part_line(kind: str, data: Any) -> str:
    """A step, a source or suggestions as one line; empty for what has no such line."""
    try:
        return _LINES[kind](data)
    except (KeyError, TypeError, AttributeError):
        # A kind that is not known, or somebody else's of the same name.
        return ""


def _step_line(step: dict[str, Any]) -> str:
    ends = {"done": " done", "failed": " failed"}
    return f"{'  ' if step.get('parent') else ''}{_one_line(step['title'])} …{ends.get(step.get('state', ''), '')}"


def _source_line(source: dict[str, Any]) -> str:
    url = source.get("url")
    return f"Source: {_one_line(source['title'])}" + (f" <{_one_line(url)}>" if url else "")


def _suggestions_line(suggestions: dict[str, Any]) -> str:
    return "Ask next: " + " | ".join(map(_one_line, suggestions["texts"]))


def _one_line(text: str) -> str:
    return " ".join(text.split())


_LINES = {"step": _step_line, "source": _source_line, "suggestions": _suggestions_line}


class Cleaner:
    """The same for text that comes in pieces: a line end in two of them is one."""

    def __init__(self) -> None:
        self._held = ""

    def __call__(self, text: str) -> str:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return clean(text.removesuffix("\r"))
