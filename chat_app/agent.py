"""Somebody's function as a reply source, whatever kind of function it is, and however it behaves.

What is `async` runs in the event loop; what is not runs in a thread of the answer's own, so that it may block. Which
function it is, `extend` finds out; what comes out of it is checked in `reply`.
"""

import asyncio
import functools
import inspect
import logging
import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any

from chat_app.reply import Reply

logger = logging.getLogger(__name__)

_END = object()
_in_agent = ContextVar("in_agent", default=False)

Work = Callable[[], Any]


def reply_of(function: Callable[..., Any]) -> Reply:
    """The reply seam on a function of the messages and of some options: a plain or an async one, a generator or not."""
    kind = innermost(function)
    is_async = inspect.isasyncgenfunction(kind) or inspect.iscoroutinefunction(kind)

    @functools.wraps(function)
    def reply(messages: Any, **options: Any) -> AsyncGenerator[Any, None]:
        # In the context of the task that reads it, and so of all tasks that it begins.
        _in_agent.set(True)
        call = functools.partial(function, messages, **options)
        if inspect.isasyncgenfunction(kind):
            generator: AsyncGenerator[Any, None] = call()
            return generator
        return _read(call, is_async, name_of(function))

    return reply


def innermost(function: Any) -> Any:
    """The function below partials and decorators; that of an object that can be called."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not inspect.isroutine(function) and not inspect.isclass(function) and callable(function):
            function = function.__call__
        else:
            return function


def name_of(function: Any) -> str:
    kind = innermost(function)
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', type(function).__qualname__)}"


async def _read(call: Work, is_async: bool, name: str) -> AsyncGenerator[Any, None]:
    worker = Worker(name)
    result: Any = None
    try:
        result = call() if is_async else await worker.run(call)
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):
            async for given in result:
                yield given
        elif isinstance(result, Iterator):
            while (given := await worker.run(functools.partial(next, result, _END))) is not _END:
                yield given
        else:
            yield result
    finally:
        if hasattr(result, "aclose"):
            await result.aclose()
        worker.close(getattr(result, "close", None) if isinstance(result, Iterator) else None)


class Worker:
    """A thread for one answer, begun when it is needed: a daemon, or code that never returns would keep the app up."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: Work | None = None
        self._busy = False
        self._process = os.getpid()

    async def run(self, work: Work) -> Any:
        """What `work` returns or raises, there."""
        if self._thread is None:
            context = copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._serve,), name=self._name, daemon=True)
            self._thread.start()
        done = self._loop.create_future()
        self._busy = True
        self._orders.put((work, done))
        result = await done
        self._busy = False
        return result

    def close(self, last: Work | None) -> None:
        """Let the thread end, when it comes back, with a call of `last`."""
        if self._thread and self._busy and self._thread.is_alive():
            frame = sys._current_frames().get(self._thread.ident or 0)
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "its start"
            logger.warning("%s is left behind in its thread: its answer has ended, and it is at %s", self._name, where)
        self._last = last
        self._orders.put(None)

    def _serve(self) -> None:
        while order := self._orders.get():
            work, done = order
            result: Any = None
            problem: BaseException | None = None
            try:
                result = work()
            except StopIteration as error:
                # No future takes that one.
                problem = RuntimeError(f"{self._name} raised StopIteration")
                problem.__cause__ = error
            except BaseException as error:
                problem = error
            if os.getpid() != self._process:
                _end_fork()
            # The loop may be closed by now.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, done, result, problem)
        if self._last:
            try:
                self._last()
            except BaseException:
                logger.exception("%s failed while it was closed", self._name)


def _settle(done: "asyncio.Future[Any]", result: Any, problem: BaseException | None) -> None:
    if done.done():
        return
    if problem is None:
        done.set_result(result)
    else:
        done.set_exception(problem)


_loops: "weakref.WeakSet[asyncio.AbstractEventLoop]" = weakref.WeakSet()


def contain_forks(loop: asyncio.AbstractEventLoop) -> None:
    """A process that an agent forks ends as soon as it comes back to the loop: it would go on as a second server, with
    the connections and the database of this one. One that ends by itself, as `multiprocessing` does, is let be."""
    _loops.add(loop)


def _in_fork() -> None:
    for loop in list(_loops):
        if not loop.is_closed():
            loop.call_soon(_end_fork)


def _end_fork() -> None:
    logger.error("an agent forked this process, which came back to the server's work and is ended: use subprocess")
    os._exit(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)


def contain_exits(loop: asyncio.AbstractEventLoop) -> None:
    """`sys.exit()` in a task ends the event loop: in those that an agent begins, for its tools say, it is an error."""
    before = loop.get_task_factory()
    if isinstance(before, _Containing):
        return
    loop.set_task_factory(_Containing(before))


class _Containing:
    """A task factory, after the one that was there before."""

    def __init__(self, before: Any) -> None:
        self._make = before or (lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **options))

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if not _in_agent.get():
            return self._make(loop, coroutine, **options)
        task = self._make(loop, _contained(coroutine), **options)
        # Of a task that was cancelled before its first step, Python would say that nobody awaited what is in it.
        task.add_done_callback(lambda _: coroutine.close())
        return task


def _contained(awaitable: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    async def contained() -> Any:
        try:
            return await awaitable
        except (SystemExit, KeyboardInterrupt) as problem:
            raise RuntimeError(f"a task of the agent's raised {problem!r}") from problem

    return contained()
