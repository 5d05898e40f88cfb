"""The same client for code without `await`: in a script, a thread, or a notebook's cell.

Its connections live in an event loop of their own, in a thread beside; so it may be used from any thread, also from
within a running event loop.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from .chat_client import ChatClient

P = ParamSpec("P")
T = TypeVar("T")
# How long what was interrupted may take to end.
CLOSE_S = 5.0


def _waits(
    method: Callable[Concatenate[ChatClient, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncChatClient, P], T]":
    def waiting(self: "SyncChatClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.result(partial(method, self._client, *args, **kwargs))

    update_wrapper(waiting, method)
    return waiting


def _iterates(
    method: Callable[Concatenate[ChatClient, P], AsyncGenerator[T, None]],
) -> "Callable[Concatenate[SyncChatClient, P], Iterator[T]]":
    def iterating(self: "SyncChatClient", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        values = method(self._client, *args, **kwargs)
        try:
            while True:
                try:
                    value = self._loop.result(values.__anext__)
                except _End:
                    return
                yield value
        finally:
            self._loop.result(values.aclose)

    update_wrapper(iterating, method)
    return iterating


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chat client", daemon=True)
        self._thread.start()

    def result(self, call: Callable[[], Awaitable[T]]) -> T:
        """Wait for it; whoever interrupts the wait, as by Ctrl+C, ends it in the loop as well."""
        done: Future[T] = Future()
        task: asyncio.Task[T] | None = None

        def begin() -> None:
            nonlocal task
            task = self._loop.create_task(_called(call))
            task.add_done_callback(partial(_tell, done))

        def give_up() -> None:
            if task is None:
                # It was interrupted before it came into the loop.
                done.set_exception(CancelledError())
            else:
                task.cancel()

        try:
            self._loop.call_soon_threadsafe(begin)
            return done.result()
        except BaseException:
            self._loop.call_soon_threadsafe(give_up)
            # It may have something to close, and what iterates is not to be closed meanwhile.
            wait([done], CLOSE_S)
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _called(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except StopAsyncIteration:
        # A future does not carry it.
        raise _End from None


def _tell(done: "Future[T]", task: "asyncio.Task[T]") -> None:
    """Those who wait in another thread."""
    if error := CancelledError() if task.cancelled() else task.exception():
        done.set_exception(error)
    else:
        done.set_result(task.result())


class _End(Exception):
    """Of what is iterated over."""


class SyncChatClient:
    """`with SyncChatClient("http://127.0.0.1:3000") as client: …`; the arguments and methods are those of `ChatClient`,
    and what streams there is iterated over here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = ChatClient(*args, **kwargs)
        self._loop = _Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; turns go on."""
        self._loop.result(self._client.aclose)
        self._loop.close()

    stream = _iterates(ChatClient.stream)
    resume = _iterates(ChatClient.resume)
    continue_ = _iterates(ChatClient.continue_)
    send = _waits(ChatClient.send)
    stop = _waits(ChatClient.stop)
    message = _waits(ChatClient.message)
    history = _waits(ChatClient.history)
    rate = _waits(ChatClient.rate)
    chats = _waits(ChatClient.chats)
    chat = _waits(ChatClient.chat)
    create_chat = _waits(ChatClient.create_chat)
    set_chat = _waits(ChatClient.set_chat)
    delete_chat = _waits(ChatClient.delete_chat)
    welcome = _waits(ChatClient.welcome)
    search = _waits(ChatClient.search)
    export_chat = _waits(ChatClient.export_chat)
    export_markdown = _waits(ChatClient.export_markdown)
    export_chats = _iterates(ChatClient.export_chats)
    import_chats = _waits(ChatClient.import_chats)
