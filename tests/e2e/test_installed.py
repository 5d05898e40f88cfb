"""The app as a package: its wheel, in an environment that has no more, run in a folder of whoever uses it."""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.async_api import Page, expect

from chat_app import built
from chat_app.config import ROOT, VERSION
from tests.e2e.chat import ChatPage
from tests.installed import SYSTEM, Installation, Installed, install, names, written
from tests.tree import copy_workshop

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

AGENT = """
from pathlib import Path


async def reply(messages):
    yield f"You said: {messages[-1]['content']}"
    yield Path("handbook.txt").read_text()
"""


@pytest.fixture(scope="module")
def running(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_agent.py").write_text(AGENT)
    (folder / "handbook.txt").write_text(" (page 1)")
    (folder / ".env").write_text("REPLIES=my_agent:reply\n")
    with Installed(folder, installation.environment) as app:
        yield app


async def test_it_runs_in_any_folder_and_keeps_its_things_there(
    installation: Installation, running: Installed, page: Page
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
    assert written(installation.environment) == installation.files


async def test_its_commands_are_those_of_the_checkout(running: Installed) -> None:
    assert running.run("--version").stdout == f"Rill {VERSION}\n"
    asked = running.run("chat", "--url", running.url, "Is it you?")
    assert (asked.returncode, asked.stdout) == (0, "You said: Is it you? (page 1)\n"), asked.stderr
    copy = running.root.with_name("copy.db")
    saved = running.run("backup", str(copy))
    assert (saved.returncode, copy.is_file()) == (0, True), saved.stderr
    assert "usage: rill" in running.run("--help").stdout


def test_the_wheel_has_the_page_and_nothing_of_who_built_it(installation: Installation) -> None:
    wheel = installation.wheel
    assert wheel.name == f"rill_chat-{VERSION}-py3-none-any.whl"
    with ZipFile(wheel) as content:
        inside = content.namelist()
        text = b"".join(content.read(name) for name in inside if name.endswith((".html", ".json", ".py", ".js")))
    stamp = built.folder(built.fingerprint()).name
    assert f"chat_app/shipped/pages/{stamp}/build/client/index.html" in inside
    assert {name.split("/")[0] for name in inside} == {"chat_app", "rill", f"rill_chat-{VERSION}.dist-info"}
    assert not any("external" in name.split("/") for name in inside if "/assets/" in name and "/pages/" not in name)
    assert str(ROOT).encode() not in text


def test_a_page_of_ones_own_needs_node_and_says_so(installation: Installation) -> None:
    assert installation.without_node.code == 1
    said = installation.without_node.said.splitlines()[-1]
    assert said.startswith("The page must be built, and there is no Node for it.")
    assert installation.left == [".env", "all_pages.py", "my_agent", "tests"]


@pytest.mark.thorough
def test_rill_dev_serves_from_an_installed_package_and_again_what_is_saved(
    installation: Installation, tmp_path: Path
) -> None:
    app = Installed(tmp_path / "project", installation.environment)
    app.command = ["dev"]
    (app.root / ".rill").mkdir(parents=True)
    copy_workshop(installation.project / ".rill", app.root / ".rill")
    (app.root / "my_agent.py").write_text(AGENT.replace("handbook.txt", "my_agent.py"))
    (app.root / ".env").write_text("REPLIES=my_agent:reply\n")
    # One that is kept may be closed by the server's end just as it is used again.
    app.http.headers["Connection"] = "close"
    with app:
        page = app.http.get("/", headers={"Accept": "text/html"}, timeout=120)
        assert "/_dev/reload.js" in page.text
        # Vite has made the rest of it, too.
        assert app.http.get("/app/root.jsx", timeout=120).headers["Content-Type"].startswith("text/javascript")
        assert app.http.get("/embed").status_code == 200
        (app.root / "my_agent.py").write_text(AGENT.replace("You said", "One said").replace("handbook.txt", ".env"))
        while "One said: hello" not in app.http.post("/messages/", json={"content": "hello"}).text:
            time.sleep(0.05)
    assert names(app.root) == {".env", "my_agent.py", ".rill", "data"}
    assert written(installation.environment) == installation.files


def test_the_embedded_model_comes_on_request(installation: Installation, tmp_path: Path) -> None:
    app = Installed(tmp_path / "project", installation.environment, path=f"{Path(sys.executable).parent}:{SYSTEM}")
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


def test_the_frameworks_of_an_agent_find_room_beside_it(installation: Installation) -> None:
    """All in one environment, as an agent's project has them: what each asks for agrees with what the others do.

    They are run together in test_frameworks.py.
    """
    frameworks = ["-r", str(ROOT / "tests" / "examples" / "requirements.txt")]
    locks = ["requirements.lock", "tests/examples/requirements.lock"]
    would = install(installation.environment, "--dry-run", str(installation.wheel), *frameworks, locks=locks).said
    for name in ("langgraph", "openai-agents", "pydantic-ai-slim"):
        assert f" + {name}==" in would
    # Nor is anything that the app has left out or put back for them.
    assert set(re.findall(r"^ - (\S+)==", would, re.MULTILINE)) <= {"rill-chat"}, would
