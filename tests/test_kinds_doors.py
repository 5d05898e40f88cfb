"""Steps, sources and suggestions of an agent's, at every door that is asked for them, and in what is kept of them."""

import subprocess
from typing import Any

import pytest

from chat_app.client import ChatClient, Part
from tests.examples.researcher import PAGES
from tests.forked import Api
from tests.sse_client import streaming, text_of, value
from tests.test_client import ENVIRONMENT, PROGRAM, Terminal
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio

INCLUDE = "reasoning,steps,sources,suggestions"
TEXT = "It rains because clouds are full."
URLS = list(PAGES)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Api(tmp_path_factory.mktemp("kinds"), replies="tests.examples.researcher:reply") as api:
        yield api


def told(parts: list[dict[str, Any]]) -> list[Any]:
    """The parts that are no text, in short."""
    steps = {part["step"]["id"]: part["step"]["title"] for part in parts if "step" in part}
    short: list[Any] = []
    for part in parts:
        if step := part.get("step"):
            short.append((step["title"], step["state"], steps.get(step.get("parent", ""))))
        elif source := part.get("source"):
            short.append((source["title"], source["url"]))
        elif suggestions := part.get("suggestions"):
            short.append(suggestions["texts"])
    return short


SEARCH = "Searching the web"
READINGS = [(f"Reading “{title}”", state, SEARCH) for title in PAGES.values() for state in ("running", "done")]
EXPECTED = [
    (SEARCH, "running", None),
    *READINGS,
    (SEARCH, "done", None),
    *((title, url) for url, title in PAGES.items()),
    ["Why is the sky blue?", "What is snow?"],
]


async def test_they_come_at_every_door_that_asks_and_at_no_other(api: Api) -> None:
    async with api.client() as client:
        async with streaming(client, "POST", f"/stream/?include={INCLUDE}", json={"content": "Rain?"}) as stream:
            frames = await stream.rest()
        assert told([value(frame) for frame in frames if frame.data != "[DONE]"]) == EXPECTED
        assert all(value(frame).get("delta") is not None for frame in frames if frame.data != "[DONE]")
        assert [value(one)["source"]["snippet"] for one in frames if one.event == "source"] == 2 * [
            "Clouds are made of drops."
        ]
        async with streaming(client, "POST", "/stream/", json={"content": "Rain?"}) as plain:
            bare = await plain.rest()
        assert text_of(bare) == TEXT
        assert {frame.event for frame in bare} == {"message"}
        async with streaming(client, "GET", f"/stream/{stream.turn_id}?include={INCLUDE}") as again:
            assert told([value(one) for one in await again.rest() if one.data != "[DONE]"]) == EXPECTED
        whole = (await client.post(f"/messages/?include={INCLUDE}", json={"content": "Rain?"})).json()
        assert (told(whole["parts"]), whole["content"]) == (EXPECTED, TEXT)
        assert "parts" not in (await client.post("/messages/", json={"content": "Rain?"})).json()
        only = (await client.get(f"/messages/{whole['id']}?include=sources")).json()
        assert told(only["parts"]) == EXPECTED[-3:-1]
        history = await client.get(f"/messages/?chat_id={whole['chat_id']}&include={INCLUDE}")
        assert told(history.json()["messages"][1]["parts"]) == EXPECTED
    async with Socket(f"{api.url}/stream/ws?include={INCLUDE}") as socket:
        await socket.send({"content": "Rain?"})
        objects = await socket.until("finish_reason")
    assert told(objects) == EXPECTED


async def test_they_survive_export_and_import_and_stand_in_the_markdown(api: Api) -> None:
    async with api.client() as client:
        reply = (await client.post("/messages/", json={"content": "Rain?"})).json()
        path = f"/chats/{reply['chat_id']}/export"
        copy = (await client.post("/chats/import", json=(await client.get(path)).json())).json()
        history = await client.get(f"/messages/?chat_id={copy['id']}&include={INCLUDE}")
        assert told(history.json()["messages"][1]["parts"]) == EXPECTED
        short = (await client.get(f"{path}?format=markdown")).text
        long = (await client.get(f"{path}?format=markdown&reasoning=true")).text
    links = "\n".join(f"{number}. [{title}](<{url}>)" for number, (url, title) in enumerate(PAGES.items(), 1))
    assert short == f"# Rain?\n\n## You\n\nRain?\n\n## Assistant\n\n{TEXT}\n\nSources:\n\n{links}\n"
    assert "> Searching the web … done" in long.splitlines()
    assert "running" not in long
    assert long.endswith(f"Sources:\n\n{links}\n")


async def test_the_python_client_gets_them_as_parts(api: Api) -> None:
    async with ChatClient(api.url) as client:
        events = [event async for event in client.stream("Rain?", reasoning=True)]
    assert told([{event.kind: event.data} for event in events if isinstance(event, Part)]) == EXPECTED


@pytest.mark.slow
def test_a_terminal_shows_them_as_dim_lines_and_a_pipe_does_not(api: Api) -> None:
    with Terminal("--url", api.url, "Rain?", term="xterm") as terminal:
        shown = terminal.until(r"snow\?\x1b\[22m\r\n").replace("\r\n", "\n")
        assert terminal.end() == 0
    lines = shown.split("\n")
    dim = [line[4:-5] for line in lines if line.startswith("\x1b[2m")]
    assert dim == [
        "They ask about the weather. ",
        "Searching the web …",
        *(f"  Reading “{title}” …{end}" for title in PAGES.values() for end in ("", " done")),
        "Searching the web … done",
        *(f"Source: {title} <{url}>" for url, title in PAGES.items()),
        "Ask next: Why is the sky blue? | What is snow?",
    ]
    run = subprocess.run(
        [*PROGRAM, "--url", api.url, "Rain?"], capture_output=True, text=True, env=ENVIRONMENT, timeout=30, check=True
    )
    assert run.stdout == TEXT + "\n"
