"""One server a SQLite database, by a lock on a file beside it: a second one would take the first one's running answers
for cut off, and start turns beside them. The kernel frees the lock with its process, however that ends."""

import multiprocessing
import os
import time
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url

from chat_app.errors import CannotStart
from chat_app.lockfile import locked
from chat_app.store import trouble
from chat_app.store.sqlite_file import make_private

# A server that has just been ended, or is being replaced, may not be quite gone.
PATIENCE_S = 3.0
LOOK_S = 0.05


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
    while not locked(lock):
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
