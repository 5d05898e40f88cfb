"""The figures of some days are what plain SQL says of the rows, and quick to read however many answers there are."""

import json
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from chat_app.insights import Figures
from chat_app.measures import Measure
from chat_app.models import Message, now
from chat_app.store import hours
from chat_app.store import measures as measure_rows
from chat_app.store.store import Store
from tests.month import CHAT, PRICES, fill, insert, measures_of, seeded, turn_id
from tests.test_paging import Steps

pytestmark = pytest.mark.anyio

MANY = 50_000


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = Store(database_url)
    await store.open()
    yield store
    await store.close()


@pytest.mark.slow
async def test_the_figures_are_those_of_plain_sql(store: Store, figure: Callable[[object], None]) -> None:
    seed = random.randrange(10**6)
    figure(f"seed {seed}")
    pairs = list(seeded(1_500, 7, random.Random(seed)))
    is_sqlite = store.database.url.get_backend_name() == "sqlite"

    def fill(connection: Any) -> None:
        connection.execute(text(CHAT))
        for message, report in pairs:
            values = message | ({} if is_sqlite else {"created_at": datetime.fromisoformat(message["created_at"])})
            connection.execute(text(insert("message", values)), values)
            if report:
                values = report | ({} if is_sqlite else {"at": datetime.fromisoformat(report["at"])})
                connection.execute(text(insert("measure", values)), values)

    await store.database.write(fill)
    measures = measures_of(store, MODEL_PRICES="bench=1/2")
    await measures.add_up()
    for days in (1, 7):
        figures = await measures.figures(days)
        await store.database.read(lambda connection, figures=figures: compare(connection, figures))


def compare(connection: Any, figures: Figures) -> None:
    since = f"id >= '{hours.first_id(figures.since)}'"
    reports = f"turn_id >= '{hours.first_id(figures.since)}'"

    def scalar(query: str) -> Any:
        return connection.execute(text(query)).scalar()

    assert figures.answers == scalar(f"SELECT count(*) FROM message WHERE {since}")
    for status in ("complete", "stopped", "failed", "interrupted"):
        counted = sum(getattr(period, status) for period in figures.series)
        assert counted == scalar(f"SELECT count(*) FROM message WHERE {since} AND status = '{status}'")
    resumed = sum(period.resumed for period in figures.series)
    assert resumed == scalar(f"SELECT count(*) FROM measure WHERE {reports} AND resumed > 0")
    seen = f"{reports} AND NOT hidden"
    for spread, name, where in (
        (figures.first, "first_ms", seen),
        (figures.lag, "lag_ms", f"{seen} AND streams"),
        (figures.gap, "gap_ms", seen),
    ):
        count = scalar(f"SELECT count({name}) FROM measure WHERE {where}")
        assert spread.count == count == sum(bar.count for bar in spread.bars)
        # Just after midnight (UTC) today has none.
        for share in (50, 90, 99) if count else ():
            rank = -(-count * share // 100) - 1
            exact = scalar(f"SELECT {name} FROM measure WHERE {where} ORDER BY {name} LIMIT 1 OFFSET {rank}")
            assert getattr(spread, f"p{share}") == hours.rounded(exact)
    quick, streamed, thumbs, _ = figures.goals
    within = scalar(f"SELECT count(*) FROM measure WHERE {seen} AND streams AND lag_ms <= 200")
    assert quick.share == (within / figures.lag.count if figures.lag.count else None)
    # By hour and browser: the first twelve digits of an id are its milliseconds.
    rows = connection.execute(text(f"SELECT turn_id, person, whole FROM measure WHERE {reports} AND streams")).all()
    sessions: dict[tuple[datetime, str], bool] = {}
    for id, person, whole in rows:
        key = hours.hour_of(hours.began(id)), person
        sessions[key] = sessions.get(key, False) or bool(whole)
    kept = list(sessions.values()).count(False) / len(sessions) if sessions else None
    assert (streamed.count, streamed.share) == (len(sessions), kept)
    assert figures.up == scalar(f"SELECT count(*) FROM message WHERE {since} AND rating = 1")
    assert thumbs.count == scalar(f"SELECT count(*) FROM message WHERE {since} AND rating <> 0")
    failed = f"SELECT count(*) FROM message WHERE {since} AND status = 'failed'"
    assert sum(figures.errors.values()) == scalar(failed)
    for use in figures.models:
        of = connection.execute(text(f"SELECT usage FROM message WHERE {since} AND model = '{use.model}'")).scalars()
        bills = [json.loads(bill) if isinstance(bill, str) else bill for bill in of]
        assert use.answers == len(bills)
        read, written = (sum(bill[name] for bill in bills) for name in ("prompt_tokens", "completion_tokens"))
        assert (use.prompt_tokens, use.completion_tokens) == (read, written)
        rates = {"bench": (1, 2), "gpt-4o-mini": (0.15, 0.6)}[use.model]
        assert use.cost == pytest.approx((read * rates[0] + written * rates[1]) / 1_000_000)
    measured = "SELECT max(first_ms) FROM measure WHERE turn_id = message.id AND NOT hidden"
    longest = scalar(f"SELECT max(coalesce(({measured}), first_token_ms)) FROM message WHERE {since}")
    assert [slow.ms for slow in figures.slowest[:1]] == ([] if longest is None else [longest])
    assert [slow.ms for slow in figures.slowest] == sorted((slow.ms for slow in figures.slowest), reverse=True)
    assert len(figures.slowest) == min(10, figures.answers)


async def test_what_comes_late_is_in_the_sums(store: Store) -> None:
    """An hour that was added up is added up anew: with a report that came after, and with a thumb."""
    measures = measures_of(store)
    ((message, _),) = seeded(1, 7, random.Random(1))
    moment = now() - timedelta(hours=3)
    chance = random.Random(2)
    row = Message(id=turn_id(moment, chance), chat_id="c", role="assistant", created_at=moment, duration_ms=1_000)

    def fill(connection: Any) -> None:
        connection.execute(text(CHAT))
        connection.execute(Message.__table__.insert(), row.model_dump())

    await store.database.write(fill)
    await measures.add_up()
    assert (await measures.figures(2)).first.count == 0
    await measures.take(Measure.model_validate({"turn_id": row.id, "session": "s", "first_ms": 70}), "here")
    await store.rate(row.id, 1)
    await measures.rated(row.id)
    for _ in range(2):
        figures = await measures.figures(2)
        assert (figures.first.count, figures.first.p50, figures.up) == (1, 70, 1)
        await measures.add_up()
    assert message["id"] != row.id


async def test_sums_stay_where_a_chat_is_deleted_and_remarks_go(store: Store) -> None:
    measures = measures_of(store)
    moment = now() - timedelta(hours=3)
    row = Message(
        id=turn_id(moment, random.Random(2)),
        chat_id="c",
        role="assistant",
        status="complete",
        created_at=moment,
        duration_ms=1_000,
        first_token_ms=400,
        rating=1,
        remark="Quick.",
    )

    def fill(connection: Any) -> None:
        connection.execute(text(CHAT))
        connection.execute(Message.__table__.insert(), row.model_dump())

    await store.database.write(fill)
    await measures.add_up()
    before = await measures.figures(2)
    assert [one.remark for one in before.remarks] == ["Quick."]
    assert [slow.chat_id for slow in before.slowest] == ["c"]
    await store.delete_chat("c")
    after = await measures.figures(2)
    assert (after.answers, after.up) == (before.answers, before.up) == (1, 1)
    assert after.remarks == []
    assert [(slow.ms, slow.chat_id) for slow in after.slowest] == [(400, None)]


async def test_an_hour_is_added_up_when_all_its_answers_have_ended(store: Store) -> None:
    measures = measures_of(store)
    moment = now() - timedelta(hours=3)
    long = Message(id=turn_id(moment, random.Random(2)), chat_id="c", role="assistant", created_at=moment)
    ended = Message.__table__.update().values(status="complete", duration_ms=4_000_000)

    def fill(connection: Any) -> None:
        connection.execute(text(CHAT))
        connection.execute(Message.__table__.insert(), long.model_dump() | {"status": "streaming"})

    await store.database.write(fill)
    for answers in (0, 1):
        await measures.add_up()
        assert (await measures.figures(2)).answers == answers
        await store.database.write(lambda connection: connection.execute(ended))
    assert await store.database.read(lambda connection: hours.starts(connection, measures._recipe))


async def test_remarks_are_found_among_many_thumbs(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute(CHAT)
        for message, _ in seeded(2_000, 2, random.Random(4)):
            database.execute(insert("message", message), message | {"rating": 1})
        database.execute("UPDATE message SET remark = 'Quick.' WHERE id = (SELECT min(id) FROM message)")
        database.commit()
    store = Store(f"sqlite:///{file}")
    steps = Steps(store)
    await store.open()
    before = steps.count
    remarks = await store.database.read_aside(
        lambda connection: measure_rows.remarks(connection, now() - timedelta(days=3), "")
    )
    assert [remark.remark for remark in remarks] == ["Quick."]
    assert (steps.count - before) * 100 < 2_000
    await store.close()


async def test_imported_answers_do_not_count(store: Store) -> None:
    file = {
        "version": 1,
        "chat": {"title": "Old"},
        "messages": [
            {"id": "1", "role": "user", "content": "Hi", "created_at": "2020-01-01T00:00:00Z"},
            {"id": "2", "parent_id": "1", "role": "assistant", "content": "Ho", "created_at": "2020-01-01T00:00:00Z"},
        ],
    }
    await store.import_chat(json.dumps(file))
    assert (await measures_of(store).figures(1)).answers == 0


@pytest.mark.thorough
async def test_a_month_of_many_answers_is_read_in_few_steps(file: Path, figure: Callable[[object], None]) -> None:
    """How long it takes for a million is in `make bench`."""
    fill(file, MANY)
    store = Store(f"sqlite:///{file}")
    steps = Steps(store)
    await store.open()
    measures = measures_of(store, MODEL_PRICES=PRICES)
    await measures.add_up()
    stepped = []
    # The first of them compiles its statements.
    for _ in range(2):
        before = steps.count
        figures = await measures.figures(30)
        stepped.append((steps.count - before) * 100)
    figure(f"figures of 30 days of {figures.answers:,} answers: at most {max(stepped):,} steps of SQLite's")
    assert figures.answers == MANY
    # A few of them: all are compared above, where there are fewer answers.
    with closing(sqlite3.connect(file)) as database:
        failed, up = database.execute("SELECT sum(status = 'failed'), sum(rating = 1) FROM message").fetchone()
        seen = "FROM measure WHERE NOT hidden AND streams"
        lags, within = database.execute(f"SELECT count(lag_ms), sum(lag_ms <= 200) {seen}").fetchone()
    assert (sum(figures.errors.values()), figures.up, figures.lag.count) == (failed, up, lags)
    assert figures.goals[0].share == within / lags
    # An hour or two of the month's are read from their rows: to read all takes several steps of each.
    assert max(stepped) < MANY
    await store.close()


@pytest.mark.parametrize("moment", [datetime(2026, 11, 26, 12, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)])
def test_an_id_says_when_its_turn_began(moment: datetime) -> None:
    chance = random.Random(3)
    ids = [turn_id(moment + timedelta(milliseconds=n), chance) for n in (-1, 0, 1)]
    assert [id >= hours.first_id(moment) for id in ids] == [False, True, True]
    assert hours.began(ids[1]) == moment
