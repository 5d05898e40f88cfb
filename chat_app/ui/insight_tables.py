"""The figures of `/insights` as tables: what is plotted, read aloud and downloaded is the same rows. Pure; no state."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from chat_app.insights import EDGES, Figures, Goal, Group, Period, Spread

ENDS = ["complete", "stopped", "failed", "interrupted"]
FEELS = ["slow", "rather slow", "neither", "rather fast", "fast"]
FALLBACKS = {
    "off": "streaming is turned off on the way",
    "no-body": "the browser does not stream",
    "not-a-stream": "a proxy does not let streams through",
    "buffered": "a proxy holds streams back",
}


class Table(TypedDict):
    """`rows` as they are shown; `bars` the same as numbers, by column, for a plot. `count` is of what it is made."""

    columns: list[str]
    rows: list[list[str]]
    bars: list[dict[str, Any]]
    count: int


class Card(TypedDict):
    """A goal: `state` is `met`, `missed`, or empty."""

    name: str
    value: str
    target: str
    state: str


class Entry(TypedDict):
    """A line that may lead to an answer."""

    text: str
    note: str
    href: str


def cards(figures: Figures) -> list[Card]:
    return [_card(goal) for goal in figures.goals]


def _card(goal: Goal) -> Card:
    of = f"of {goal.count:,}" if goal.count else "nothing yet"
    target = f"{of} · target {goal.target:.0%}" if goal.target is not None else of
    state = {True: "met", False: "missed", None: ""}[goal.met]
    return Card(name=goal.name, value=_share(goal.share), target=target, state=state)


def tables(figures: Figures) -> dict[str, Table]:
    return {
        "first": _spread(figures.first),
        "lag": _spread(figures.lag),
        "series": _series(figures.series, figures.days),
        "errors": _counts("Error", figures.errors),
        "fallbacks": _counts("Why", {FALLBACKS.get(name, name): count for name, count in figures.fallbacks.items()}),
        "models": _models(figures),
        "groups": _groups(figures.groups),
        "survey": _survey(figures),
    }


def csv_of(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table["columns"])
    # A cell that begins so would be a formula in a spreadsheet.
    writer.writerows([("'" + cell if cell[:1] in "=+-@\t\r" else cell) for cell in row] for row in table["rows"])
    return text.getvalue()


def quantiles(spread: Spread) -> str:
    """`p50 120 ms · p90 340 ms · p99 1.2 s`"""
    if not spread.count:
        return ""
    return " · ".join(f"{name} {ms(getattr(spread, name))}" for name in ("p50", "p90", "p99"))


def ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value < 1_000 else f"{value / 1_000:,.1f} s"


def money(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"${value:,.2f}" if value >= 1 or not value else f"${value:.2g}" if value >= 0.0001 else "under $0.0001"


def when(moment: datetime) -> str:
    return f"{moment:%-d %b, %H:%M} UTC"


def slowest(figures: Figures) -> list[Entry]:
    return [
        Entry(
            text=ms(slow.ms),
            note=" · ".join(part for part in (slow.model, when(slow.when)) if part),
            href=f"/c/{slow.chat_id}#{slow.turn_id}" if slow.chat_id else "",
        )
        for slow in figures.slowest
    ]


def remarks(figures: Figures) -> list[Entry]:
    said = [
        Entry(
            text=remark.remark,
            note=f"{'Good' if remark.rating > 0 else 'Bad'} answer · {when(remark.when)}",
            href=f"/c/{remark.chat_id}#{remark.turn_id}",
        )
        for remark in figures.remarks
    ]
    felt = [
        Entry(text=answer.remark, note=f"Answers feel {FEELS[answer.feel - 1]} · {when(answer.when)}", href="")
        for answer in figures.survey
        if answer.remark
    ]
    return said + felt


def _share(share: float | None) -> str:
    # Not rounded up to a target that is missed.
    return "–" if share is None else f"{int(share * 1_000) / 10:g}%"


def _spread(spread: Spread) -> Table:
    names = [f"up to {ms(edge)}" for edge in EDGES[1:]] + [f"over {ms(EDGES[-1])}"]
    counts = [bar.count for bar in spread.bars]
    bars = [{"name": name, "answers": count} for name, count in zip(names, counts, strict=True)]
    rows = [[name, f"{count:,}"] for name, count in zip(names, counts, strict=True)]
    return Table(columns=["First token", "Answers"], rows=rows, bars=bars, count=spread.count)


def _series(series: Sequence[Period], days: int) -> Table:
    label = "%H:%M" if days == 1 else "%-d %b"
    bars: list[dict[str, Any]] = [
        {"name": period.start.strftime(label)} | {end: getattr(period, end) for end in [*ENDS, "resumed"]}
        for period in series
    ]
    rows = [[str(bar["name"]), *(f"{bar[end]:,}" for end in [*ENDS, "resumed"])] for bar in bars]
    columns = ["Hour (UTC)" if days == 1 else "Day (UTC)", *(end.capitalize() for end in [*ENDS, "resumed"])]
    return Table(columns=columns, rows=rows, bars=bars, count=sum(bar[end] for bar in bars for end in ENDS))


def _counts(name: str, counts: Mapping[str, int]) -> Table:
    bars = [{"name": key, "answers": count} for key, count in counts.items()]
    rows = [[key, f"{count:,}"] for key, count in counts.items()]
    return Table(columns=[name, "Answers"], rows=rows, bars=bars, count=sum(counts.values()))


def _models(figures: Figures) -> Table:
    bars = [{"name": use.model, "read": use.prompt_tokens, "written": use.completion_tokens} for use in figures.models]
    rows = [
        [use.model, f"{use.answers:,}", f"{use.prompt_tokens:,}", f"{use.completion_tokens:,}", money(use.cost)]
        for use in figures.models
    ]
    if len(rows) > 1:
        total = [
            sum(getattr(use, name) for use in figures.models)
            for name in ("answers", "prompt_tokens", "completion_tokens")
        ]
        rows.append(["All", *(f"{count:,}" for count in total), money(figures.cost)])
    columns = ["Model", "Answers", "Tokens read", "Tokens written", "Cost"]
    return Table(columns=columns, rows=rows, bars=bars, count=sum(use.answers for use in figures.models))


def _groups(groups: Sequence[Group]) -> Table:
    lines: list[list[str]] = [
        ["Sessions", *(f"{group.sessions:,}" for group in groups)],
        ["Answers", *(f"{group.answers:,}" for group in groups)],
        ["First useful text, p50", *(ms(group.first.p50) for group in groups)],
        ["First useful text, p90", *(ms(group.first.p90) for group in groups)],
        ["Failed answers", *(_share(group.failed / group.answers if group.answers else None) for group in groups)],
        ["Thumbs up", *(f"{group.up:,}" for group in groups)],
        ["Thumbs down", *(f"{group.down:,}" for group in groups)],
        ["How fast answers feel, 1 to 5", *("–" if group.feel is None else f"{group.feel:.1f}" for group in groups)],
    ]
    count = sum(group.sessions for group in groups)
    return Table(columns=["", "With streaming", "Without"], rows=lines, bars=[], count=count)


def _survey(figures: Figures) -> Table:
    bars, rows = [], []
    for feel, name in enumerate(FEELS, 1):
        answers = [answer for answer in figures.survey if answer.feel == feel]
        waits = [answer.first_ms for answer in answers if answer.first_ms is not None]
        bars.append({"name": name, "people": len(answers)})
        rows.append([name, f"{len(answers):,}", ms(sum(waits) / len(waits) if waits else None)])
    columns = ["Answers feel", "People", "Their first token, on average"]
    return Table(columns=columns, rows=rows, bars=bars, count=len(figures.survey))
