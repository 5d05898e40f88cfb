"""Agents that do what an agent should not, named by the question: REPLIES=tests.bad_agents:reply."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from chat_app.errors import ChatError
from chat_app.parts import Part


class TooMany(ChatError):
    code = "too_many"
    status = 429
    retryable = True


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[Any]:
    question = messages[-1]["content"]
    yield None
    yield ""
    if question != "nothing":
        yield "So far. "
    if question == "steady":
        for _ in range(100):
            await asyncio.sleep(0.02)
            yield "x"
    while question == "empty lists":
        yield []
    while question == "beside":
        await asyncio.sleep(0.02)
        yield "x"
    await ACTS.get(question, nothing)()
    if question in WRONG:
        yield WRONG[question]
    if question == "huge":
        yield "x" * 100_000_000
    if question == "endless":
        while True:
            yield "word " * 1_000
    if question == "deaf":
        while True:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                pass


async def nothing() -> None: ...


async def exit_() -> None:
    sys.exit(3)


async def exit_of_a_tool() -> None:
    async with asyncio.TaskGroup() as tools:
        tools.create_task(exit_())


async def exit_in_a_thread() -> None:
    await asyncio.to_thread(sys.exit, 3)


async def times_out() -> None:
    raise TimeoutError("its own")


async def cancels() -> None:
    raise asyncio.CancelledError


async def interrupts() -> None:
    raise KeyboardInterrupt


async def recurs() -> None:
    await recurs()


async def refuses() -> None:
    raise TooMany("Too many questions. Wait a little.", retry_after=7)


async def refuses_without_code() -> None:
    problem = ChatError("Pay first.")
    problem.status = 402
    raise problem


async def says_no_status() -> None:
    problem = ChatError("Odd.")
    problem.status = "many"
    raise problem


async def fails() -> None:
    raise ValueError("secret detail")


async def blocks() -> None:
    time.sleep(1.6)


async def forks() -> None:
    os.fork()


async def ends_the_process() -> None:
    os._exit(0)


async def stops_the_loop() -> None:
    asyncio.get_running_loop().stop()


async def cancels_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


async def begins_a_thread() -> None:
    threading.Thread(target=threading.Event().wait).start()


ACTS = {
    "exit": exit_,
    "exit of a tool": exit_of_a_tool,
    "exit in a thread": exit_in_a_thread,
    "timeout": times_out,
    "cancel": cancels,
    "interrupt": interrupts,
    "recursion": recurs,
    "429": refuses,
    "402": refuses_without_code,
    "no status": says_no_status,
    "failure": fails,
    "blocks": blocks,
    "fork": forks,
    "end of the process": ends_the_process,
    "end of the loop": stops_the_loop,
    "cancel of all": cancels_all,
    "thread": begins_a_thread,
}
WRONG = {
    "a dict": {"delta": "x"},
    "bytes": b"x",
    "an int": 5,
    "an object": object(),
    "a part": Part("Not A Kind", data={}),
}


def blocked(messages: list[dict[str, str]]) -> Iterator[str]:
    """In its thread, until there is a file."""
    yield "So far. "
    if messages[-1]["content"] == "fork":
        os.fork()
    while messages[-1]["content"] == "blocked" and not Path(os.environ["A_FILE"]).exists():
        time.sleep(0.02)
    yield "Done."


async def own_code(messages: list[dict[str, str]]) -> AsyncIterator[Any]:
    """Fails with the question as its code."""
    error = ChatError("As asked.")
    error.code = messages[-1]["content"]
    raise error
    yield ""
