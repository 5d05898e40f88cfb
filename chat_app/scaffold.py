"""`rill new NAME`: a folder with an agent, hooks, a page, a brand and a test, that works as it is."""

from pathlib import Path

from chat_app.errors import CannotStart
from chat_app.folders import INSTALLED

TEMPLATE = Path(__file__).with_name("template")
START = "rill" if INSTALLED else "make run"
PYTHON = "python" if INSTALLED else ".venv/bin/python"


def new_agent(name: str, within: Path) -> Path:
    """The folder that was made. Raises CannotStart: the name is none for a module, or something has it already."""
    folder = within / name
    if not name.isidentifier() or name != name.lower():
        raise CannotStart(f"{name!r} is no name for a module. Use lower-case letters, digits and _, such as my_agent.")
    if folder.exists() or folder.with_suffix(".py").exists():
        raise CannotStart(f"{folder} is there already. Choose another name.")
    try:
        folder.mkdir()
        for file in TEMPLATE.glob("*.txt"):
            text = file.read_text("utf-8").replace("NAME", name).replace("START", START).replace("PYTHON", PYTHON)
            (folder / file.stem).write_text(text, "utf-8")
    except OSError as problem:
        raise CannotStart(f"{folder} cannot be written: {problem.strerror}.") from problem
    return folder
