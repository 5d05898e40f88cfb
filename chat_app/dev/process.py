"""A server's process, forked from one that has loaded all but what a developer saves: that takes most of a start."""

import collections
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

PATIENCE_S = 3.0
"""A server that has not ended so long after its grace is killed."""
LOOK_S = 0.02
SHOWN_LINES = 60
"""Of what a server said before it failed."""


class Process:
    """Runs `serve`. What it says is passed on to stderr, and kept for when it fails."""

    def __init__(self, serve: Callable[[], None], grace: float) -> None:
        self._patience = grace + PATIENCE_S
        self._lines: collections.deque[str] = collections.deque(maxlen=SHOWN_LINES)
        self._ended = False
        heard, said = os.pipe()
        watched, self._alive = os.pipe()
        gc.collect()
        gc.freeze()
        # No other thread runs now, which could hold a lock that the new process needs.
        self._pid = os.fork()
        if not self._pid:
            os.close(heard)
            os.close(self._alive)
            _become(serve, watched, said)
        os.close(said)
        os.close(watched)
        self._passing = threading.Thread(target=self._pass_on, args=(heard,))
        self._passing.start()

    def runs(self) -> bool:
        if not self._ended:
            self._ended = os.waitpid(self._pid, os.WNOHANG)[0] == self._pid
        return not self._ended

    def said(self) -> str:
        """All of it: to be asked when it has ended."""
        self._finish()
        return "".join(self._lines)

    def end(self) -> None:
        until = time.monotonic() + self._patience
        if self.runs():
            os.kill(self._pid, signal.SIGTERM)
        while self.runs() and time.monotonic() < until:
            time.sleep(LOOK_S)
        self._finish()

    def _finish(self) -> None:
        # Also what it began, which may hold its end of the pipe.
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        if not self._ended:
            os.waitpid(self._pid, 0)
            self._ended = True
        self._passing.join()
        with suppress(OSError):
            os.close(self._alive)

    def _pass_on(self, heard: int) -> None:
        with os.fdopen(heard, errors="replace") as lines:
            for line in lines:
                self._lines.append(line)
                with suppress(OSError):
                    sys.stderr.write(line)
                    sys.stderr.flush()


def _become(serve: Callable[[], None], watched: int, said: int) -> NoReturn:
    """A session of its own: Ctrl+C is for the loop, which then ends this."""
    status = 1
    try:
        os.setsid()
        os.dup2(watched, 0)
        for number in (1, 2):
            os.dup2(said, number)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_end_with_the_loop, daemon=True).start()
        serve()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _end_with_the_loop() -> None:
    # Not `sys.stdin`: its lock would be held for ever in the process that the server forks.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
