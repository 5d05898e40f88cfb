"""A page from outside `chat_app/`, as PAGES adds it: built and served from a copy of the tree, `.web` is shared."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Page, expect

from chat_app.config import ROOT
from tests.app import App
from tests.e2e.chat import ChatPage
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

PAGES = "tests.examples.usage_page:add"
TREE = ["chat_app", "tests", "assets", "rxconfig.py", "requirements.txt", "reflex.lock"]


@pytest.fixture(scope="module")
def usage_app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    tree = tmp_path_factory.mktemp("tree")
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    # With what npm installed, which takes longer than the build.
    shutil.copytree(ROOT / ".web", tree / ".web", symlinks=True)
    build = f"from chat_app.__main__ import build_page; build_page({PAGES!r})"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True)
    app = App(tmp_path_factory.mktemp("usage"), openai_base_url=provider.base_url, openai_model="bench", pages=PAGES)
    app.root = tree
    with app:
        yield app
    shutil.rmtree(tree)


async def test_a_person_looks_at_the_usage(page: Page, usage_app: App) -> None:
    table = page.get_by_role("table", name="Usage by day and model")
    await page.goto(f"{usage_app.url}/usage")
    await expect(page.get_by_text("Nothing was asked yet.")).to_be_visible()
    async with httpx.AsyncClient(base_url=usage_app.url) as client:
        for _ in range(2):
            sent = await client.post("/messages/", json={"content": script(tokens=7)})
            assert sent.status_code == 200
    await page.reload()
    await expect(table.get_by_role("row")).to_have_count(2)
    today = table.get_by_role("row").last
    cells = await today.get_by_role("cell").all_inner_texts()
    day, model, turns, failed, _, tokens_out, wait = cells
    assert day == f"{sent.json()['created_at']:.10}"
    assert (model, turns, failed, tokens_out) == ("bench", "2", "0", "14")
    assert wait.endswith(" ms")
    await page.get_by_role("link", name="Back to the chats").click()
    # The chat itself is as it always is.
    chat = ChatPage(page, usage_app)
    await expect(chat.box).to_be_visible()
    await expect(chat.chats).to_have_count(2)
