"""The figures of a month, for whoever opens `/insights`: added up hour by hour, read however many there are."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from chat_app.store.store import Store
from tests.bench.records import Column, Table
from tests.month import PRICES, fill, measures_of

ANSWERS = [100_000, 1_000_000]
ROUNDS = 5


def table() -> Table:
    columns = [
        Column("best", "read, at best, ms", 0),
        Column("worst", "at worst, ms", 0),
        Column("added", "added up before, once, s"),
    ]
    note = f"The figures of thirty days in SQLite, read {ROUNDS} times."
    return Table("insights", "The figures of a month", columns, note)


async def run(counts: list[int]) -> Table:
    read = table()
    for count in counts:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "chat.db"
            empty, store = Store(f"sqlite:///{file}"), Store(f"sqlite:///{file}")
            await empty.open()
            await empty.close()
            fill(file, count)
            await store.open()
            measures = measures_of(store, MODEL_PRICES=PRICES)
            began = time.monotonic()
            await measures.add_up()
            added = time.monotonic() - began
            took = []
            for _ in range(ROUNDS):
                began = time.monotonic()
                figures = await measures.figures(30)
                took.append((time.monotonic() - began) * 1000)
            assert figures.answers == count
            read.add(f"{count:,} answers", best=min(took), worst=max(took), added=added)
            await store.close()
    return read
