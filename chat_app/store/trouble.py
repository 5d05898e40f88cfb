"""What an error of the database means: that it is away, at the doors; what is to be mended, at the start. Pure."""

import errno
import os
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chat_app.errors import DatabaseUnavailable, DiskFull
from chat_app.logs import hide_values

_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FULL,
}
# SQLSTATE: the connection, no such role, no resources, an operator's doing, the system; a lock in vain, a deadlock, a
# server that only reads (as after a failover).
_CLASSES_AWAY = ("08", "28", "53", "57", "58", "40")
_STATES_AWAY = {"3D000", "25006", "55P03"}
NO_SPACE = "53100"
TOO_MANY = "53300"
# A server that is starting, and what a network says of one that is not there yet.
_STATES_SOON = ("08", "53", "57")


def away(problem: BaseException) -> DatabaseUnavailable | None:
    """What a user is told; None: it is no trouble of the database's, but a fault of ours."""
    causes = list(_causes(problem))
    if any(map(_says_full, causes)):
        return DiskFull()
    return DatabaseUnavailable() if any(map(_is_away, causes)) else None


def is_crowded(problem: BaseException) -> bool:
    """Whether PostgreSQL gives no further connection to us."""
    return any(_state(cause) == TOO_MANY for cause in _causes(problem))


def comes_soon(problem: BaseException) -> bool:
    """Whether a start may wait for it: the server may be starting, too."""
    causes = list(_causes(problem))
    if any(isinstance(cause, ssl.SSLError) or "SSL" in str(cause) for cause in causes):
        return False
    return any(isinstance(cause, OSError) or _state(cause).startswith(_STATES_SOON) for cause in causes)


def reason(problem: BaseException) -> str:
    """For the log and for sentences: the innermost words, on one line, without values and statements."""
    causes = list(_causes(problem))
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "it does not answer"
    cause = causes[-1]
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        # asyncio's own words for it have the address in them.
        return os.strerror(cause.errno)
    return hide_values(str(cause)) or type(cause).__name__


def where(url: URL) -> str:
    """The place that DATABASE_URL names, without user and password."""
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database).resolve()) if url.database else "memory"
    host, port = url.query.get("host", url.host) or "localhost", url.port or url.query.get("port")
    return f"{host}{f':{port}' if port else ''}/{url.database or url.username or ''}"


def at_start(url: URL, problem: BaseException) -> str:
    """The sentence with which a start ends."""
    return _sqlite_at_start(url, problem) if url.get_backend_name() == "sqlite" else _postgres_at_start(url, problem)


def _postgres_at_start(url: URL, problem: BaseException) -> str:
    server = f"PostgreSQL at {where(url)}"
    causes = list(_causes(problem))
    states = {_state(cause) for cause in causes}
    if any(state.startswith("28") for state in states):
        return (
            f"{server} does not let the user {url.username or ''} in: wrong user or password in DATABASE_URL, "
            f"or not allowed from here ({reason(problem)})."
        )
    if "3D000" in states:
        return f"{server}: there is no database {url.database}. Create it, or correct DATABASE_URL."
    if any(isinstance(cause, ssl.SSLError) or "SSL" in str(cause) for cause in causes):
        return f"{server} cannot be reached with TLS ({reason(problem)}). Correct sslmode in DATABASE_URL."
    if TOO_MANY in states:
        return f"{server} has no connection left ({reason(problem)}). Give it more, or lower DATABASE_POOL_SIZE."
    if NO_SPACE in states:
        return f"{server} has no space left on its disk. Make room there, or set DATABASE_URL to another database."
    if "42501" in states or "25006" in states:
        return (
            f"{server} does not let the user {url.username or ''} make or change tables ({reason(problem)}). "
            "Give that right, or correct DATABASE_URL."
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"{server} cannot be reached: there is no host of that name. Correct DATABASE_URL."
    if any(isinstance(cause, OSError) for cause in causes):
        return f"{server} cannot be reached ({reason(problem)}). Start it, or correct DATABASE_URL."
    return f"{server} cannot be used ({reason(problem)}). Check DATABASE_URL."


def _sqlite_at_start(url: URL, problem: BaseException) -> str:
    file = where(url)
    causes = list(_causes(problem))
    codes = {_sqlite_code(cause) for cause in causes}
    if sqlite3.SQLITE_NOTADB in codes:
        return f"The file {file} is no database. Move it away, or set DATABASE_URL to another file."
    if sqlite3.SQLITE_CORRUPT in codes:
        return (
            f"The database {file} is damaged ({reason(problem)}). Put a copy of it in its place, "
            "or set DATABASE_URL to another file."
        )
    if any(map(_says_full, causes)):
        return f"There is no space left for the database {file}. Make room on its disk, or set DATABASE_URL elsewhere."
    return (
        f"The database {file} cannot be opened and written ({reason(problem)}). Give this user the right to write "
        "the file and its folder, or set DATABASE_URL to another file."
    )


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """It and what it came from, the innermost last."""
    seen: set[int] = set()
    cause: BaseException | None = problem
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        inner = cause.orig if isinstance(cause, DBAPIError) else None
        cause = inner or cause.__cause__


def _is_away(cause: BaseException) -> bool:
    if isinstance(cause, PoolTimeout | OSError):
        return True
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    if isinstance(cause, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return not isinstance(cause, asyncpg.DataError)
    state = _state(cause)
    return _sqlite_code(cause) in _SQLITE_AWAY or state in _STATES_AWAY or state.startswith(_CLASSES_AWAY)


def _says_full(cause: BaseException) -> bool:
    full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or _sqlite_code(cause) == sqlite3.SQLITE_FULL or _state(cause) == NO_SPACE


def _sqlite_code(cause: BaseException) -> int | None:
    code = getattr(cause, "sqlite_errorcode", None)
    # An extended code has the plain one in its lowest byte.
    return code & 0xFF if isinstance(code, int) else None


def _state(cause: BaseException) -> str:
    return str(getattr(cause, "sqlstate", "") or "")
