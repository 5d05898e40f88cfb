"""Questions from a terminal: a pasted block is one, however many lines it has.

Where the terminal marks what is pasted, readline keeps it together. Elsewhere, and for what was pasted while an answer
grew, all that waits behind a line belongs to it: nobody types that fast.
"""

import os
import sys
from contextlib import suppress

from .screen import clean

PROMPT = "> "
# Between two pieces of a pasted block, which may come over a network.
PAUSE_S = 0.05
END = "\x04"


def prepare() -> None:
    """Line editing and history for `input`, and marks around what is pasted, where the terminal knows them."""
    with suppress(ImportError):
        import readline

        if "GNU" in (readline.__doc__ or "") and os.environ.get("TERM", "dumb") != "dumb":
            readline.parse_and_bind("set enable-bracketed-paste on")


class Questions:
    """What a person asks on the terminal, one after the other."""

    def __init__(self) -> None:
        self._over = False

    def next(self) -> str:
        """The next question; "" at the end. Ctrl+C begins the line anew, as in a shell."""
        while not self._over:
            try:
                return self._block()
            except EOFError:
                self._over = True
                _say("\n")
            except KeyboardInterrupt:
                _say("\n")
        return ""

    def close(self) -> None:
        """Let go of what still waits: the shell must not take it for commands."""
        _waiting()

    def _block(self) -> str:
        first = _line()
        rest = _waiting()
        if rest and sys.stdout.isatty():
            # It came while nothing echoed it.
            sys.stdout.write(clean(rest.rstrip(END).rstrip("\n")) + "\n")
        self._over = rest.endswith(END)
        return f"{first}\n{rest}".replace(END, "").strip()


def _line() -> str:
    if sys.stdout.isatty():
        return input(PROMPT)
    _say(PROMPT)
    return input()


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if sys.platform == "win32":
    import msvcrt
    import time

    def _waiting() -> str:
        """What has been typed or pasted and not been read; it comes without being waited for longer than `PAUSE_S`."""
        found, until = "", time.monotonic() + PAUSE_S
        while time.monotonic() < until:
            if msvcrt.kbhit():
                found += msvcrt.getwch()
                until = time.monotonic() + PAUSE_S
            else:
                time.sleep(PAUSE_S / 10)
        # Ctrl+Z ends there what Ctrl+D ends elsewhere.
        return _text(found.replace("\x1a", END))

else:
    import select
    import termios
    import tty

    def _waiting() -> str:
        """What has been typed or pasted and not been read; it comes without being waited for longer than `PAUSE_S`."""
        keyboard, found = sys.stdin.fileno(), b""
        before = termios.tcgetattr(keyboard)
        try:
            # The last line of a block may have no end. Ctrl+C stays what it is.
            tty.setcbreak(keyboard, termios.TCSANOW)
            while select.select([keyboard], [], [], PAUSE_S)[0] and (piece := os.read(keyboard, 1 << 16)):
                found += piece
        finally:
            termios.tcsetattr(keyboard, termios.TCSANOW, before)
        return _text(found.decode(errors="replace"))


def _text(keys: str) -> str:
    """Enter is a carriage return while lines are edited, and a paste may have come between two marks."""
    return keys.replace("\r\n", "\n").replace("\r", "\n").replace("\x1b[200~", "").replace("\x1b[201~", "")
