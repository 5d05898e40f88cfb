"""An `rx.App` for a test: Reflex takes one in a process, so each gets a registry of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import reflex as rx

# Registers where it is imported: in the task of an async test, that would be gone for all others.
import reflex.state
from reflex_base.registry import RegistrationContext


@contextmanager
def own_app() -> Iterator[rx.App]:
    with RegistrationContext.get().fork():
        yield rx.App()
