"""Answers of some days, by the thousand or million, with the reports of those who saw them."""

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chat_app.config import load_settings
from chat_app.measures import Measures
from chat_app.models import now
from chat_app.prices import Prices
from chat_app.store import hours
from chat_app.store.store import Store

STATUSES = ["complete"] * 7 + ["stopped", "failed", "interrupted"]


def turn_id(moment: datetime, chance: random.Random) -> str:
    tail = f"{chance.getrandbits(72):018x}"
    return f"{hours.first_id(moment)}-7{tail[:3]}-8{tail[3:6]}-{tail[6:]}"


def seeded(count: int, days: int, chance: random.Random) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Answers of these days, today's included, most with a report."""
    until = now()
    since = until.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    for _ in range(count):
        moment = since + (until - since) * chance.random()
        status = chance.choice(STATUSES)
        id, first = turn_id(moment, chance), int(chance.lognormvariate(5, 1))
        used = {"prompt_tokens": chance.randrange(2_000), "completion_tokens": chance.randrange(500)}
        error = {"code": chance.choice(["provider_error", "provider_busy"]), "message": ".", "retryable": True}
        message = {
            "id": id,
            "chat_id": "c",
            "role": "assistant",
            "content": "",
            "reasoning": "",
            "status": status,
            "model": chance.choice(["gpt-4o-mini", "bench"]),
            "usage": json.dumps(used),
            "error": json.dumps(error) if status == "failed" else None,
            "first_token_ms": first if status != "failed" else None,
            "duration_ms": first + 900,
            "rating": chance.choice([0] * 18 + [1, -1]),
            "remark": "",
            "created_at": moment.replace(tzinfo=None).isoformat(" "),
        }
        whole, lag = chance.random() < 0.1, chance.randrange(400)
        report = {
            "turn_id": id,
            "person": f"p{chance.randrange(50)}",
            "at": message["created_at"],
            "door": "page",
            "streams": chance.random() < 0.7,
            "whole": whole,
            "reason": "buffered" if whole else "",
            "resumed": int(chance.random() < 0.05),
            "hidden": chance.random() < 0.05,
            "closed": False,
            "own_ms": 4,
            "first_ms": first + lag,
            "lag_ms": lag,
            "gap_ms": chance.randrange(2_000),
        }
        yield message, report if chance.random() < 0.8 else None


CHAT = "INSERT INTO chat (id, title, created_at, updated_at) VALUES ('c', 'c', '2026-01-01', '2026-01-01')"


def insert(table: str, names: Any) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"


# Of their own: to look up each of a million prices in the list is most of the time, and no part of it.
PRICES = "gpt-4o-mini=0.15/0.6, bench=1/2"


def measures_of(store: Store, **settings: str) -> Measures:
    read = load_settings(settings)
    return Measures(read, store.database, Prices(read.model_prices, "https://api.openai.com/v1"))


MADE = 10_000


def fill(file: Path, count: int) -> None:
    """`count` answers of thirty days into a migrated SQLite file: the same ten thousand, each a little later."""
    with closing(sqlite3.connect(file)) as database:
        # To index their words is no part of it, and takes minutes.
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA journal_mode=OFF")
        # All of it, or most of the time is spent on pages that are read and written again and again.
        database.execute("PRAGMA cache_size=-500000")
        database.execute(CHAT)
        # Each is made at once, when all rows are there.
        named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
        indexes = database.execute(named).fetchall()
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        pairs = list(seeded(MADE, 30, random.Random(1)))
        numbers = f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count // MADE - 1})"
        for table, rows in (
            ("message", [message | {"id": copied(message["id"], 0)} for message, _ in pairs]),
            ("measure", [report | {"turn_id": copied(report["turn_id"], 0)} for _, report in pairs if report]),
        ):
            database.executemany(insert(table, rows[0]), rows)
            if count <= MADE:
                continue
            id, *rest = rows[0]
            others = ", ".join([f"substr({id}, 1, 34) || printf('%02x', n)", *rest])
            database.execute(f"{numbers} INSERT INTO {table} ({id}, {', '.join(rest)}) SELECT {others} FROM {table}, n")
        for _, index in indexes:
            database.execute(index)
        database.commit()


def copied(id: str, nth: int) -> str:
    return f"{id[:-2]}{nth:02x}"
