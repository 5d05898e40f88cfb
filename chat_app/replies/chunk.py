"""What one JSON object of a provider says, whatever is in it: any field may have any type, or be missing. Pure."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from chat_app import finish
from chat_app.reply import Piece
from chat_app.usage import clean_usage

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Servers that send several of them send the same text in each: the first that has some is taken."""
REASONING_PARTS = ("thinking", "reasoning", "reasoning.text", "reasoning.summary", "summary_text")
TEXT_PARTS = ("text", "output_text", "refusal")
PART_FIELDS = {
    "text": ("text", "refusal", "content"),
    "reasoning": ("thinking", "text", "summary", "reasoning", "content"),
}
MAX_DEPTH = 4
NO_REASON = ("", "null", "none", "None")

Said = tuple[str, str]
"""`("text" | "reasoning", what)`"""


class SurrogateJoiner:
    """Joins a character whose two JSON escapes (`\\ud83d` `\\ude00`) came in two chunks; half a one becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")

    def __call__(self, text: str) -> str:
        if not text or (text.isascii() and not self._decoder.getstate()[0]):
            return text
        return self._decoder.decode(text.encode("utf-16-le", "surrogatepass"))


class ChunkReader:
    """Makes pieces of one answer's chunks, or of its whole completion."""

    def __init__(self) -> None:
        self._joiners = {"text": SurrogateJoiner(), "reasoning": SurrogateJoiner()}
        self._by_deltas = False

    def pieces(self, chunk: dict[str, Any]) -> list[Piece]:
        """In their order: one, unless text and reasoning alternate within the chunk."""
        choice = first_choice(chunk)
        reason = choice.get("finish_reason")
        usage = chunk.get("usage")
        if usage is None and reason is not None:
            usage = _usage_elsewhere(chunk, choice)
        model = chunk.get("model")
        end = Piece(
            finish_reason=None if reason is None else finish_reason(choice),
            usage=None if usage is None else clean_usage(usage),
            model=model if type(model) is str and model else None,
        )
        said = [(kind, text) for kind, raw in self._new(choice) if (text := self._joiners[kind](raw))]
        match said:
            case []:
                return [end]
            case [("text", text)]:
                return [Piece(text, "", end.finish_reason, end.usage, end.model)]
        *before, last = _merged(said)
        return [*before, replace(end, text=last.text, reasoning=last.reasoning)]

    def _new(self, choice: dict[str, Any]) -> list[Said]:
        """Some repeat it all in a `message` at the end."""
        if isinstance(choice.get("delta"), dict):
            said = _said(choice)
            self._by_deltas = self._by_deltas or bool(said)
            return said
        return [] if self._by_deltas and "message" in choice else _said(choice)


def first_choice(chunk: dict[str, Any]) -> dict[str, Any]:
    """The choice of index 0, or the first without a sane index: others are other answers (`n` > 1). Else empty."""
    choices = chunk.get("choices")
    if type(choices) is list and len(choices) == 1 and type(choices[0]) is dict and choices[0].get("index") == 0:
        only: dict[str, Any] = choices[0]
        return only
    for choice in choices if isinstance(choices, list) else (choices,):
        if isinstance(choice, dict):
            index = choice.get("index")
            if not isinstance(index, int) or index == 0:
                return choice
    return {}


def finish_reason(choice: dict[str, Any]) -> str | None:
    """In OpenAI's words; None where the answer goes on, which some servers write as an empty text."""
    reason = choice.get("finish_reason")
    return finish.finish_reason(reason) if isinstance(reason, str) and reason.strip() not in NO_REASON else None


def _usage_elsewhere(chunk: dict[str, Any], choice: dict[str, Any]) -> Any:
    """Moonshot puts it into the choice, Groq into a field of its own."""
    groq = chunk.get("x_groq")
    return choice.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)


def message_in(chunk: dict[str, Any]) -> dict[str, Any]:
    """The delta, or the message that some send in its place; empty where there is none."""
    choice = first_choice(chunk)
    delta = choice.get("delta")
    message = delta if isinstance(delta, dict) else choice.get("message")
    return message if isinstance(message, dict) else {}


def says(chunk: dict[str, Any]) -> bool:
    """Whether there is text or reasoning in it."""
    return any(text for _, text in _said(first_choice(chunk)))


def completion_text(completion: Any) -> str:
    """The text of a whole completion, without its reasoning; empty if it has none."""
    choice = first_choice(completion) if isinstance(completion, dict) else {}
    return "".join(text for kind, text in _said(choice) if kind == "text")


def _said(choice: dict[str, Any]) -> list[Said]:
    delta = choice.get("delta")
    if isinstance(delta, dict):
        content = delta.get("content")
        # The common case, a token of text and nothing else, without a detour.
        if type(content) is str and len(delta) == 1:
            return [("text", content)]
        return _of_message(delta)
    if isinstance(delta, str):
        return [("text", delta)]
    message = choice.get("message")
    if isinstance(message, dict):
        return _of_message(message)
    # Of the old completions, without a chat.
    text = choice.get("text")
    return [("text", text)] if isinstance(text, str) else []


def _of_message(message: dict[str, Any]) -> list[Said]:
    fields = (message.get(name) for name in REASONING_FIELDS)
    thoughts = next((said for field in fields if field and (said := _thoughts(field))), [])
    return [*thoughts, *_parts(message.get("content"), "text"), *_parts(message.get("refusal"), "text")]


def _thoughts(field: Any) -> list[Said]:
    return [("reasoning", text) for _, text in _parts(field, "reasoning") if text]


def _parts(content: Any, kind: str, depth: int = 0) -> list[Said]:
    """Text, a part, or a list of parts; unknown ones are passed over."""
    if isinstance(content, str):
        return [(kind, content)]
    if depth < MAX_DEPTH and isinstance(content, list):
        return [said for part in content for said in _parts(part, kind, depth + 1)]
    return list(_of_part(content, kind, depth)) if isinstance(content, dict) else []


def _of_part(part: dict[str, Any], kind: str, depth: int) -> Iterator[Said]:
    of = part.get("type")
    if of in REASONING_PARTS or (of is None and "thinking" in part):
        kind = "reasoning"
    elif of is not None and of not in TEXT_PARTS:
        return
    names = PART_FIELDS[kind]
    field = next((part[name] for name in names if part.get(name)), None)
    if depth < MAX_DEPTH:
        yield from _parts(field, kind, depth + 1)


def _merged(said: Sequence[Said]) -> list[Piece]:
    """As few pieces as keep the order; within a piece, reasoning comes before the text."""
    pieces: list[Piece] = []
    for kind, text in said:
        last = pieces[-1] if pieces else None
        if last and (kind == "text" or not last.text):
            pieces.pop()
        else:
            last = Piece()
        pieces.append(
            Piece(last.text + text, last.reasoning) if kind == "text" else Piece(last.text, last.reasoning + text)
        )
    return pieces
