"""What an error of the database means. That real ones are like these is in test_troubles.py."""

import errno
import os
import socket
import sqlite3
import ssl
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chat_app.errors import DatabaseUnavailable, DiskFull
from chat_app.store.trouble import at_start, away, comes_soon, is_crowded, reason, where

SECRET = "hunter2"
POSTGRES = make_url(f"postgresql://person:{SECRET}@db.example:5433/chats?sslmode=require")


def postgres_error(state: str, message: str = "no") -> Exception:
    error: Exception = asyncpg.PostgresError.new({"C": state, "M": message, "S": "ERROR"})
    return error


def sqlite_error(code: int, message: str = "no") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def wrapped(problem: BaseException) -> Exception:
    """As SQLAlchemy gives it."""
    return OperationalError("INSERT INTO message VALUES (?)", {"content": "a secret"}, problem)


def caused(problem: BaseException) -> Exception:
    try:
        raise RuntimeError("could not connect") from problem
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("how", [lambda problem: problem, wrapped, caused], ids=["itself", "of SQLAlchemy", "a cause"])
@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (sqlite_error(sqlite3.SQLITE_BUSY), DatabaseUnavailable),
        (sqlite_error(sqlite3.SQLITE_IOERR | 10 << 8), DatabaseUnavailable),
        (sqlite_error(sqlite3.SQLITE_FULL), DiskFull),
        (sqlite_error(sqlite3.SQLITE_ERROR, "no such table: message"), None),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT), None),
        (postgres_error("08006"), DatabaseUnavailable),
        (postgres_error("57P01"), DatabaseUnavailable),
        (postgres_error("25006"), DatabaseUnavailable),
        (postgres_error("53100"), DiskFull),
        (postgres_error("23505"), None),
        (postgres_error("42P01"), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 5432)"), DatabaseUnavailable),
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (TimeoutError(), DatabaseUnavailable),
        (PoolTimeout("QueuePool limit"), DatabaseUnavailable),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable),
        (ValueError("a fault of ours"), None),
    ],
    ids=repr,
)
def test_trouble_is_told_from_faults(problem: BaseException, told: type | None, how: Any) -> None:
    if isinstance(problem, ValueError | PoolTimeout | TimeoutError) and how is wrapped:
        pytest.skip("no driver's")
    found = away(how(problem))
    assert (type(found) if found else None) is told


def test_only_what_may_come_is_waited_for() -> None:
    starting, password = postgres_error("57P03"), postgres_error("28P01")
    refused, tls = ConnectionRefusedError(errno.ECONNREFUSED, ""), caused(ssl.SSLError("certificate"))
    assert [comes_soon(one) for one in (starting, refused, password, tls)] == [True, True, False, False]
    assert is_crowded(wrapped(postgres_error("53300"))) and not is_crowded(starting)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (TimeoutError(), "it does not answer"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "('10.0.0.1', 5432)"), os.strerror(errno.ECONNREFUSED)),
        (wrapped(sqlite_error(sqlite3.SQLITE_BUSY, "database is locked")), "database is locked"),
        (postgres_error("23505", "duplicate key: (name)=(a secret)\nand more"), "duplicate key: …"),
        (KeyError(), "KeyError"),
    ],
)
def test_the_reason_is_the_innermost_words_without_values(problem: BaseException, words: str) -> None:
    assert reason(problem) == words


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (POSTGRES, "db.example:5433/chats"),
        (make_url("postgresql://person@/chats?host=/run/pg&port=5433"), "/run/pg:5433/chats"),
        (make_url("postgresql://person@"), "localhost/person"),
        (make_url("sqlite://"), "memory"),
        (make_url("sqlite:///chat.db"), str(Path.cwd().resolve() / "chat.db")),
    ],
    ids=["an address", "a socket", "next to nothing", "memory", "a file"],
)
def test_the_place_has_neither_user_nor_password(url: Any, place: str) -> None:
    assert where(url) == place


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (postgres_error("28P01", "password authentication failed"), "does not let the user person in"),
        (postgres_error("3D000"), "there is no database chats"),
        (ssl.SSLError("wrong version"), "Correct sslmode"),
        (postgres_error("53300"), "lower DATABASE_POOL_SIZE"),
        (postgres_error("53100"), "has no space left"),
        (postgres_error("42501"), "make or change tables"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no host of that name"),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "Start it, or correct DATABASE_URL"),
        (postgres_error("XX000"), "Check DATABASE_URL"),
    ],
)
def test_a_start_ends_with_a_sentence_that_says_what_to_do(problem: BaseException, words: str) -> None:
    sentence = at_start(POSTGRES, problem)
    assert words in sentence and sentence.startswith("PostgreSQL at db.example:5433/chats")
    assert SECRET not in sentence and "\n" not in sentence


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_NOTADB, "is no database"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_FULL, "no space left"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened and written"),
    ],
)
def test_so_does_one_on_sqlite(code: int, words: str) -> None:
    assert words in at_start(make_url("sqlite:////data/chat.db"), wrapped(sqlite_error(code)))
