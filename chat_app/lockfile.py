"""A file that one process at a time holds. The kernel frees it with its process, however that ends."""

import errno
import logging
import sys
from typing import IO

logger = logging.getLogger(__name__)

# What systems say of a lock that another process holds.
HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}


def locked(file: IO[str]) -> bool:
    """Take it, until the file is closed. False: another process has it."""
    try:
        _lock(file)
    except OSError as problem:
        if problem.errno in HELD:
            return False
        logger.warning("this disk has no locks (%s): be sure that no other process uses %s", problem, file.name)
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
