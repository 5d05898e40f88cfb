"""The README and docs/: what they link to and name is there, and what they show runs."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_app import extend
from chat_app.brand import load_brand
from chat_app.config import ROOT, Settings
from chat_app.models import Message
from chat_app.service import serving
from tests.forked import Api
from tests.own_app import own_app

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:3000"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"(?<![\w/*.-])[\w*][\w/*-]*\.(?:py|jsx|js|md|html)")
MODULE = re.compile(r"^# (\w+)\.py +(\w+)=(\w+):(\w+) make run$", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(document: str, language: str) -> list[str]:
    return [code for kind, code in CODE.findall((ROOT / document).read_text()) if kind == language]


# What is named


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_a_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        if "://" not in path:
            file = document.parent / path if path else document
            assert file.exists(), target
            assert not anchor or anchor in headings(file), target


def headings(file: Path) -> set[str]:
    """As GitHub makes addresses of them."""
    found = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", ["README.md", *(name(one) for one in sorted((ROOT / "docs").glob("*.md")))])
def test_a_file_that_is_named_is_there(document: str) -> None:
    prose = CODE.sub("", (ROOT / document).read_text())
    named = {one for quoted in re.findall(r"`([^`\n]+)`", prose) for one in FILE.findall(quoted)}
    assert {one for one in named if not is_there(one)} == set()


def is_there(path: str) -> bool:
    folders = (ROOT, ROOT / "chat_app", ROOT / "chat_app/replies", ROOT / "chat_app/api/reference")
    return any(any(folder.glob(path)) for folder in folders)


def test_the_map_names_what_is_there() -> None:
    (drawn,) = [code for code in blocks("docs/code.md", "") if code.startswith("chat_app/")]
    modules = {one for one in FILE.findall(drawn) if "/" not in one and "*" not in one}
    there = {path.name for path in ROOT.joinpath("chat_app").rglob("*.py")} | {"provider.py"}
    assert modules <= there
    core = [path for folder in ("turns", "store") for path in ROOT.joinpath("chat_app", folder).glob("*.py")]
    assert {path.name for path in core} - {"__init__.py"} <= modules


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = dict(re.findall(r"^\| (`[A-Z_`, ]+`) \| (.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    names = {one.lower(): default for row, default in table.items() for one in re.findall(r"`(\w+)`", row)}
    # A path stops the start, so it is no setting to be told of.
    assert names.keys() == Settings.model_fields.keys() - {"base_path"}
    for row, shown in table.items():
        defaults = [Settings.model_fields[one.lower()].default for one in re.findall(r"`(\w+)`", row)]
        values = [str(one).removesuffix(".0") for one in defaults if type(one) in (int, float) and one != 1.0]
        assert all(f"`{value}`" in shown for value in values), row


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_what_make_is_asked_for_it_can(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+)(?: [\w-]+)*:(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= {"test", "test-all", "test-thorough"}
    assert set(re.findall(r"\bmake ([a-z][\w-]*)\b(?=[`\s])(?! (?:so|it))", code_of(document))) <= targets


def code_of(document: Path) -> str:
    text = document.read_text()
    return "\n".join([*(code for _, code in CODE.findall(text)), *re.findall(r"`[^`\n]+`", text)])


# What is shown


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("documents"), replies="tests.examples.rules:reply") as running:
        yield running


def test_the_commands_for_curl_run(running: Api) -> None:
    commands = [code for code in blocks("docs/api.md", "sh") if code.startswith("curl")]
    assert len(commands) == 3
    for command in commands:
        shown = shell(command.replace(URL, running.url).replace("curl", "curl -sS"))
        assert "Hello! " in shown
    assert shown.startswith("{")


@pytest.mark.slow
def test_the_python_client_is_used_as_shown(running: Api) -> None:
    streamed, waited = [run_client(code, running) for code in blocks("docs/api.md", "python") if "ChatClient" in code]
    assert streamed[0].startswith("turn ")
    assert "Give me a temperature" in streamed[1]
    assert streamed[2].startswith("stop, ")
    assert "Give me a temperature" in waited[0] and "Say hello" in waited[0]


def run_client(code: str, running: Api) -> list[str]:
    command = [sys.executable, "-c", code.replace(URL, running.url)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.slow
def test_the_commands_for_the_terminal_run(running: Api, tmp_path: Path) -> None:
    (code,) = [code for code in blocks("docs/api.md", "sh") if "chat_app.client" in code]
    chat_id = running.http.post("/messages/", json={"content": "Hello"}).json()["chat_id"]
    for line in code.splitlines():
        command = line.partition("   #")[0].replace("chat_app.client", f"chat_app.client --url {running.url}")
        command = command.replace("ID", chat_id).replace("python", shlex.quote(sys.executable))
        command = command.replace("git diff", "echo 20 C").replace("review.md", str(tmp_path / "review.md"))
        # There is no terminal here to chat at.
        refused = command.rstrip().endswith(running.url)
        run = subprocess.run(["sh", "-c", command], cwd=ROOT, input="", capture_output=True, text=True, timeout=60)
        assert (run.returncode == 0) != refused, f"{command}: {run.stderr}"
        assert "Traceback" not in run.stderr
    assert (tmp_path / "review.md").read_text()


def shell(command: str) -> str:
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


async def answered(folder: Path, **settings: Any) -> Message:
    """The answer to "Hello"."""
    used = Settings.model_validate({"database_url": f"sqlite:///{folder / 'chat.db'}", **settings})
    async with serving(used) as service:
        turn = await service.turns.start("Hello")
        await turn.end()
        reply = await service.store.message(turn.id)
    assert reply
    return reply


async def test_what_extends_it_works_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named: dict[str, list[str]] = {"replies": [], "hooks": [], "pages": []}
    made = re.findall(r"rill new (\w+)", (ROOT / "docs" / "extending.md").read_text())
    for code in blocks("docs/extending.md", "python"):
        (module, variable, in_module, function) = MODULE.findall(code)[0]
        assert module == in_module
        # Beside the folder that the tutorial begins with, which Python would import instead.
        assert module not in made
        (tmp_path / f"{module}.py").write_text(code)
        named[variable.lower()].append(f"{module}:{function}")
    monkeypatch.syspath_prepend(tmp_path)
    first, *others = named["replies"]
    for replies in others:
        assert (await answered(tmp_path, replies=replies)).status == "complete", replies
    capsys.readouterr()
    hooks, *others = named["hooks"]
    for before in others:
        assert (await answered(tmp_path, replies=first, hooks=before)).content.startswith("You said: "), before
    capsys.readouterr()
    reply = await answered(tmp_path, replies=first, hooks=hooks)
    assert reply.content == "You said: Hello"
    shown = capsys.readouterr().out
    assert shown.startswith("asked: Hello\nYou said: Hello")
    assert "complete" in shown


def test_the_brand_of_the_tutorial_is_one(tmp_path: Path) -> None:
    [brand] = blocks("docs/extending.md", "toml")
    for written in (brand, re.sub("^# (?=icon|logo)", "", brand, flags=re.MULTILINE)):
        (tmp_path / "brand.toml").write_text(written)
        assert load_brand(tmp_path / "brand.toml").name == "Acme"
        for name in ("logo.svg", "icon.svg"):
            (tmp_path / name).touch()


def test_the_pages_of_the_tutorial_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    with own_app() as app:
        for code in [code for code in blocks("docs/extending.md", "python") if "PAGES=" in code]:
            (module, _, _, function) = MODULE.findall(code)[0]
            (tmp_path / f"{module}.py").write_text(code)
            extend.page_adder(f"{module}:{function}")(app)
        drawn = {route: str(page.component()) for route, page in app._unevaluated_pages.items()}
    assert "Hello" in drawn["hello"]
    assert "Conversation" in drawn["digest"]
