"""The figures of some days, from the sums of their hours. Pure: no SQL, no state."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import mean, median
from typing import Any

from pydantic import BaseModel

from chat_app.models import Status
from chat_app.store.hours import SLOWEST, Added, Sums, added, began, slowest_of

WITHIN_MS = 200
FIRST_TOKEN_TARGET, STREAMED_TARGET = 0.9, 0.8
EDGES = [0, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]
"""Of the bars of a histogram, in milliseconds. What is rounded up stays on its side of each."""
GROUPS = ("streaming", "whole")
POSITIVE = 4
"""From here on an answer to the survey says that answers feel fast."""


class Goal(BaseModel):
    """A share from 0 to 1 of `count`; null where nothing is known yet. `met` is null where there is no target."""

    name: str
    share: float | None
    count: int
    target: float | None
    met: bool | None


class Bar(BaseModel):
    """How many took more than `above_ms` and at most `to_ms`; null is without end."""

    above_ms: int
    to_ms: int | None
    count: int


class Spread(BaseModel):
    """How long something took, in milliseconds rounded up to two digits."""

    count: int
    p50: int | None
    p90: int | None
    p99: int | None
    bars: list[Bar]


class Period(BaseModel):
    """Answers that began in an hour or a day, by how they ended, and how many were resumed."""

    start: datetime
    complete: int
    stopped: int
    failed: int
    interrupted: int
    resumed: int


class ModelUse(BaseModel):
    """`cost` is in US dollars; null where nobody knows the price."""

    model: str
    answers: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class Slow(BaseModel):
    """`chat_id` is null where the chat is gone, or is somebody else's."""

    ms: int
    when: datetime
    turn_id: str
    chat_id: str | None
    model: str | None


class Remark(BaseModel):
    rating: int
    remark: str
    model: str | None
    chat_id: str
    turn_id: str
    when: datetime


class Group(BaseModel):
    """What FEATURE_STREAMING does to people: those with streaming, and those without."""

    group: str
    sessions: int
    answers: int
    failed: int
    first: Spread
    lag: Spread
    up: int
    down: int
    feel: float | None
    surveyed: int


class Felt(BaseModel):
    """A person's answer to the survey, and how long they waited for a first token in the median."""

    feel: int
    remark: str
    group: str
    first_ms: float | None
    answers: int
    when: datetime


class Figures(BaseModel):
    """What `GET /measures/` gives, and what `/insights` shows. Times are UTC."""

    days: int
    since: datetime
    until: datetime
    answers: int
    goals: list[Goal]
    first: Spread
    lag: Spread
    gap: Spread
    generated: Spread
    series: list[Period]
    errors: dict[str, int]
    fallbacks: dict[str, int]
    models: list[ModelUse]
    cost: float | None
    slowest: list[Slow]
    up: int
    down: int
    remarks: list[Remark]
    groups: list[Group]
    survey: list[Felt]


class Beside(BaseModel):
    """What is read with the sums: `turns` are the chats and models of the slowest by their id, `felt` the survey's
    answers with what was measured for the same people."""

    model_config = {"arbitrary_types_allowed": True}

    turns: dict[str, Any]
    remarks: list[Any]
    felt: list[tuple[Any, list[int]]]


def slowest(by_hour: Mapping[datetime, Sums]) -> list[list[Any]]:
    """`[ms, turn]`, of all hours."""
    return slowest_of(wait for sums in by_hour.values() for wait in sums.get("slowest", {}).get("", []))[:SLOWEST]


def figures_of(
    by_hour: Mapping[datetime, Sums], since: datetime, until: datetime, beside: Beside, priced: Callable[[str], bool]
) -> Figures:
    """`priced` says whether the price of a model is known."""
    by_period = _by_period(by_hour, since, until)
    total = added(by_period.values())
    felt = [_felt(*answer) for answer in beside.felt]
    up, down = (_of(total["thumbs"], "*", name) for name in ("up", "down"))
    models = _models(total["tokens"], priced)
    costs = [use.cost for use in models if use.cost is not None]
    return Figures(
        days=(until - since).days + 1,
        since=since,
        until=until,
        answers=sum(total["ends"].values()),
        goals=_goals(total, felt, up, down),
        first=spread(_times(total["first"])),
        lag=spread(_times(total["lag"], "streaming")),
        gap=spread(_times(total["gap"])),
        generated=spread({int(ms): count for ms, count in total["token"].items()}),
        series=[_period(start, of_period) for start, of_period in by_period.items()],
        errors=dict(total["errors"].most_common()),
        fallbacks={reason: count for reason, count in total["reasons"].most_common() if reason},
        models=models,
        cost=sum(costs) if costs else None,
        slowest=[_slow(ms, turn_id, beside.turns.get(turn_id)) for ms, turn_id in slowest(by_hour)],
        up=up,
        down=down,
        remarks=[Remark(**row._asdict()) for row in beside.remarks],
        groups=[_group(name, total, felt) for name in GROUPS],
        survey=felt,
    )


def spread(times: Mapping[int, int]) -> Spread:
    """`times` counts milliseconds."""
    ordered = sorted(times.items())
    p50, p90, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.99))
    return Spread(count=sum(times.values()), p50=p50, p90=p90, p99=p99, bars=_bars(ordered))


def percentile(ordered: Sequence[tuple[int, int]], share: float) -> int | None:
    """The nearest rank: the least value that at least this share does not exceed."""
    count = sum(times for _, times in ordered)
    so_far = 0
    for value, times in ordered:
        so_far += times
        if so_far >= share * count:
            return value
    return None


def _bars(ordered: Sequence[tuple[int, int]]) -> list[Bar]:
    ends = [*pairwise(EDGES), (EDGES[-1], None)]
    return [
        Bar(
            above_ms=above,
            to_ms=to,
            count=sum(times for ms, times in ordered if (ms > above or above == 0) and (to is None or ms <= to)),
        )
        for above, to in ends
    ]


def _times(counter: Mapping[str, int], group: str | None = None) -> Counter[int]:
    """By milliseconds, of one group or all."""
    times: Counter[int] = Counter()
    for key, count in counter.items():
        of, _, ms = key.partition("|")
        if group in (None, of):
            times[int(ms)] += count
    return times


def _of(counter: Mapping[str, int], group: str, what: str) -> int:
    """How many of a group (`*`: all) ended so, or were rated so."""
    return sum(
        count for key, count in counter.items() if key.endswith(f"|{what}") and group in ("*", key.partition("|")[0])
    )


def _goals(total: Added, felt: Sequence[Felt], up: int, down: int) -> list[Goal]:
    lags = _times(total["lag"], "streaming")
    quick = sum(count for ms, count in lags.items() if ms <= WITHIN_MS)
    sessions = total["sessions"]
    return [
        goal("First token shown within 200 ms of its generation", quick, sum(lags.values()), FIRST_TOKEN_TARGET),
        goal("Sessions that streamed without fallback", sessions["streamed"], sessions["streaming"], STREAMED_TARGET),
        goal("Thumbs up", up, up + down),
        goal("Say that answers feel fast", sum(answer.feel >= POSITIVE for answer in felt), len(felt)),
    ]


def goal(name: str, good: int, count: int, target: float | None = None) -> Goal:
    share = good / count if count else None
    met = None if target is None or share is None else share >= target
    return Goal(name=name, share=share, count=count, target=target, met=met)


def _by_period(by_hour: Mapping[datetime, Sums], since: datetime, until: datetime) -> dict[datetime, Added]:
    """By the hour for one day, by the day for more."""
    step = timedelta(hours=1) if until - since <= timedelta(days=1) else timedelta(days=1)
    starts = []
    while since <= until:
        starts.append(since)
        since += step
    return {start: added(sums for hour, sums in by_hour.items() if start <= hour < start + step) for start in starts}


def _period(start: datetime, total: Added) -> Period:
    ends = {status.value: _of(total["ends"], "*", status) for status in Status if status is not Status.streaming}
    return Period(start=start, resumed=sum(total["resumed"].values()), **ends)


def _models(tokens: Mapping[str, float], priced: Callable[[str], bool]) -> list[ModelUse]:
    names = {key.partition("|")[2] for key in tokens}
    uses = [
        ModelUse(
            model=name or "not named",
            answers=int(tokens.get(f"answers|{name}", 0)),
            prompt_tokens=int(tokens.get(f"prompt_tokens|{name}", 0)),
            completion_tokens=int(tokens.get(f"completion_tokens|{name}", 0)),
            cost=tokens.get(f"cost|{name}", 0.0) if priced(name) else None,
        )
        for name in names
    ]
    return sorted(uses, key=lambda use: (-use.answers, use.model))


def _slow(ms: int, turn_id: str, turn: Any) -> Slow:
    return Slow(ms=ms, when=began(turn_id), turn_id=turn_id, chat_id=turn and turn.chat_id, model=turn and turn.model)


def _group(name: str, total: Added, felt: Sequence[Felt]) -> Group:
    feels = [answer.feel for answer in felt if answer.group == name]
    return Group(
        group=name,
        sessions=total["sessions"][name],
        answers=sum(count for key, count in total["ends"].items() if key.startswith(f"{name}|")),
        failed=_of(total["ends"], name, Status.failed) + _of(total["ends"], name, Status.interrupted),
        first=spread(_times(total["first"], name)),
        lag=spread(_times(total["lag"], name)),
        up=_of(total["thumbs"], name, "up"),
        down=_of(total["thumbs"], name, "down"),
        feel=mean(feels) if feels else None,
        surveyed=len(feels),
    )


def _felt(row: Any, waits: Iterable[int]) -> Felt:
    known = list(waits)
    return Felt(
        feel=row.feel,
        remark=row.remark,
        group="streaming" if row.streams else "whole",
        first_ms=median(known) if known else None,
        answers=len(known),
        when=row.at,
    )
