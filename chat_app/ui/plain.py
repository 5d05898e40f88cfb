"""A state without the proxy that Reflex puts before it in a background handler."""

from typing import TypeVar

import reflex as rx
from reflex.istate.proxy import StateProxy

S = TypeVar("S", bound=rx.State)


def plain(state: S) -> S:
    """The state itself, for a block of `async with self` and no longer: its lock is what makes it safe. Each look
    through the proxy costs microseconds, which together were a tenth of an answer's cost."""
    if not isinstance(state, StateProxy):
        return state
    inner: S = state.__wrapped__
    return inner
