"""`make figures`: the last run's tables and plots into the documents, between the marks that name them.

A mark is `<!-- bench: page -->`, its end `<!-- bench -->`; `<!-- bench: about -->` takes the sentence on the run. Plots
go to `docs/figures/`.
"""

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from chat_app.config import ROOT
from tests.bench import report
from tests.bench.__main__ import OUT

DOCUMENTS = [ROOT / "docs" / "figures.md", ROOT / "README.md"]
PICTURES = ROOT / "docs" / "figures"
MARK = re.compile(r"<!-- bench: ([\w ]+) -->\n.*?<!-- bench -->", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.figures", description=__doc__)
    parser.add_argument("--run", type=Path, default=OUT, help="the folder of the run")
    folder: Path = parser.parse_args().run
    if not (folder / report.JSON).exists():
        sys.exit(f"{folder} has no {report.JSON}: `make bench` makes one.")
    run = json.loads((folder / report.JSON).read_text())
    if run["about"]["quick"]:
        sys.exit("The last run was a quick one: its figures are for nobody. `make bench` makes a whole one.")
    for document in DOCUMENTS:
        pictures = os.path.relpath(PICTURES, document.parent)
        document.write_text(filled(document.read_text(), run, pictures))
        print(f"{document.relative_to(ROOT)}: {', '.join(MARK.findall(document.read_text()))}")
    PICTURES.mkdir(exist_ok=True)
    for picture in folder.glob("*.svg"):
        shutil.copy(picture, PICTURES / picture.name)


def filled(text: str, run: dict[str, Any], pictures: str) -> str:
    """A document with this run's tables, and links to their plots in that folder. What was not measured stays."""

    def fill(mark: re.Match[str]) -> str:
        name = mark[1]
        if name == "about":
            inside = report.heading(run["about"])
        elif name in run["tables"]:
            table = run["tables"][name]
            picture = f"\n\n![{table['title']}]({pictures}/{name}.svg)" if table["plot"] else ""
            inside = table["markdown"] + picture
        else:
            return mark[0]
        return f"<!-- bench: {name} -->\n{inside}\n<!-- bench -->"

    return MARK.sub(fill, text)


if __name__ == "__main__":
    main()
