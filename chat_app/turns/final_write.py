"""The final write of a turn: its text and how it ended, once."""

import asyncio
import logging
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, StatementError

from chat_app.parts import columns
from chat_app.store.store import Store
from chat_app.turns.generation import Generation
from chat_app.turns.log import Ended

logger = logging.getLogger(__name__)

FINAL_WRITE_RETRIES_S = (0.1, 0.2, 0.5, 1, 2, 4, 8, 15)


async def save_end(store: Store, generation: Generation, ended: Ended) -> None:
    """Tried again for half a minute where the database is away."""
    values = columns(generation.parts()) | {
        "status": ended.status,
        "finish_reason": ended.finish_reason,
        "usage": ended.usage,
        "error": ended.error,
        "model": generation.model,
        "first_token_ms": generation.first_token_ms,
        "duration_ms": generation.elapsed_ms(),
    }
    for pause in FINAL_WRITE_RETRIES_S:
        try:
            return await store.end_turn(generation.reply.id, values)
        except Exception as problem:
            if is_refusal(problem):
                values = text_and_state(values)
            logger.warning("the end of turn %s is not saved yet", generation.reply.id, exc_info=True)
            await asyncio.sleep(pause)
    await store.end_turn(generation.reply.id, values)


def is_refusal(problem: Exception) -> bool:
    """Whether the database, or its driver, does not take the values: no wait helps then.

    The final write is then tried again with `text_and_state` alone: figures must not cost an answer its end.
    """
    away = isinstance(problem, (OperationalError, InterfaceError))
    return isinstance(problem, (StatementError, TypeError, ValueError, OverflowError)) and not away


def text_and_state(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("content", "reasoning", "parts", "status")}
