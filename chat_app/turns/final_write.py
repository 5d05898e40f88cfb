"""The final write of a turn: its text and how it ended, once."""

import asyncio
import logging
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, StatementError

from chat_app import logs
from chat_app.errors import ChatError, DatabaseUnavailable
from chat_app.models import Status
from chat_app.parts import columns
from chat_app.store.store import Store
from chat_app.turns.generation import Generation
from chat_app.turns.log import Ended

logger = logging.getLogger(__name__)

FINAL_WRITE_RETRIES_S = (0.1, 0.2, 0.5, 1, 2, 4, 8, 15)
LONGEST_PAUSE_S = 5.0
# Waiting does not help against a refusal; some, such as a deadlock's, are over at the next try.
MOST_REFUSALS = 4


async def save_end(
    store: Store, generation: Generation, ended: Ended, hurried: Callable[[], bool] = lambda: False
) -> None:
    """Tried again until it is done where the database is away, or for half a minute if `hurried`. What it refuses is
    tried some times more with the least that there is to save."""
    values = columns(generation.parts()) | {
        "status": ended.status,
        "finish_reason": ended.finish_reason,
        "usage": ended.usage,
        "error": ended.error,
        "model": generation.model,
        "first_token_ms": generation.first_token_ms,
        "duration_ms": generation.elapsed_ms(),
    }
    refusals = 0
    for count, pause in enumerate(chain(FINAL_WRITE_RETRIES_S, repeat(LONGEST_PAUSE_S))):
        try:
            return await store.end_turn(generation.reply.id, values)
        except Exception as problem:
            away, refused = isinstance(problem, DatabaseUnavailable), is_refusal(problem)
            refusals += refused
            late = count >= len(FINAL_WRITE_RETRIES_S) and (hurried() or not away)
            if late or refusals == MOST_REFUSALS:
                raise
            if refused:
                values = text_and_state(values)
            if not away:
                logger.warning("the end of turn %s is not saved yet", generation.reply.id, exc_info=True)
            await asyncio.sleep(pause)


async def give_up(store: Store, generation: Generation, ended: Ended) -> None:
    """Of an end that cannot be saved: keep all text, and call the turn interrupted, with the error that readers get.

    Where not even that is taken, it is done when somebody asks for more in that chat, or at the next start.
    """
    try:
        if rows := generation.page.take():
            await store.add_rows(rows)
        await store.interrupt(generation.reply.id, ended.error)
    except Exception:
        logger.exception("turn %s is still called running in the database", generation.reply.id)


def tell_end(generation: Generation, ended: Ended, error: ChatError | None) -> None:
    """The turn's line in the log."""
    usage = ended.usage or {}
    failed = ended.status is Status.failed
    logs.event(
        "turn ended",
        level=logging.WARNING if failed else logging.INFO,
        turn=generation.reply.id,
        chat=generation.reply.chat_id,
        state=ended.status.value,
        finish_reason=ended.finish_reason,
        code=ended.error["code"] if ended.error else None,
        provider_status=error.provider_status if error else None,
        model=generation.model,
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        first_token_ms=generation.first_token_ms,
        duration_ms=generation.elapsed_ms(),
    )


def is_refusal(problem: Exception) -> bool:
    """Whether the database, or its driver, does not take the values: no wait helps then.

    The final write is then tried again with `text_and_state` alone: figures must not cost an answer its end.
    """
    away = isinstance(problem, (OperationalError, InterfaceError))
    return isinstance(problem, (StatementError, TypeError, ValueError, OverflowError)) and not away


def text_and_state(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("content", "reasoning", "parts", "status")}


def tell_fault(generation: Generation, reason: str, at: str) -> None:
    """What a reply source does wrong, and where it is."""
    logs.event(
        "reply refused", level=logging.ERROR, same_as=reason + at, turn=generation.reply.id, reason=reason, at=at
    )
