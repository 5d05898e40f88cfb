"""Keeps a running turn's text saved: checkpoints while it grows, and the one final write."""

import asyncio
import logging
from contextlib import suppress

from chat_app.log import Ended
from chat_app.run import Run
from chat_app.store import Store

logger = logging.getLogger(__name__)

# Half of the second that the stored text may be behind; the other half is the write's.
CHECKPOINT_S = 0.5
CHECKPOINT_CHARS = 2_000
FINAL_WRITE_RETRIES_S = (0.1, 0.2, 0.5, 1, 2, 4, 8, 15)


class Saver:
    """Of one run. Times are in seconds."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._saved = run.seq
        self._much = asyncio.Event()
        self._saving: asyncio.Task[bool] | None = None

    def grown(self) -> None:
        """The run has a new delta."""
        if self._run.seq - self._saved >= CHECKPOINT_CHARS:
            self._much.set()

    async def keep_saved(self) -> None:
        """Until cancelled, beside the generation: a slow database must not slow a token down."""
        while True:
            # Not `wait_for`: Python 3.11's swallows a cancel that comes together with what is waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECKPOINT_S):
                    await self._much.wait()
            self._much.clear()
            if self._run.seq > self._saved:
                # Shielded: a cancelled statement costs its connection, and closing that may hang the end of the loop.
                self._saving = asyncio.create_task(self._checkpoint())
                if not await asyncio.shield(self._saving):
                    await asyncio.sleep(CHECKPOINT_S)

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
            except Exception:
                logger.warning("the end of turn %s is not saved yet", run.reply.id, exc_info=True)
                await asyncio.sleep(pause)
        await self._store.end_turn(run.reply.id, values)

    async def _checkpoint(self) -> bool:
        before, self._saved = self._saved, self._run.seq
        try:
            await self._store.checkpoint(self._run.reply.id, **self._run.content())
        except Exception:
            logger.warning("checkpoint of turn %s failed, will try again", self._run.reply.id, exc_info=True)
            self._saved = before
            return False
        return True
