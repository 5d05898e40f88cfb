"""`/v1` with clients that others wrote, LangChain's and `llm`, with a key and over HTTP; OpenAI's own is in
`test_completions`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chat_app.config import ROOT
from tests.forked import Api
from tests.people import add_key, add_person
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BIN = Path(sys.prefix) / "frameworks" / "bin"
CALL = {"name": "in_stock", "arguments": '{"size": 42}'}


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("v1 clients")
    with Api(folder, auth="password", openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


@pytest.fixture(scope="module")
async def key(api: Api, anyio_backend: str) -> str:
    return await add_key(api, await add_person(api, "Ada"))


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        command, cwd=ROOT, env=environ | environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def contents(api: Api, key: str) -> list[list[str]]:
    """Of all chats that are kept."""
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        chats = [chat["id"] for chat in client.get("/chats/").raise_for_status().json()["chats"]]
        histories = [client.get("/messages/", params={"chat_id": chat}).json()["messages"] for chat in chats]
    return [[message["content"] for message in history] for history in histories]


def test_langchain_asks_streams_calls_a_tool_and_keeps_a_chat(api: Api, key: str) -> None:
    kept = script(text="Kept.")
    questions = [script(text="Whole."), script(tokens=3), script(call=CALL, text="Three."), kept]
    asked = run(BIN / "python", "-m", "tests.examples.with_langchain", api.url, key, *questions)
    assert asked.returncode == 0, asked.stderr
    assert [json.loads(line) for line in asked.stdout.splitlines()] == [
        "Whole.",
        ["tok0 ", "tok1 ", "tok2 "],
        {"size": 42},
        "Kept.",
    ]
    assert contents(api, key) == [[kept, "Kept."]]
    refused = run(BIN / "python", "-m", "tests.examples.with_langchain", api.url, "rill_x", *questions)
    assert refused.returncode == 1 and "AuthenticationError" in refused.stderr and "401" in refused.stderr


@pytest.mark.parametrize("how", [[], ["--no-stream"]], ids=["stream", "whole"])
def test_llm_asks(api: Api, key: str, tmp_path: Path, how: list[str]) -> None:
    model = {"model_id": "rill", "model_name": "bench", "api_base": f"{api.url}/v1", "api_key_name": "rill"}
    # JSON is YAML.
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
    ask = [BIN / "llm", "-m", "rill", *how, script(text="From the terminal.")]
    # Not the plugin that the embedded model's weights come with.
    environment = {"LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": ""}
    answer = run(*ask, "--key", key, **environment)
    assert (answer.returncode, answer.stdout) == (0, "From the terminal.\n"), answer.stderr
    refused = run(*ask, "--key", "rill_x", **environment)
    assert refused.returncode == 1 and "API key" in refused.stderr
