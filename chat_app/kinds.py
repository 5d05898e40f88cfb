"""The parts that an agent yields by name: `Reasoning`, `Step`, `Source`, `Suggestions`. Pure.

Each becomes a `Part` of its kind, and is checked then: `part()` raises ValueError or TypeError with what is wrong, so
that the sentence can name what was yielded, and from where.
"""

import json
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard
from urllib.parse import urlsplit

from chat_app.parts import REASONING, Part

STEP, SOURCE, SUGGESTIONS = "step", "source", "suggestions"
STATES = ("running", "done", "failed")
MAX_TITLE_CHARS = 300
MAX_DETAIL_CHARS = 20_000
"""Of a step's input and output; a longer one is cut, and says so: what a tool returned must not cost the answer."""
MAX_SNIPPET_CHARS = 2_000
MAX_URL_CHARS = 4_000
MOST_SUGGESTIONS = 8


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Some of what an agent thinks aloud: folded on the page, and no part of the answer's text."""

    text: str

    def part(self) -> Part:
        return Part(REASONING, self.text)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that an agent does on its way. Yield it when it begins, and `done()` or `failed()` of it at its end.

    `input` and `output` are text or anything that JSON can hold, shown when a person opens the step. `parent` is the
    step that this one belongs to. Steps with the same `id` are one step, and the last one yielded counts.
    """

    title: str
    state: Literal["running", "done", "failed"] = "running"
    input: Any = None
    output: Any = None
    parent: "Step | str | None" = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def done(self, output: Any = None) -> "Step":
        """The same step, which went well."""
        return replace(self, state="done", output=output)

    def failed(self, output: Any = None) -> "Step":
        """The same step, which did not."""
        return replace(self, state="failed", output=output)

    def part(self) -> Part:
        if self.state not in STATES:
            raise ValueError(f"its state is {self.state!r}; use {', '.join(STATES)}")
        parent = self.parent.id if isinstance(self.parent, Step) else self.parent
        data = {
            "id": _line(self.id, "id"),
            "title": _line(self.title, "title"),
            "state": self.state,
            "input": _detail(self.input),
            "output": _detail(self.output),
            "parent": None if parent is None else _line(parent, "parent"),
        }
        return Part(STEP, data={name: value for name, value in data.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Source:
    """What an answer rests on, listed below it. `url` is an http or https address, empty for what has none."""

    title: str
    url: str = ""
    snippet: str = ""

    def part(self) -> Part:
        data = {"title": _line(self.title, "title"), "url": web_address(self.url), "snippet": _snippet(self.snippet)}
        return Part(SOURCE, data={name: value for name, value in data.items() if value or name == "title"})


@dataclass(frozen=True, slots=True, init=False)
class Suggestions:
    """What a person may want to ask next, as buttons below the newest answer: `Suggestions("Why?", "Since when?")`."""

    texts: tuple[str, ...]

    def __init__(self, *texts: str) -> None:
        object.__setattr__(self, "texts", texts)

    def part(self) -> Part:
        if not 0 < len(self.texts) <= MOST_SUGGESTIONS:
            raise ValueError(f"there are {len(self.texts)} of them; give 1 to {MOST_SUGGESTIONS}")
        return Part(SUGGESTIONS, data={"texts": [_line(text, "text") for text in self.texts]})


Kind = Reasoning | Step | Source | Suggestions


def web_address(url: Any) -> str:
    """An address that a page may link to. Raises ValueError: anything but http and https, such as javascript:."""
    if url in ("", None):
        return ""
    if not isinstance(url, str):
        raise TypeError(f"its url is no text but {type(url).__name__}")
    if not is_web_address(url):
        raise ValueError(f"its url is {url[:100]!r}; give an http or https address, or none")
    return url


def is_web_address(url: Any) -> TypeGuard[str]:
    if not isinstance(url, str) or not url.isprintable() or " " in url or len(url) > MAX_URL_CHARS:
        return False
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    return address.scheme in ("http", "https") and bool(address.hostname)


def _line(text: Any, name: str) -> str:
    """One line of text, with its white space as single spaces."""
    if not isinstance(text, str):
        raise TypeError(f"its {name} is no text but {type(text).__name__}")
    line = " ".join(text.split())
    if not line:
        raise ValueError(f"its {name} is empty")
    if len(line) > MAX_TITLE_CHARS:
        raise ValueError(f"its {name} has {len(line):,} characters; at most {MAX_TITLE_CHARS} are allowed")
    return line


def _snippet(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"its snippet is no text but {type(text).__name__}")
    return text if len(text) <= MAX_SNIPPET_CHARS else text[: MAX_SNIPPET_CHARS - 1] + "…"


def _detail(value: Any) -> Any:
    """What a tool took or gave, whatever it is: JSON as it is, anything else as Python would print it, and bounded."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        value = text = repr(value)
    if len(text) <= MAX_DETAIL_CHARS:
        return value
    return f"{text[:MAX_DETAIL_CHARS]}… (cut; {len(text):,} characters in all)"
