"""An answer that belongs to no chat: what a reply source says to some messages, for as long as its reader stays."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from chat_app.errors import ChatError, InternalError, NoAnswer, ProviderSilent
from chat_app.parts import Part
from chat_app.reply import Piece, checked

logger = logging.getLogger(__name__)


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
            try:
                async with asyncio.timeout(next_token_timeout if said else first_token_timeout) as limit:
                    given = await anext(source)
            except StopAsyncIteration:
                break
            except TimeoutError as problem:
                if limit.expired():
                    raise ProviderSilent("The model was silent for too long. Try again later.") from None
                raise _failed() from problem
            except (ChatError, asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as problem:
                # SystemExit, too, is the source's own: it would end the server.
                raise _failed() from problem
            for one in given if isinstance(given, list) else [given]:
                piece = checked(one)
                if piece is None or isinstance(piece, Part):
                    continue
                said = said or bool(piece.text or piece.reasoning)
                yield piece
    if not said:
        raise NoAnswer("The answer came out empty. Try again.")


def _failed() -> InternalError:
    logger.exception("a reply source failed")
    return InternalError()
