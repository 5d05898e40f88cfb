"""A database that fails for a while, for the server that has it open."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def outage(folder: Path) -> Iterator[None]:
    """Within the block every query of the SQLite database there that reads a chat fails."""
    _rename(folder, "chat", "chat_gone")
    try:
        yield
    finally:
        _rename(folder, "chat_gone", "chat")


def _rename(folder: Path, table: str, name: str) -> None:
    connection = sqlite3.connect(folder / "chat.db", timeout=30, isolation_level=None)
    # What names the table keeps its name.
    connection.execute("PRAGMA legacy_alter_table=ON")
    connection.execute(f"ALTER TABLE {table} RENAME TO {name}")
    connection.close()
