"""The final write of a turn: its text and how it ended, once."""

import asyncio
import logging
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, StatementError

from chat_app.log import Ended
from chat_app.parts import columns
from chat_app.run import Run
from chat_app.store import Store

logger = logging.getLogger(__name__)

FINAL_WRITE_RETRIES_S = (0.1, 0.2, 0.5, 1, 2, 4, 8, 15)


async def save_end(store: Store, run: Run, ended: Ended) -> None:
    """Tried again for half a minute where the database is away."""
    values = columns(run.parts()) | {
        "status": ended.status,
        "finish_reason": ended.finish_reason,
        "usage": ended.usage,
        "error": ended.error,
        "model": run.model,
        "first_token_ms": run.first_token_ms,
        "duration_ms": run.elapsed_ms(),
    }
    for pause in FINAL_WRITE_RETRIES_S:
        try:
            return await store.end_turn(run.reply.id, values)
        except Exception as problem:
            if is_refusal(problem):
                values = text_and_state(values)
            logger.warning("the end of turn %s is not saved yet", run.reply.id, exc_info=True)
            await asyncio.sleep(pause)
    await store.end_turn(run.reply.id, values)


def is_refusal(problem: Exception) -> bool:
    """Whether the database, or its driver, does not take the values: no wait helps then.

    The final write is then tried again with `text_and_state` alone: figures must not cost an answer its end.
    """
    away = isinstance(problem, (OperationalError, InterfaceError))
    return isinstance(problem, (StatementError, TypeError, ValueError, OverflowError)) and not away


def text_and_state(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("content", "reasoning", "parts", "status")}
