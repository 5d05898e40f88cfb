"""`rx.asset` asks `inspect` about every frame above it, and for each frame of an import that looks at all modules that
are loaded: fifty calls took most of a start."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_short_stack(function: Callable[..., T], *arguments: str) -> T:
    """What `function` returns, called in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()
