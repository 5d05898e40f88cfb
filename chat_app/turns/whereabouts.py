"""Where a generator or coroutine waits, for the log."""

import sysconfig
from collections.abc import Iterator
from types import FrameType
from typing import Any

LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))


def whereabouts(waiting: Any) -> str:
    """Where a generator or coroutine is: `file:line in name`, of the innermost that is nobody's library."""
    frames = list(_frames(waiting))
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(LIBRARIES)] or frames
    if not own:
        return "an unknown place"
    return f"{own[-1].f_code.co_filename}:{own[-1].f_lineno} in {own[-1].f_code.co_name}"


def _frames(waiting: Any) -> Iterator[FrameType]:
    """Of what waits, and of what that waits for."""
    while waiting is not None:
        yield from filter(None, (getattr(waiting, name, None) for name in ("ag_frame", "cr_frame", "gi_frame")))
        inner = (getattr(waiting, name, None) for name in ("ag_await", "cr_await", "gi_yieldfrom"))
        waiting = next(filter(None, inner), None)
