"""What a benchmark gives: tables of numbers, the same for JSON, Markdown and plots. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

OURS = "Rill"


@dataclass(frozen=True)
class Column:
    """`heading` says the unit."""

    key: str
    heading: str
    digits: int = 1


@dataclass(frozen=True)
class Row:
    """What was measured of one app, or one setting of it, in one case. None: it could not be, or means nothing."""

    case: str
    who: str
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Plot:
    """`bars`: a group for each case, in it a bar for each who; `lines`: over the number that the case begins with."""

    keys: Sequence[str]
    axis: str
    kind: Literal["bars", "lines"] = "bars"
    log: bool = False


@dataclass
class Table:
    """`name` is that of its files and of its place in the documents; `note` says how it was measured."""

    name: str
    title: str
    columns: Sequence[Column]
    note: str = ""
    plot: Plot | None = None
    rows: list[Row] = field(default_factory=list)

    def add(self, case: str, who: str = OURS, **values: float | None) -> Row:
        """Keep a row, and say it."""
        row = Row(case, who, values)
        self.rows.append(row)
        print(f"{self.name}: {case}, {who}: {'; '.join(self._said(row))}", flush=True)
        return row

    def cases(self) -> list[str]:
        return list(dict.fromkeys(row.case for row in self.rows))

    def whos(self) -> list[str]:
        return list(dict.fromkeys(row.who for row in self.rows))

    def value(self, case: str, who: str, key: str) -> float | None:
        return next((row.values.get(key) for row in self.rows if (row.case, row.who) == (case, who)), None)

    def heading(self, key: str) -> str:
        return next(column.heading for column in self.columns if column.key == key)

    def _said(self, row: Row) -> list[str]:
        return [f"{column.heading} {shown(row.values.get(column.key), column.digits)}" for column in self.columns]


def shown(value: float | None, digits: int = 1) -> str:
    """For people: none after the point from a hundred on."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.{digits}f}"


def quantile(values: Sequence[float], share: float) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def median_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Between which two of them the median of all such values lies with 95 % confidence, by their order alone. None:
    there are too few to say."""
    ordered = sorted(values)
    count, below, rank = len(ordered), 0.0, 0
    # Each value is below the median or not, as a coin falls.
    while count and (below := below + math.comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    return (ordered[rank - 1], ordered[count - rank]) if rank else (None, None)


def quantiles(name: str, values: Sequence[float], *shares: int) -> dict[str, float | None]:
    """`{"lag_p50": …}` for 50."""
    return {f"{name}_p{share}": quantile(values, share / 100) if values else None for share in shares}


def as_json(tables: Sequence[Table], about: Mapping[str, Any]) -> dict[str, Any]:
    """The file of a run: `about` it, then its tables by name."""
    return {
        "about": dict(about),
        "tables": {
            table.name: {
                "title": table.title,
                "note": table.note,
                "columns": {column.key: column.heading for column in table.columns},
                "rows": [{"case": row.case, "who": row.who, **row.values} for row in table.rows],
                "markdown": as_markdown(table),
                "plot": table.plot is not None,
            }
            for table in tables
        },
    }


def as_markdown(table: Table) -> str:
    """With a column for who, where there are several."""
    many = len(table.whos()) > 1
    heads = ["", *([""] if many else []), *(column.heading for column in table.columns)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in table.rows:
        cells = [shown(row.values.get(column.key), column.digits) for column in table.columns]
        lines.append(f"| {' | '.join([row.case, *([row.who] if many else []), *cells])} |")
    return "\n".join(lines)
