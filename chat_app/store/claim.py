"""One server a SQLite database, by a lock on a file beside it: a second one would take the first one's running answers
for cut off, and start turns beside them. The kernel frees the lock with its process, however that ends."""

import errno
import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url

from chat_app.errors import CannotStart
from chat_app.store import trouble
from chat_app.store.sqlite_file import make_private

logger = logging.getLogger(__name__)

# A server that has just been ended, or is being replaced, may not be quite gone.
PATIENCE_S = 3.0
LOOK_S = 0.05
# What systems say of a lock that another process holds.
HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}


def claim(url: str) -> IO[str] | None:
    """Take the database for this process, which may take some seconds; to be closed to give it back.

    Returns:
        None where nothing is to be claimed: PostgreSQL, or a database in memory.

    Raises:
        CannotStart: another server uses it.
    """
    if (database := _file(url)) is None:
        return None
    try:
        make_private(database.with_name(f"{database.name}.lock"))
        lock = database.with_name(f"{database.name}.lock").open("a+")
    except OSError as problem:
        raise CannotStart(trouble.at_start(make_url(url), problem)) from problem
    deadline = time.monotonic() + PATIENCE_S
    while not _locked(lock):
        if time.monotonic() > deadline:
            with lock:
                lock.seek(0)
                raise CannotStart(
                    f"Another server (process {lock.read().strip()}) uses the database {database}. "
                    "End that one first, or set DATABASE_URL to another database."
                )
        time.sleep(LOOK_S)
    lock.truncate(0)
    parent = multiprocessing.parent_process()
    lock.write(str(parent.pid if parent else os.getpid()))
    lock.flush()
    return lock


def _file(url: str) -> Path | None:
    """The database's file, the same by whatever name it is reached."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database)).resolve()


def _locked(file: IO[str]) -> bool:
    try:
        _lock(file)
    except OSError as problem:
        if problem.errno in HELD:
            return False
        logger.warning("this disk has no locks (%s): be sure that no other server uses the database", problem)
    return True


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        # Far behind what is written, for what is locked there cannot be read by others.
        file.seek(1 << 30)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
