"""The app as a package: its wheel, in an environment that has no more, run in a folder of whoever uses it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.async_api import Page, expect

from chat_app import built
from chat_app.config import ROOT, VERSION
from tests.app import App, Process
from tests.e2e.chat import ChatPage
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

AGENT = """
from pathlib import Path


async def reply(messages):
    yield f"You said: {messages[-1]['content']}"
    yield Path("handbook.txt").read_text()
"""
UV = [sys.executable, "-m", "uv"]
SYSTEM = "/usr/bin:/bin"
FETCHING = ("UV_", "PIP_", "NPM_", "SSL_", "NODE_", "HTTP_", "HTTPS_", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(scope="module")
def wheel(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    make = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(make, cwd=ROOT, check=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nothing is installed but the wheel and what it declares to need, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    # Or the first start would compile it all, for longer than a server may take to be up.
    install(folder, "--compile-bytecode", str(wheel))
    return folder


def install(environment: Path, *asked: str, locks: Sequence[str] = ("requirements.lock",)) -> None:
    target = ["--quiet", "--python", str(environment / "bin" / "python")]
    constraints = [option for lock in locks for option in ("--constraint", str(ROOT / lock))]
    subprocess.run([*UV, "pip", "install", *target, *constraints, *asked], check=True)


class Installed(App):
    """`rill`, in its folder, with the settings of the `.env` there."""

    def __init__(self, folder: Path, environment: Path, path: str = SYSTEM, **variables: str) -> None:
        super().__init__(folder)
        self.variables = variables
        self.root = folder
        self.log = folder.with_suffix(".log")
        self.rill = environment / "bin" / "rill"
        self.path = path

    def environment(self) -> dict[str, str]:
        return {
            # How packages are fetched here, by pip, uv and npm.
            **{name: value for name, value in os.environ.items() if name.upper().startswith(FETCHING)},
            "PATH": self.path,
            "HOME": os.environ["HOME"],
            "PORT": str(self.port),
            "SHUTDOWN_GRACE": "0",
            **self.variables,
        }

    def spawn(self, environment: dict[str, str]) -> Process:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [self.rill], cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.rill, *arguments], cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False
        )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


def written(environment: Path) -> dict[Path, int]:
    """All files of the environment but what Python itself makes of them."""
    return {
        path: path.stat().st_mtime_ns
        for path in environment.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.is_symlink()
    }


@pytest.fixture(scope="module")
def installed(environment: Path) -> dict[Path, int]:
    """Before anything runs."""
    return written(environment)


@pytest.fixture(scope="module")
def running(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_agent.py").write_text(AGENT)
    (folder / "handbook.txt").write_text(" (page 1)")
    (folder / ".env").write_text("REPLIES=my_agent:reply\n")
    with Installed(folder, environment) as app:
        yield app


async def test_it_runs_in_any_folder_and_keeps_its_things_there(
    installed: dict[Path, int], environment: Path, running: Installed, page: Page
) -> None:
    with running.http.stream("POST", "/stream/", json={"content": "hello"}) as response:
        frames = [line.removeprefix("data:") for line in response.iter_lines() if line]
    assert "".join(json.loads(frame)["delta"] for frame in frames[1:-1]) == "You said: hello (page 1)"
    chat = ChatPage(page, running)
    await page.goto(running.url)
    await chat.box.fill("And here?")
    await chat.box.press("Enter")
    await expect(page.get_by_role("article", name="Assistant said")).to_contain_text("You said: And here? (page 1)")
    for path in ("/embed", "/docs", "/chat.css"):
        assert running.http.get(path).status_code == 200, path
    assert f"server started version={VERSION}" in running.logged()
    assert names(running.root) == {".env", "my_agent.py", "handbook.txt", "data"}
    assert (running.root / "data" / "chat.db").is_file()
    assert written(environment) == installed


async def test_its_commands_are_those_of_the_checkout(running: Installed) -> None:
    assert running.run("--version").stdout == f"Rill {VERSION}\n"
    asked = running.run("chat", "--url", running.url, "Is it you?")
    assert (asked.returncode, asked.stdout) == (0, "You said: Is it you? (page 1)\n"), asked.stderr
    copy = running.root.with_name("copy.db")
    saved = running.run("backup", str(copy))
    assert (saved.returncode, copy.is_file()) == (0, True), saved.stderr
    assert "usage: rill" in running.run("--help").stdout


def test_the_wheel_has_the_page_and_nothing_of_who_built_it(wheel: Path) -> None:
    assert wheel.name == f"rill_chat-{VERSION}-py3-none-any.whl"
    with ZipFile(wheel) as content:
        inside = content.namelist()
        text = b"".join(content.read(name) for name in inside if name.endswith((".html", ".json", ".py", ".js")))
    stamp = built.folder(built.fingerprint()).name
    assert f"chat_app/shipped/pages/{stamp}/build/client/index.html" in inside
    assert {name.split("/")[0] for name in inside} == {"chat_app", "rill", f"rill_chat-{VERSION}.dist-info"}
    assert not any("external" in name.split("/") for name in inside if "/assets/" in name and "/pages/" not in name)
    assert str(ROOT).encode() not in text


def test_a_page_of_ones_own_needs_node_and_says_so(environment: Path, tmp_path: Path) -> None:
    app = Installed(tmp_path / "project", environment, path=str(tmp_path))
    app.root.mkdir()
    assert app.run("new", "my_agent").returncode == 0
    (app.root / ".env").write_text("PAGES=my_agent.pages:add\n")
    ran = app.run("build")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("The page must be built, and there is no Node for it.")
    assert not (app.root / ".rill").exists()


async def test_pages_and_brand_of_ones_own_are_built_in_that_folder(
    wheel: Path, environment: Path, tmp_path: Path, page: Page
) -> None:
    app = Installed(tmp_path / "project", environment)
    app.root.mkdir()
    install(environment, f"{wheel}[pages]")
    assert app.run("new", "my_agent").returncode == 0
    used = {"REPLIES": "agent:reply", "HOOKS": "hooks:setup", "PAGES": "pages:add"}
    settings = [f"{name}=my_agent.{function}" for name, function in used.items()]
    (app.root / ".env").write_text("\n".join([*settings, "BRAND=my_agent/brand.toml"]))
    # With what npm installed, which takes longer than the build.
    (app.root / ".rill").mkdir()
    shutil.copytree(ROOT / ".web", app.root / ".rill" / ".web", symlinks=True, copy_function=copy_or_link)
    before = written(environment)
    built_page = app.run("build")
    assert built_page.returncode == 0, built_page.stdout + built_page.stderr
    assert names(app.root) == {".env", "my_agent", ".rill"}
    with app:
        assert "The page is built already." in app.logged()
        await page.goto(f"{app.url}/about-my_agent")
        await expect(page.get_by_role("heading", name="About my_agent")).to_be_visible()
        await page.get_by_role("link", name="To the chats").click()
        await expect(page.get_by_text("Ask something.")).to_be_visible()
        assert "#7a1fa2" in app.http.get("/brand/colours.css").text
    assert written(environment) == before
    assert names(app.root) == {".env", "my_agent", ".rill", "data"}


def copy_or_link(source: str, target: str) -> None:
    # npm replaces its files and does not write into them, so ours may be the same ones.
    if "node_modules" in Path(source).parts:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def test_the_embedded_model_comes_on_request(environment: Path, tmp_path: Path) -> None:
    app = Installed(tmp_path / "project", environment, path=f"{Path(sys.executable).parent}:{SYSTEM}")
    app.root.mkdir()
    with app:
        lacking = app.http.post("/messages/", json={"content": "Say hello."})
        assert "The embedded model is not installed. Run `rill model`" in lacking.json()["error"]["message"]
        fetched = app.run("model")
        assert fetched.returncode == 0, fetched.stderr
        app.stop()
        app.start()
        reply = app.http.post("/messages/", json={"content": "Say hello."}, timeout=120).raise_for_status().json()
    assert (reply["status"], bool(reply["content"])) == ("complete", True)


FRAMEWORKS = """
import with_openai_agents
import with_pydantic_ai
from with_langgraph import reply
"""


async def test_the_frameworks_of_an_agent_find_room_beside_it(wheel: Path, provider: Provider, tmp_path: Path) -> None:
    """All in one environment, as an agent's project has them: what each asks for agrees with what the others do."""
    environment = tmp_path / "venv"
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    frameworks = ["-r", str(ROOT / "tests" / "examples" / "requirements.txt")]
    locks = ["requirements.lock", "tests/examples/requirements.lock"]
    install(environment, "--compile-bytecode", str(wheel), *frameworks, locks=locks)
    check = [*UV, "pip", "check", "--python", str(environment / "bin" / "python")]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    model = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "none", "OPENAI_MODEL": "bench"}
    app = Installed(tmp_path / "project", environment, **model, REPLIES="my_agent:reply")
    app.root.mkdir()
    for name in ("with_openai_agents", "with_pydantic_ai", "with_langgraph"):
        shutil.copy(ROOT / "tests" / "examples" / f"{name}.py", app.root)
    (app.root / "my_agent.py").write_text(FRAMEWORKS)
    with app:
        asked = app.http.post("/messages/", json={"content": "Hello\n" + script(text="From the graph.")})
        assert asked.json()["content"] == "From the graph."
