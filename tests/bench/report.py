"""Writes a run to its folder: `bench.json`, `bench.md`, and a PNG and an SVG for each plot."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chat_app.config import ROOT
from tests.bench import plots
from tests.bench.records import Table, as_json, as_markdown

JSON, MARKDOWN = "bench.json", "bench.md"


def about(quick: bool) -> dict[str, Any]:
    """Of the run: when, of what, on what kind of machine; nothing that names that."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip() or None,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "quick": quick,
    }


def write(folder: Path, tables: Sequence[Table], said: dict[str, Any]) -> None:
    """Whatever was there is replaced by what this run has."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON).write_text(json.dumps(as_json(tables, said), indent=1) + "\n")
    parts = [f"# A run of `make bench`\n\n{heading(said)}\n"]
    for table in tables:
        picture = ""
        if table.plot and table.rows:
            plots.draw(table, [folder / f"{table.name}.png", folder / f"{table.name}.svg"])
            picture = f"\n![{table.title}]({table.name}.png)\n"
        parts.append(f"## {table.title}\n\n{table.note}\n\n{as_markdown(table)}\n{picture}")
    (folder / MARKDOWN).write_text("\n".join(parts))


def heading(said: dict[str, Any]) -> str:
    """One sentence on a run."""
    quick = " It was a short run: too few answers to rely on." if said["quick"] else ""
    load = f", load {said['load']} at its start" if said["load"] is not None else ""
    return (
        f"Made on {said['made'][:10]} of {said['commit'] or 'a tree without a commit'}, with Python {said['python']} "
        f"on {said['system']} with {said['cores']} cores{load}.{quick}"
    )
