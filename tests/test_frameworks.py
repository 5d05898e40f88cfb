"""The worked examples with a framework, in one app with the real packages, from an environment of their own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_app.config import ROOT
from tests.app import App, Process
from tests.provider_client import Provider, script
from tests.sse_client import EventStream, streaming, text_of, value

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PYTHON = Path(sys.prefix) / "frameworks" / "bin" / "python"
CALL = {"name": "in_stock", "arguments": '{"size": 42}'}


class FrameworkApp(App):
    """The app with the Python that has the frameworks beside it."""

    def spawn(self, environment: dict[str, str]) -> Process:
        assert PYTHON.exists(), "make .venv/frameworks/installed"
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [PYTHON, "-m", "chat_app"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )


AGENT = """
from contextlib import aclosing

from tests.examples import with_langgraph, with_openai_agents, with_pydantic_ai

MODULES = with_langgraph, with_openai_agents, with_pydantic_ai
EXAMPLES = {module.__name__.rpartition(".")[2]: module for module in MODULES}


async def reply(messages, context):
    first = next(message["content"] for message in messages if message["role"] == "user")
    name = first.partition(":")[0]
    answer = EXAMPLES[name].reply(messages, context) if name == "with_langgraph" else EXAMPLES[name].reply(messages)
    async with aclosing(answer):
        async for piece in answer:
            yield piece
"""
"""A chat's first question names the one that answers there."""


@pytest.fixture(scope="module")
def running(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkApp]:
    folder = tmp_path_factory.mktemp("frameworks")
    (folder / "frameworks_agent.py").write_text(AGENT)
    model = {"openai_base_url": provider.base_url, "openai_api_key": "none", "openai_model": "bench"}
    with FrameworkApp(folder, replies="frameworks_agent:reply", pythonpath=str(folder), **model) as app:
        yield app


async def asked(stream: EventStream) -> tuple[str, list[dict[str, Any]]]:
    """The text of an answer, and its steps as they were told."""
    frames = await stream.rest()
    return text_of(frames), [value(frame)["step"] for frame in frames if frame.event == "step"]


@pytest.mark.parametrize("name", ["with_pydantic_ai", "with_openai_agents"])
async def test_an_agent_calls_its_tool_and_answers(running: FrameworkApp, provider: Provider, name: str) -> None:
    provider.clear()
    question = f"{name}: Is 42 in stock?\n" + script(call=CALL, text="Yes, three pairs.")
    async with running.client() as client:
        async with streaming(client, "POST", "/stream/?include=steps", json={"content": question}) as stream:
            text, steps = await asked(stream)
        assert text == "Yes, three pairs."
        assert [(step["title"], step["state"], step.get("output")) for step in steps] == [
            ("in_stock", "running", None),
            ("in_stock", "done", "3"),
        ]
        assert [one["body"]["messages"][-1]["role"] for one in provider.requests()] == ["user", "tool"]
        # What was said before goes along.
        chat = stream.chat_id
        again = await client.post("/messages/", json={"content": script(text="Blue."), "chat_id": chat})
        assert again.json()["content"] == "Blue."
        said = [(one["role"], one["content"]) for one in provider.requests()[-1]["body"]["messages"]]
        assert said[1:-1] == [("user", question), ("assistant", text)]
        await stops_at_the_model(client, provider, name)


async def test_a_graph_remembers_its_thread_and_shows_a_step(running: FrameworkApp, provider: Provider) -> None:
    provider.clear()
    name = "with_langgraph"
    question = f"{name}: How many holidays do I have?\n" + script(text="You have 30 days.")
    async with running.client() as client:
        async with streaming(client, "POST", "/stream/?include=steps", json={"content": question}) as stream:
            text, steps = await asked(stream)
        assert text == "You have 30 days."
        note = "Answer from these notes: Everybody has 30 days a year."
        assert [(step["title"], step["state"], step.get("output")) for step in steps] == [
            ("Looking into the notes", "running", None),
            ("Looking into the notes", "done", note),
        ]
        chat = stream.chat_id
        again = await client.post("/messages/", json={"content": script(text="Yes."), "chat_id": chat})
        assert again.json()["content"] == "Yes."
        # The thread's memory has what the example does not pass on.
        assert [one["content"] for one in provider.requests()[-1]["body"]["messages"]][:3] == [question, note, text]
        other = await client.post("/messages/", json={"content": f"{name}:\n" + script(text="New.")})
        assert other.json()["content"] == "New."
        assert len(provider.requests()[-1]["body"]["messages"]) == 2
        await stops_at_the_model(client, provider, name)


async def stops_at_the_model(client: Any, provider: Provider, name: str) -> None:
    content = f"{name}: Tell me more.\n" + script(tokens=-1, interval_ms=5)
    async with streaming(client, "POST", "/stream/", json={"content": content}) as stream:
        await stream.until(lambda frame: "tok3" in frame.data)
        stopped = await client.post(f"/stream/{stream.turn_id}/stop")
    assert stopped.json()["status"] == "stopped"
    await provider.until(lambda seen: seen[-1]["closed_by_client"])
