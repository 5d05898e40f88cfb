"""Where a generator or coroutine waits: the line of one's own code, not of a library."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from types import CoroutineType
from typing import Any

import pytest

from chat_app.turns.whereabouts import whereabouts

pytestmark = pytest.mark.anyio


def line(function: Callable[..., Any], below: int) -> str:
    """So many lines below the head of a function of this file, as it is named."""
    return f"{__file__}:{inspect.getsourcelines(function)[1] + below} in {function.__name__}"


async def inner() -> None:
    await asyncio.sleep(3600)


async def outer() -> AsyncIterator[str]:
    yield "a"
    await inner()


def plain() -> Generator[str, None, None]:
    yield "a"
    yield from deeper()


def deeper() -> Generator[str, None, None]:
    yield "b"


async def test_the_innermost_of_ones_own_is_named() -> None:
    reading = outer()
    assert await anext(reading) == "a"
    assert whereabouts(reading) == line(outer, 1)
    waiting = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    # asyncio's own sleep is in it, and is a library's.
    assert whereabouts(reading) == line(inner, 1)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert whereabouts(reading) == "an unknown place"


def test_so_it_is_of_plain_generators() -> None:
    reading = plain()
    assert [next(reading), whereabouts(reading)] == ["a", line(plain, 1)]
    assert [next(reading), whereabouts(reading)] == ["b", line(deeper, 1)]


async def test_where_all_is_a_librarys_that_is_named() -> None:
    sleeping: CoroutineType[Any, Any, None] = asyncio.sleep(3600)
    task = asyncio.ensure_future(sleeping)
    await asyncio.sleep(0)
    assert whereabouts(sleeping).endswith(" in sleep")
    task.cancel()


@pytest.mark.parametrize("nothing", [None, object(), iter([])])
async def test_what_has_no_frame_is_nowhere(nothing: Any) -> None:
    assert whereabouts(nothing) == "an unknown place"
