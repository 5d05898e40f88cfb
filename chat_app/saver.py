"""Keeps a running turn's text saved: checkpoints while it grows, and the one final write."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, StatementError

from chat_app.log import Ended
from chat_app.run import Run
from chat_app.store import Store

logger = logging.getLogger(__name__)

# The stored text is at most a second, and 2,000 characters, behind what readers have seen. A checkpoint begins early
# enough to be written by then; while one is not, nothing more is shown. What is left of the second is for the way.
CHECKPOINT_S = 0.25
CHECKPOINT_CHARS = 1_000
AHEAD_S = 0.75
AHEAD_CHARS = 2_000
# A database that does not even fail must not hold an answer back for good.
HOLD_S = 5.0
RETRY_S = 1.0
FINAL_WRITE_RETRIES_S = (0.1, 0.2, 0.5, 1, 2, 4, 8, 15)


class Saver:
    """Of one run. Times are in seconds."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._saved = run.seq
        # What is being written goes that far.
        self._begun = run.seq
        # Since when there is text that is not saved, and text that is not even being written.
        self._unsaved_since: float | None = None
        self._unbegun_since: float | None = None
        self._much = asyncio.Event()
        self._written = asyncio.Event()
        self._saving: asyncio.Task[bool] | None = None
        self._holding = True

    async def room(self, chars: int) -> None:
        """Wait while so much more text would take readers too far ahead of what is saved.

        Where the database fails or hangs, an answer goes on without, until it is back.
        """
        while self._holding and self._too_far(chars):
            self._much.set()
            written = self._written
            try:
                async with asyncio.timeout(HOLD_S):
                    await written.wait()
            except TimeoutError:
                logger.warning("a checkpoint of turn %s takes long; the answer goes on without", self._run.reply.id)
                self._holding = False

    def grown(self) -> None:
        """The run has a new delta."""
        if self._unbegun_since is None and self._run.seq > self._begun:
            self._unbegun_since = _now()
            self._unsaved_since = self._unsaved_since or self._unbegun_since
        if self._run.seq - self._begun >= CHECKPOINT_CHARS:
            self._much.set()

    async def keep_saved(self) -> None:
        """Until cancelled, beside the generation: a write that is in time must not slow a token down."""
        while True:
            # Not `wait_for`: Python 3.11's swallows a cancel that comes together with what is waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout_at((self._unsaved_since or _now()) + CHECKPOINT_S):
                    await self._much.wait()
            self._much.clear()
            if self._run.seq > self._saved:
                # Shielded: a cancelled statement costs its connection, and closing that may hang the end of the loop.
                self._saving = asyncio.create_task(self._checkpoint())
                if not await asyncio.shield(self._saving):
                    await asyncio.sleep(RETRY_S)

    async def end(self, ended: Ended) -> None:
        """The final write, after the last checkpoint; tried again for half a minute where the database is away."""
        if self._saving:
            await asyncio.wait({self._saving})
        run = self._run
        values = run.content() | {
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
                return await self._store.end_turn(run.reply.id, values)
            except Exception as problem:
                if is_refusal(problem):
                    values = text_and_state(values)
                logger.warning("the end of turn %s is not saved yet", run.reply.id, exc_info=True)
                await asyncio.sleep(pause)
        await self._store.end_turn(run.reply.id, values)

    def _too_far(self, chars: int) -> bool:
        ahead = self._run.seq - self._saved
        late = self._unsaved_since is not None and _now() - self._unsaved_since > AHEAD_S
        return ahead > 0 and (late or ahead + chars > AHEAD_CHARS)

    async def _checkpoint(self) -> bool:
        self._begun, self._unbegun_since = self._run.seq, None
        try:
            await self._store.checkpoint(self._run.reply.id, **self._run.content())
        except Exception:
            logger.warning("checkpoint of turn %s failed, will try again", self._run.reply.id, exc_info=True)
            self._begun, self._holding = self._saved, False
        else:
            self._saved, self._unsaved_since, self._holding = self._begun, self._unbegun_since, True
        self._written.set()
        self._written = asyncio.Event()
        return self._holding


def is_refusal(problem: Exception) -> bool:
    """Whether the database, or its driver, does not take the values: no wait helps then.

    The final write is then tried again with `text_and_state` alone: figures must not cost an answer its end.
    """
    away = isinstance(problem, (OperationalError, InterfaceError))
    return isinstance(problem, (StatementError, TypeError, ValueError, OverflowError)) and not away


def text_and_state(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("content", "reasoning", "status")}


def _now() -> float:
    return asyncio.get_running_loop().time()
