"""Tables as pictures: PNG for the folder of a run, SVG for the documents."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from tests.bench.records import Table

COLOURS = ["#3b6ea8", "#d08a3c", "#5b9a68", "#a85b8a", "#8a8a8a"]
INCHES = (8.0, 4.2)
BAR_SHARE = 0.8
"""Of a group's place, what its bars take."""
# The same file for the same figures: nothing of when or by what it was made.
matplotlib.rcParams["svg.hashsalt"] = "rill"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "svg.fonttype": "none",
    "axes.axisbelow": True,
}


def draw(table: Table, files: Sequence[Path]) -> None:
    """Write the plot of a table to these files; their suffixes say what they are."""
    assert table.plot
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
        _lines(axes, table) if table.plot.kind == "lines" else _bars(axes, table)
        if table.plot.log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(table.plot.axis)
        axes.set_title(table.title, fontsize=11, loc="left")
        axes.legend(frameon=False, fontsize=9)
        for file in files:
            figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)
        pyplot.close(figure)


def _series(table: Table) -> list[tuple[str, str, str]]:
    """Who, what, and how both are called together."""
    assert table.plot
    whos, keys = table.whos(), table.plot.keys
    return [(who, key, _label(table, who, key)) for who in whos for key in keys]


def _label(table: Table, who: str, key: str) -> str:
    assert table.plot
    names = [who] if len(table.whos()) > 1 else []
    return ", ".join([*names, *([table.heading(key)] if len(table.plot.keys) > 1 or not names else [])])


def _bars(axes: Axes, table: Table) -> None:
    cases, series = table.cases(), _series(table)
    width = BAR_SHARE / len(series)
    for number, (who, key, label) in enumerate(series):
        values = [table.value(case, who, key) for case in cases]
        places = [place + (number - (len(series) - 1) / 2) * width for place in range(len(cases))]
        known = [(place, value) for place, value in zip(places, values, strict=True) if value is not None]
        colour = COLOURS[number % len(COLOURS)]
        bars = axes.bar([place for place, _ in known], [value for _, value in known], width, label=label, color=colour)
        axes.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.1f}", fontsize=7)
    axes.set_xticks(range(len(cases)), [_broken(case) for case in cases], fontsize=8)
    axes.grid(axis="x", visible=False)


def _broken(case: str) -> str:
    """In lines of about two words."""
    words = case.split()
    return "\n".join(" ".join(words[at : at + 2]) for at in range(0, len(words), 2))


def _lines(axes: Axes, table: Table) -> None:
    for number, (who, key, label) in enumerate(_series(table)):
        rows = [row for row in table.rows if row.who == who and row.values.get(key) is not None]
        points = [(number_of(row.case), row.values[key]) for row in rows]
        axes.plot(*zip(*points, strict=True), marker="o", label=label, color=COLOURS[number % len(COLOURS)])
    ticks = sorted({number_of(case) for case in table.cases()})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(" ".join(table.cases()[-1].split()[1:]))


def number_of(case: str) -> int:
    """What a case begins with: `1,000 messages`."""
    return int(case.split()[0].replace(",", ""))
