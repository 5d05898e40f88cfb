"""The benchmark's own parts: tables in one form for JSON, Markdown, plots and documents, and a short run of it all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chat_app.config import ROOT
from tests.bench import figures, peers, plots, report
from tests.bench.__main__ import PARTS
from tests.bench.page import Case
from tests.bench.records import Column, Plot, Table, as_json, as_markdown, median_interval, quantile, shown

ABOUT = {"made": "2026-11-27T08:00:00+00:00", "commit": "abc", "python": "3.11", "system": "Linux", "cores": 2}


def table(kind: str = "bars") -> Table:
    columns = [Column("lag", "lag, ms"), Column("cpu", "CPU, µs", 0)]
    made = Table("page", "How late", columns, "A note.", Plot(["lag"], "ms", kind))
    made.add("10 pages", lag=4.25, cpu=1_580.4)
    made.add("10 pages", "Chainlit", lag=None, cpu=12)
    made.add("100 pages", lag=123.4, cpu=0)
    return made


def test_a_table_as_markdown_has_who_only_where_there_are_several() -> None:
    assert as_markdown(table()).splitlines() == [
        "|  |  | lag, ms | CPU, µs |",
        "|---|---|---|---|",
        "| 10 pages | Rill | 4.2 | 1,580 |",
        "| 10 pages | Chainlit | – | 12 |",
        "| 100 pages | Rill | 123 | 0 |",
    ]
    alone = Table("pages", "", [Column("lag", "lag, ms")])
    alone.add("1 pages", lag=0.125)
    assert as_markdown(alone).splitlines()[0] == "|  | lag, ms |"


def test_a_run_is_one_file_of_json_one_of_markdown_and_plots(tmp_path: Path) -> None:
    about = ABOUT | {"load": 0.1, "quick": False}
    report.write(tmp_path, [table()], about)
    run = json.loads((tmp_path / report.JSON).read_text())
    assert run == as_json([table()], about)
    assert run["tables"]["page"]["rows"][1] == {"case": "10 pages", "who": "Chainlit", "lag": None, "cpu": 12}
    text = (tmp_path / report.MARKDOWN).read_text()
    assert as_markdown(table()) in text
    assert "![How late](page.png)" in text
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "page.svg").read_text()


@pytest.mark.parametrize("kind", ["bars", "lines"])
def test_the_same_figures_give_the_same_picture(kind: str, tmp_path: Path) -> None:
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        plots.draw(table(kind), [file])
    assert files[0].read_text() == files[1].read_text()


def test_documents_take_what_a_run_has() -> None:
    about = ABOUT | {"load": None, "quick": False}
    text = (
        "Made.\n<!-- bench: about -->\n<!-- bench -->\n<!-- bench: page -->\nold\n<!-- bench -->\n"
        "<!-- bench: doors -->\nkept\n<!-- bench -->\n"
    )
    once = figures.filled(text, as_json([table()], about), "figures")
    assert f"<!-- bench: page -->\n{as_markdown(table())}\n\n![How late](figures/page.svg)\n<!-- bench -->" in once
    assert "Made on 2026-11-27 of abc" in once
    assert "kept" in once
    assert "old" not in once
    assert figures.filled(once, as_json([table()], about), "figures") == once


def test_the_documents_have_a_place_for_what_is_measured() -> None:
    marks = figures.MARK.findall((ROOT / "docs" / "figures.md").read_text())
    tables = {"page", "drawing", "long_chat", "measuring", "reports", "doors", "written", "pages", "answers", "chats"}
    assert len(marks) == len(set(marks))
    assert set(marks) == {"about", "insights", *tables}


@pytest.mark.parametrize("name", peers.names())
def test_a_peer_is_described(name: str) -> None:
    described = peers.peer(name)
    assert described.box and described.answer
    assert any("{port}" in word for word in described.command)
    assert all("==" in package for package in described.packages)


def test_numbers() -> None:
    assert [shown(value) for value in (None, 0.04, 99.94, 1_234.5)] == ["–", "0.0", "99.9", "1,234"]
    assert quantile([1.0], 0.99) == 1.0
    assert quantile([*map(float, range(101))], 0.99) == 99.0
    assert Case("", {"tokens": 12}).last == 11


def test_how_sure_a_median_is() -> None:
    """As the tables of the sign test have it."""
    for count, rank in ((6, 1), (12, 3), (60, 22)):
        values = [float(n) for n in range(1, count + 1)]
        assert median_interval(values[::-1]) == (rank, count + 1 - rank)
    assert median_interval([1.0] * 5) == median_interval([]) == (None, None)


@pytest.mark.thorough
@pytest.mark.timeout(1_200)
def test_a_short_run_measures_everything(page_built: None, tmp_path: Path) -> None:
    # Its limits are for a machine that does nothing else.
    subprocess.run([sys.executable, "-m", "tests.bench", "--quick", "--out", tmp_path], cwd=ROOT, check=False)
    run = json.loads((tmp_path / report.JSON).read_text())
    assert run["about"]["quick"] is True
    tables = {"page", "drawing", "measuring", "reports", "doors", "pages", "answers", "chats", "insights"}
    assert run["tables"].keys() == tables
    for name in tables:
        assert run["tables"][name]["rows"], name
        assert (tmp_path / f"{name}.png").exists() == run["tables"][name]["plot"], name
    assert len(PARTS) == 7
