"""Runs the functions that HOOKS registers, so that a slow one delays nobody: plain ones in a thread, async ones in the
loop, and those that are told of turns one after the other behind the turns."""

import asyncio
import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from chat_app.agent import Worker, innermost, name_of
from chat_app.models import Message
from chat_app.turns.turn import Turn

logger = logging.getLogger(__name__)

HOOK_S = 30.0
"""How long one call may take."""
DRAIN_S = 5.0
"""How long the server waits for them when it ends."""
MOST_WAITING = 100_000


async def call(hook: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns. Raises TimeoutError: it took too long; a plain function is then left behind in its thread."""
    worker = Worker(name_of(hook))
    try:
        async with asyncio.timeout(HOOK_S):
            work = functools.partial(hook, *arguments)
            result = work() if _is_async(hook) else await worker.run(work)
            return await result if inspect.isawaitable(result) else result
    finally:
        worker.close(None)


def _is_async(hook: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(innermost(hook))


class Told:
    """The hooks that are told of turns: each call in its order, one at a time, with copies."""

    def __init__(self) -> None:
        self._outside = False
        self._calls: asyncio.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = asyncio.Queue()
        self._calling: asyncio.Task[None] | None = None
        self._late = False

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Within the block, hooks are not the app's own."""
        self._outside = True
        try:
            yield
        finally:
            self._outside = False

    def apart(self, hook: Callable[..., Any]) -> Callable[..., None]:
        """What calls the hook when it is its turn; one of the app's own stays as it is."""
        return functools.partial(self._tell, hook) if self._outside or _is_async(hook) else hook

    async def close(self) -> None:
        """Let the hooks have what is waiting, for a while."""
        if self._calling:
            calls = asyncio.create_task(self._calls.join())
            await asyncio.wait({calls}, timeout=DRAIN_S)
            for task in (calls, self._calling):
                task.cancel()
            await asyncio.wait({calls, self._calling})

    def _tell(self, hook: Callable[..., Any], turn: Turn, *event: Any) -> None:
        if self._calls.qsize() >= MOST_WAITING:
            if not self._late:
                logger.error("hooks are too slow: they miss some of what happens. The next is %s", name_of(hook))
            self._late = True
            return
        self._late = False
        self._calls.put_nowait((hook, (_copied(turn), *map(copy.deepcopy, event))))
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_all(), name="hooks")

    async def _call_all(self) -> None:
        while True:
            hook, arguments = await self._calls.get()
            try:
                await call(hook, *arguments)
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
                logger.exception("a callback of turn %s failed: %s", arguments[0].id, name_of(hook))
            except BaseException:
                # SystemExit would end the event loop.
                logger.exception("a callback of turn %s failed: %s", arguments[0].id, name_of(hook))
            finally:
                self._calls.task_done()


def _copied(turn: Turn) -> Turn:
    return replace(turn, user=Message(**turn.user.model_dump()), reply=Message(**turn.reply.model_dump()))
