"""What a page of one's own is built from, beside Reflex's components; public as `rill.pages`.

A state asks with `start` and reads with `follow`; `transcript` shows what was said, `token` is a colour of the theme.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal, TypedDict

import reflex as rx

from chat_app.turns.log import Delta, Ended
from chat_app.turns.turn import Turn
from chat_app.ui.elements import Markdown
from chat_app.ui.own import own_here

PAUSE_S = 0.1
"""Between two pieces of an answer: a state sends a var whole each time."""
TOKENS = (
    "background",
    "sidebar",
    "raised",
    "muted",
    "border",
    "input",
    "foreground",
    "muted-foreground",
    "primary",
    "on-primary",
    "accent-soft",
    "problem",
    "chart-2",
    "chart-3",
    "chart-4",
    "chart-5",
)
"""The theme's colours, those of BRAND in light and dark; each is a CSS variable."""


class Said(TypedDict):
    """A message of a `transcript`."""

    role: Literal["user", "assistant"]
    content: str


async def start(content: str, chat_id: str | None = None, metadata: dict[str, Any] | None = None) -> Turn:
    """Ask, in a new chat or in that one, for the one whose page it is. The answer is made and kept whether anybody
    follows it or not.

    Raises:
        ChatError: it was refused; the error is a sentence for the person. `TurnRunning`: the chat has a running turn.
    """
    return await own_here().turns.start(content, chat_id, metadata=metadata)


async def follow(turn: Turn) -> AsyncIterator[str]:
    """The text of its answer in pieces, ten a second at most, until it has ended; a late reader gets all at once.

    How it ended is said by `await turn.end()`.
    """
    async for batch in turn.batches():
        text = "".join(event.text for event in batch if isinstance(event, Delta) and event.kind == "text")
        if text:
            yield text
        if batch and not isinstance(batch[-1], Ended):
            await asyncio.sleep(PAUSE_S)


def transcript(said: rx.Var[list[Said]], growing: rx.Var[bool] | bool = False) -> rx.Component:
    """Messages as the chat shows them; `growing`: the last one is still being written."""

    def message(one: rx.Var[Said], index: rx.Var[int]) -> rx.Component:
        last = index == said.length() - 1
        return rx.el.div(
            rx.cond(
                one["role"] == "user",
                rx.el.article(
                    rx.el.div(one["content"], class_name="bubble", dir="auto"),
                    aria_label="You said",
                    class_name="question",
                ),
                rx.el.article(
                    Markdown.create(text=one["content"], growing=rx.Var.create(growing) & last),
                    aria_label="Assistant said",
                    class_name="answer",
                ),
            ),
            class_name="message",
            key=index,
        )

    return rx.el.div(
        rx.foreach(said, message), role="log", aria_label="Conversation", aria_live="off", class_name="transcript"
    )


def token(name: str) -> str:
    """A colour of the theme for a `style` or a chart, `var(--primary)` say. Raises ValueError: there is none."""
    if name not in TOKENS:
        raise ValueError(f"The theme has no colour {name!r}; it has {', '.join(TOKENS)}.")
    return f"var(--{name})"
