"""The reply seam: messages in, oldest first, an async generator of pieces out. The turn does not know who answers."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
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


ChatMessage = dict[str, str]
"""`{"role": "user" | "assistant" | "system", "content": str}`"""

Reply = Callable[..., AsyncGenerator[Piece | str, None]]
"""A reply source: `reply(messages, **options)`. A plain string is a piece of text.

A chat's own system prompt is the first message; its `model` and `temperature` are keyword arguments, given only where
they are set.
"""
