"""What came of all turns, added up by the hour in which they began: a page that shows a month must not read a month.

An hour's sums are counters under short names, so that hours add up to days. They are made from the rows of `message`
and `measure`, and made anew where something came later: that is all they are.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select
from sqlmodel import SQLModel

from chat_app.models import Role, Status

HOUR = timedelta(hours=1)
SLOWEST = 10
# What the sums are; another one makes them all anew.
FORM = "1"

Sums = dict[str, dict[str, Any]]
"""By what is counted, then by what it is counted of: `{"ends": {"complete": 12}}`; `slowest` is a list within."""
Added = dict[str, Counter[str]]
"""Those of several hours."""
Rows = tuple[Sequence[Any], Sequence[Any]]
"""The answers that began in an hour, those that still grow among them, and the reports about them."""
Price = Callable[[str, Mapping[str, Any]], float]
"""What an answer of a model with this usage cost, in US dollars; 0 where it is not known."""

_message, _measure, _hour = (SQLModel.metadata.tables[name] for name in ("message", "measure", "hour"))
ANSWERS = select(
    _message.c.id,
    _message.c.status,
    _message.c.model,
    _message.c.usage,
    _message.c.error,
    _message.c.first_token_ms,
    _message.c.rating,
).where(_message.c.role == Role.assistant)
STEPS: list[int] = [*range(100), *range(100, 1_000, 10), *range(1_000, 10_000, 100), *range(10_000, 100_000, 1_000)]
STEPS += [*range(100_000, 1_000_001, 10_000)]
"""To what milliseconds are rounded: two digits are enough to tell, and few enough to add up."""


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def began(turn_id: str) -> datetime:
    """When a turn began, from its id, a UUIDv7. Raises ValueError."""
    return datetime.fromtimestamp(int(turn_id[:8] + turn_id[9:13], 16) / 1000, UTC)


def first_id(moment: datetime) -> str:
    """Not greater than any id that is made from this moment on, nor less than one that was made before."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def rounded(ms: int) -> int:
    """Up, to two digits; 1,000 s stand for all that is longer."""
    return STEPS[min(bisect_left(STEPS, ms), len(STEPS) - 1)]


def hours(since: datetime, until: datetime) -> Iterator[datetime]:
    while since < until:
        yield since
        since += HOUR


def known(connection: Connection, since: datetime, recipe: str) -> dict[datetime, Sums]:
    """The sums of the hours from `since` on that are made."""
    query = select(_hour.c.start, _hour.c.sums).where(_hour.c.start >= since, _hour.c.recipe == recipe)
    rows = connection.execute(query).all()
    return {row.start: row.sums for row in rows}


def starts(connection: Connection, recipe: str) -> set[datetime]:
    """The hours whose sums are made."""
    return set(connection.execute(select(_hour.c.start).where(_hour.c.recipe == recipe)).scalars())


def keep(connection: Connection, start: datetime, recipe: str, sums: Sums) -> None:
    forget(connection, [start])
    connection.execute(insert(_hour).values(start=start, recipe=recipe, sums=sums))


def forget(connection: Connection, starts: Iterable[datetime]) -> None:
    """They are made anew: something came later."""
    connection.execute(delete(_hour).where(_hour.c.start.in_(list(starts))))


def drop_before(connection: Connection, moment: datetime) -> None:
    connection.execute(delete(_hour).where(_hour.c.start < moment))


def oldest(connection: Connection) -> datetime | None:
    """The hour of the first message there is."""
    first = connection.execute(select(func.min(_message.c.id))).scalar()
    try:
        return hour_of(began(first)) if first else None
    except (ValueError, OverflowError):
        return None


def rows(connection: Connection, start: datetime) -> Rows:
    """All that an hour's sums are made from."""
    first, last = first_id(start), first_id(start + HOUR)
    # An imported chat's messages have ids of when they came, and the times of when they were written.
    answers = ANSWERS.where(
        _message.c.id >= first,
        _message.c.id < last,
        _message.c.created_at >= start,
        _message.c.created_at < start + HOUR,
    )
    measures = select(_measure).where(_measure.c.turn_id >= first, _measure.c.turn_id < last)
    return connection.execute(answers).all(), connection.execute(measures).all()


def is_over(answers: Sequence[Any]) -> bool:
    """Whether none of them grows any more: their sums stay as they are."""
    return all(answer.status != Status.streaming for answer in answers)


def sums_of(answers: Sequence[Any], measures: Sequence[Any], price: Price) -> Sums:
    """Of the answers that have ended."""
    answers = [answer for answer in answers if answer.status != Status.streaming]
    groups = {measure.turn_id: group(measure.streams) for measure in measures}
    counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
    for answer in answers:
        _count_answer(counts, answer, groups.get(answer.id, ""), price)
    for measure in measures:
        _count_measure(counts, measure)
    _count_sessions(counts["sessions"], measures)
    sums: Sums = {name: dict(counter) for name, counter in counts.items() if counter}
    return sums | ({"slowest": {"": slowest}} if (slowest := _slowest(answers, measures)) else {})


COUNTED = (
    "ends",
    "errors",
    "token",
    "first",
    "lag",
    "shown",
    "gap",
    "resumed",
    "reasons",
    "sessions",
    "thumbs",
    "tokens",
)


def group(streams: bool) -> str:
    """The two groups of FEATURE_STREAMING."""
    return "streaming" if streams else "whole"


def _count_answer(counts: Mapping[str, Counter[str]], answer: Any, of: str, price: Price) -> None:
    counts["ends"][f"{of}|{answer.status}"] += 1
    if answer.error:
        counts["errors"][str(answer.error.get("code", "internal_error"))] += 1
    if answer.rating:
        counts["thumbs"][f"{of}|{'up' if answer.rating > 0 else 'down'}"] += 1
    if answer.first_token_ms is not None:
        counts["token"][str(rounded(answer.first_token_ms))] += 1
    usage, model = answer.usage or {}, answer.model or ""
    tokens = counts["tokens"]
    tokens[f"answers|{model}"] += 1
    for name in ("prompt_tokens", "completion_tokens"):
        tokens[f"{name}|{model}"] += usage.get(name) or 0
    # Counters add up whatever they hold.
    tokens[f"cost|{model}"] += price(model, usage)  # type: ignore[assignment]


def _count_measure(counts: Mapping[str, Counter[str]], measure: Any) -> None:
    of = group(measure.streams)
    if measure.resumed:
        counts["resumed"][of] += 1
    if measure.whole:
        counts["reasons"][measure.reason] += 1
    # In a tab that nobody sees the browser takes its time.
    if measure.hidden:
        return
    for name, ms in (
        ("shown", measure.own_ms),
        ("first", measure.first_ms),
        ("lag", measure.lag_ms),
        ("gap", measure.gap_ms),
    ):
        if ms is not None:
            counts[name][f"{of}|{rounded(ms)}"] += 1


def _count_sessions(counts: Counter[str], measures: Sequence[Any]) -> None:
    """A session is what one browser does in an hour. That FEATURE_STREAMING leaves it out is no fallback."""
    fell: dict[tuple[str, bool], bool] = {}
    for measure in measures:
        fell[measure.person, measure.streams] = fell.get((measure.person, measure.streams), False) or measure.whole
    for (_, streams), whole in fell.items():
        counts[group(streams)] += 1
        if streams and not whole:
            counts["streamed"] += 1


def _slowest(answers: Sequence[Any], measures: Sequence[Any]) -> list[list[Any]]:
    """`[ms, turn]`: of what was measured, from Enter to the first token; of the rest, as the server knows it."""
    waits = {answer.id: answer.first_token_ms for answer in answers if answer.first_token_ms is not None}
    waits |= {
        measure.turn_id: measure.first_ms for measure in measures if measure.first_ms is not None and not measure.hidden
    }
    return slowest_of([[ms, turn_id] for turn_id, ms in waits.items()])


def slowest_of(waits: Iterable[list[Any]]) -> list[list[Any]]:
    return sorted(waits, reverse=True)[:SLOWEST]


def added(all_sums: Iterable[Mapping[str, Mapping[str, Any]]]) -> Added:
    """The sums of several hours, or of several such sums; without `slowest`."""
    total: Added = {name: Counter() for name in COUNTED}
    for sums in all_sums:
        for name, counts in sums.items():
            if name != "slowest":
                total[name].update(counts)
    return total
