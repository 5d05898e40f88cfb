"""The file of a SQLite database before it is opened: its folder, whether it can be written, is one, and is whole."""

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from glob import escape
from pathlib import Path

from sqlalchemy.engine import URL

from chat_app.folders import ROOT

DATA = ROOT / "data"
"""The app's own folder."""
CHECK_S = 2.0
# Instructions of SQLite's machine between two looks at the clock.
STEPS = 10_000


def make_private(file: Path) -> None:
    """Make it, and its folder, if they are not there; other users of this machine can use neither. Raises OSError.

    What SQLite puts beside it has the file's own rights. A folder that was there may be meant for others too, but not
    the app's own.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    for place in (file, *_beside(file), *([file.parent] if file.parent == DATA else [])):
        _take_from_others(place)


def _beside(file: Path) -> Iterator[Path]:
    """What SQLite and we put there: what is not in the file yet, and copies of it."""
    yield from file.parent.glob(f"{escape(file.name)}-*")
    yield from file.parent.glob(f"{escape(file.stem)}.before-*{escape(file.suffix)}")


def _take_from_others(place: Path) -> None:
    mode = place.stat().st_mode
    if mode & 0o077:
        # It may be somebody else's, who knows.
        with suppress(PermissionError):
            place.chmod(stat.S_IMODE(mode) & 0o700)


def check(url: URL) -> None:
    """Make the folder, and read the file for at most `CHECK_S` seconds, which is enough for some hundred megabytes.

    Raises:
        sqlite3.Error, OSError: it cannot be used.
    """
    if not url.database or url.database == ":memory:":
        return
    file = Path(url.database)
    make_private(file)
    for place in (file.parent, file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    if not file.exists() or not file.stat().st_size:
        return
    with closing(sqlite3.connect(file, timeout=CHECK_S)) as connection:
        deadline = time.monotonic() + CHECK_S
        connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        try:
            [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return
            raise
        if found != "ok":
            damaged = sqlite3.DatabaseError(found)
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged
