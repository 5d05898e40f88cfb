"""The reply seam: messages in, oldest first, an async generator of pieces out. The turn does not know who answers."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, get_args

from chat_app.errors import BadReply
from chat_app.finish import finish_reason
from chat_app.kinds import SOURCE, Kind, web_address
from chat_app.names import clean_name
from chat_app.parts import GROWING, REASONING, Part, whole
from chat_app.usage import clean_usage

PARTS = (Part, *get_args(Kind))
MAX_NAME_CHARS = 200
"""Of a model, and of a finish reason."""


# Not frozen, though nobody changes one: a frozen one takes ten times as long to make, and one is made for each token.
@dataclass(slots=True)
class Piece:
    """What a reply source yields: some text, some reasoning, or what it knows at the end.

    `recast` says that all text so far, its own too, was reasoning: of models that tell only where their thoughts end.
    """

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    recast: bool = False


def checked(given: Any) -> Piece | Part | None:
    """What a reply source yielded, as a piece that can be stored and sent; None: nothing, such as an empty text.

    Whoever wrote the source, nothing odd gets past here: what may be left out is left out.

    Raises:
        BadReply: it is no text and no piece, or the text in it is none.
    """
    if isinstance(given, str):
        return Piece(str(given)) if given else None
    if given is None:
        return None
    if isinstance(given, PARTS):
        return _part(given)
    if not isinstance(given, Piece):
        raise BadReply(f"REPLIES yielded {_kind(given)}; yield str or a part.")
    if _is_sane(given):
        return given
    return Piece(
        _text(given.text, "text"),
        _text(given.reasoning, "reasoning"),
        _reason(given.finish_reason),
        clean_usage(given.usage),
        _name(given.model),
        given.recast is True,
    )


def storable(text: str) -> str:
    """NUL and half a surrogate pair become U+FFFD: no database takes them, and the whole answer would stay unsaved."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _part(given: Part | Kind) -> Piece | Part:
    try:
        part = given if isinstance(given, Part) else given.part()
        if part.kind not in GROWING:
            if part.kind == SOURCE and isinstance(part.data, dict):
                # Whoever made it, a page will link to it.
                web_address(part.data.get("url"))
            return whole(part.kind, part.data)
    except (ValueError, TypeError, RecursionError) as problem:
        raise BadReply(f"REPLIES yielded {_kind(given)} that cannot be kept: {problem}.") from None
    text = _text(part.text, "text", type(given).__name__)
    return Piece(reasoning=text) if part.kind == REASONING else Piece(text)


def _is_sane(piece: Piece) -> bool:
    """The common case, a piece of text, without a copy."""
    return (
        type(piece.text) is str
        and type(piece.reasoning) is str
        and piece.usage is None
        and type(piece.recast) is bool
        and (piece.finish_reason is None or _reason(piece.finish_reason) == piece.finish_reason)
        and (piece.model is None or _name(piece.model) is piece.model)
    )


def _text(value: Any, field: str, of: str = "Piece") -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadReply(f"REPLIES yielded a {of} whose {field} is {_kind(value)}; give it a str.")
    return str(value)


def _name(value: Any) -> str | None:
    """A short printable name; anything else is none."""
    if type(value) is str and value.isprintable() and 0 < len(value) <= MAX_NAME_CHARS:
        return value
    if not isinstance(value, str):
        return None
    return "".join(char for char in clean_name(value[:MAX_NAME_CHARS]) if char.isprintable()).strip() or None


def _reason(value: Any) -> str | None:
    name = _name(value)
    return finish_reason(name) if name else None


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


ChatMessage = dict[str, str]
"""`{"role": "user" | "assistant" | "system", "content": str}`"""

Given = Piece | Part | Kind | str | list[Piece | Part | Kind | str]
"""What a reply source yields. A plain string is a piece of text, a `Part` one whole thing, such as a tool's call, and
`Step`, `Source` and the like are such things by name; a list is what came at once.
"""

Reply = Callable[..., AsyncGenerator[Any, None]]
"""A reply source: `reply(messages, **options)`, which yields `Given`.

A chat's own system prompt is the first message; its `model` and `temperature` are keyword arguments, given only where
they are set.
"""
