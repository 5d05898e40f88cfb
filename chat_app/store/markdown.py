"""A chat as Markdown, for people. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from chat_app.kinds import SOURCE, STEP, is_web_address
from chat_app.models import Chat, Message, Role
from chat_app.parts import REASONING, parts_of

_OUT_OF_LINKS = str.maketrans({"<": "%3C", ">": "%3E", "\\": "%5C"})
HEADINGS = {Role.user: "You", Role.assistant: "Assistant"}


def markdown(chat: Chat, path: Sequence[Message], reasoning: bool = False) -> str:
    """The shown path, each message under its role, its sources below it; with `reasoning` its thoughts and steps too,
    as quotes in their places."""
    texts = [f"# {chat.title}"]
    for message in path:
        texts += [f"## {HEADINGS[Role(message.role)]}", *(_thoughtful(message) if reasoning else [message.content])]
        texts.append(_sources(message))
    return "\n\n".join(text.strip() for text in texts if text.strip()) + "\n"


def _thoughtful(message: Message) -> Iterator[str]:
    for part in parts_of(message):
        if part.kind == REASONING:
            heading = f"**Thought for {duration(part.ms)}**" if part.ms is not None else "**Thoughts**"
            yield "\n".join(f"> {line}".rstrip() for line in (heading, "", *part.text.strip().splitlines()))
        elif part.kind == STEP and (line := _step_line(part.data or {})):
            yield line
        else:
            yield part.text


def _step_line(step: dict[str, Any]) -> str:
    """How a step ended; that it began says nothing more."""
    title, state = step.get("title"), step.get("state", "done")
    return f"> {_plain(title)} … {state}" if isinstance(title, str) and state in ("done", "failed") else ""


def _sources(message: Message) -> str:
    found = [part.data or {} for part in parts_of(message) if part.kind == SOURCE]
    links = dict.fromkeys(_link(source) for source in found if isinstance(source.get("title"), str))
    return "\n".join(["Sources:", "", *(f"{number}. {link}" for number, link in enumerate(links, 1))]) if links else ""


def _link(source: dict[str, Any]) -> str:
    title, url = _plain(source["title"]), source.get("url")
    return f"[{title}](<{url.translate(_OUT_OF_LINKS)}>)" if is_web_address(url) else title


def _plain(text: str) -> str:
    """A line that Markdown takes for nothing but text."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", " ".join(text.split()))


def duration(ms: int) -> str:
    """As the page says it."""
    seconds = max(round(ms / 1000), 1)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"
