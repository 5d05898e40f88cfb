"""What the Python client does with chats beside streaming, and the same without `await`."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chat_app.client import ChatClient, ClientError, Finished, Started, SyncChatClient, Text
from chat_app.config import ROOT, VERSION
from tests.forked import Api

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("client"), replies="tests.examples.rules:reply") as running:
        yield running


async def test_a_chat_from_its_first_message_to_its_end(api: Api) -> None:
    async with ChatClient(api.url) as client:
        reply = await client.send("Hello")
        chat = await client.chat(reply.chat_id)
        assert chat.title == "Hello" and not chat.pinned and chat.created_at.tzinfo
        changed = await client.set_chat(chat.id, title="Greetings", pinned=True, temperature=0.5)
        assert (changed.title, changed.pinned, changed.temperature) == ("Greetings", True, 0.5)
        assert (await client.set_chat(chat.id, temperature=None)).temperature is None
        rated = await client.rate(reply.id, 1, "Kind")
        assert (rated.rating, rated.remark) == (1, "Kind")
        assert (await client.message(reply.id, include=["reasoning"])).parts == [
            {"type": "text", "text": reply.content}
        ]
        assert [(message.role, message.rating) for message in await client.history(chat.id)] == [
            ("user", 0),
            ("assistant", 1),
        ]
        [found] = [hit for hit in await client.search("Greetings") if hit.chat_id == chat.id]
        assert (found.message_id, found.text) == (None, "Greetings")
        assert (await client.export_markdown(chat.id)).startswith("# Greetings")
        await client.delete_chat(chat.id)
        with pytest.raises(ClientError) as gone:
            await client.chat(chat.id)
        assert (gone.value.code, gone.value.status) == ("not_found", 404)


async def test_lists_are_read_page_by_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat_app.client.chat_client.PAGE", 2)
    async with ChatClient(api.url) as client:
        made = [(await client.create_chat(f"Chat {number}")).id for number in range(5)]
        listed = [chat.id for chat in await client.chats(1_000)]
        assert [id for id in listed if id in made] == made[::-1] and len(set(listed)) == len(listed)
        assert [chat.id for chat in await client.chats(3)] == listed[:3]
        for number in range(3):
            await client.send(f"Question {number}", made[0])
        asked = [message.content for message in await client.history(made[0]) if message.role == "user"]
        assert asked == ["Question 0", "Question 1", "Question 2"]
        assert [message.role for message in await client.history(made[0], 3)] == ["assistant", "user", "assistant"]


async def test_what_is_exported_comes_back(api: Api) -> None:
    async with ChatClient(api.url) as client:
        reply = await client.send("Remember this")
        one = await client.import_chats(await client.export_chat(reply.chat_id))
        assert (one.chats, one.messages, one.left_out) == (1, 2, {})
        assert (await client.history(one.chat_id))[0].content == "Remember this"
        pieces = [piece async for piece in client.export_chats()]
        every = await client.import_chats(b"".join(pieces))
        assert every.chats == len(json.loads(b"".join(pieces))["chats"]) and every.summary
        with pytest.raises(ClientError) as refused:
            await client.import_chats(b"{}")
        assert refused.value.status == 422


def test_the_same_without_await(api: Api) -> None:
    with SyncChatClient(api.url) as client:
        started, *texts, finished = client.stream("Hello")
        assert isinstance(started, Started) and isinstance(finished, Finished)
        said = "".join(event.text for event in texts if isinstance(event, Text))
        assert [message.content for message in client.history(started.chat_id)] == ["Hello", said]
        assert client.chat(started.chat_id).id in [chat.id for chat in client.chats()]
        replayed = [event.text for event in client.resume(started.turn_id) if isinstance(event, Text)]
        assert "".join(replayed) == said
        copy = client.import_chats(b"".join(client.export_chats()))
        assert copy.chats >= 1
        with pytest.raises(ClientError) as gone:
            client.chat("none")
        assert gone.value.code == "not_found"


def test_a_loop_that_is_left_early_leaves_the_client_usable(api: Api) -> None:
    with SyncChatClient(api.url) as client:
        events = client.stream("Hello")
        assert isinstance(next(events), Started)
        events.close()
        assert client.send("Hello").status == "complete"


def test_ctrl_c_ends_the_wait_and_leaves_the_client_usable(api: Api) -> None:
    """A server that never answers stands for one that takes long."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as connections:
        client = SyncChatClient(f"http://127.0.0.1:{silent.getsockname()[1]}")

        def interrupt() -> None:
            connections.enter_context(silent.accept()[0])
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        for waits in (lambda: client.send("Hello"), lambda: next(client.stream("Hello"))):
            threading.Thread(target=interrupt).start()
            with pytest.raises(KeyboardInterrupt):
                waits()
        client.close()
    assert "chat client" not in [thread.name for thread in threading.enumerate()]


def test_ctrl_c_as_a_wait_begins_ends_it_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for runs in another thread, and may be under way by then."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as connections:
        client = SyncChatClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        loop = client._loop._loop
        inner = loop.call_soon_threadsafe

        def interrupted(*given: Any) -> Any:
            inner(*given)
            monkeypatch.setattr(loop, "call_soon_threadsafe", inner)
            connections.enter_context(silent.accept()[0])
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(client.stream("Hello"))
        client.close()


async def test_within_a_running_loop_and_from_another_thread(api: Api) -> None:
    """As in a notebook, whose cells run in a loop."""
    with SyncChatClient(api.url) as client:
        said = [client.send("Hello").content]
        thread = threading.Thread(target=lambda: said.append(client.send("Hello").content))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert said[0] == said[1] != ""


def test_a_bad_address_is_told_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ClientError) as bad:
        SyncChatClient("ftp://example.org")
    assert (bad.value.code, threading.active_count()) == ("bad_address", before)


@pytest.mark.thorough
def test_it_is_a_package_of_its_own(api: Api, tmp_path: Path) -> None:
    """Its wheel, where nothing is but what it declares to need, in strict code and in the terminal."""
    make = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(make, cwd=ROOT / "chat_app" / "client", check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"rill_client-{VERSION}-py3-none-any.whl"
    uv, scripts = [sys.executable, "-m", "uv"], tmp_path / "venv" / "bin"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")], check=True)
    target = ["--quiet", "--python", str(scripts / "python"), "--constraint", str(ROOT / "requirements.lock")]
    subprocess.run([*uv, "pip", "install", *target, str(wheel)], check=True)
    listed = subprocess.run([*uv, "pip", "freeze", "--python", str(scripts / "python")], capture_output=True, text=True)
    names = {re.split("[ =]", line)[0] for line in listed.stdout.splitlines()}
    names -= {"httpcore", "h11", "anyio", "certifi", "idna", "typing-extensions"}
    assert names == {"rill-client", "httpx", "httpx-sse"}, "but for what httpx needs"
    (tmp_path / "use.py").write_text(USE)
    environment = {"PATH": str(scripts)}
    for command in (["python", "use.py", api.url], ["rill-client", "--url", api.url, "Hello"]):
        program = [str(scripts / command[0]), *command[1:]]
        run = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stderr) == (0, ""), run.stderr
        assert run.stdout.endswith(f"{api_answer(api)}\n")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(scripts / "python"), "use.py"]
    checked = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def api_answer(api: Api) -> str:
    with SyncChatClient(api.url) as client:
        return client.send("Hello").content


USE = """
import asyncio
import sys

from rill_client import ChatClient, Message, SyncChatClient, Text


async def cell(url: str) -> str:
    # A notebook's cells run in a loop, and may have both.
    async with ChatClient(url) as client:
        streamed = "".join([event.text async for event in client.stream("Hello") if isinstance(event, Text)])
    with SyncChatClient(url) as plain:
        message: Message = plain.send("Hello")
        assert "".join(event.text for event in plain.stream("Hello") if isinstance(event, Text)) == streamed
    assert message.content == streamed
    return streamed


print(asyncio.run(cell(sys.argv[1])))
"""
