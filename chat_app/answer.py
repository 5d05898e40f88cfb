"""An answer that belongs to no chat: what a reply source says to some messages, for as long as its reader stays."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from chat_app.parts import Part
from chat_app.reply import Piece, checked
from chat_app.turns.source import not_silent, own_faults, said_nothing

END = object()


async def pieces(
    source: AsyncGenerator[Any, None], first_token_timeout: float, next_token_timeout: float
) -> AsyncGenerator[Piece, None]:
    """What the source yields, checked; whole parts are passed over. Times are in seconds.

    Raises:
        ChatError: the source's own, or what it did wrong: it was silent too long, said nothing, or failed.
    """
    said = False
    async with aclosing(source):
        while True:
            with own_faults("a reply source"):
                async with not_silent(next_token_timeout if said else first_token_timeout):
                    given = await anext(source, END)
            if given is END:
                break
            for one in given if isinstance(given, list) else [given]:
                piece = checked(one)
                if piece is None or isinstance(piece, Part):
                    continue
                said = said or bool(piece.text or piece.reasoning)
                yield piece
    if not said:
        raise said_nothing()
