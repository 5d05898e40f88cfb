"""A reader that does not read slows nobody down, holds no memory, and is dropped in the end; the turn is not."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request, TextMessage

from chat_app.api import websocket
from chat_app.api.deadline import Deadline
from chat_app.models import Message, Status
from chat_app.turns.log import Delta, Ended, MemoryLog
from chat_app.turns.turn import Turn
from tests import process
from tests.clock import Clock
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of, value

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SEND_TIMEOUT_S = 1.5
TOKENS = 60_000
READERS = 10
LITTLE_BUFFER = 4_096
MORE_THAN_BUFFERS = 7_900_000
GROWTH_MB = 40
"""Ten copies of the answer as an event stream are 55 MB."""


@pytest.fixture(params=[SEND_TIMEOUT_S])
def api(provider: Provider, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Api]:
    settings = {"openai_model": "bench", "send_timeout_s": str(request.param), "max_answer_chars": "100000000"}
    with Api(tmp_path, openai_base_url=provider.base_url, **settings) as api:
        yield api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client(timeout=60) as client:
        yield client


class Deaf:
    """A reader that does not read: what it asks for waits in the server, once the kernel's buffers are full."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE_BUFFER)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(request)
        self.socket.settimeout(30)

    def rest(self) -> bytes:
        """All that still comes until the server closes the connection."""
        with self.socket:
            parts = []
            while part := self.socket.recv(1 << 20):
                parts.append(part)
        return b"".join(parts)


def over_sse(port: int, turn_id: str) -> Deaf:
    return Deaf(port, f"GET /stream/{turn_id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())


def over_websocket(port: int, turn_id: str) -> Deaf:
    connection = WSConnection(ConnectionType.CLIENT)
    reader = Deaf(port, connection.send(Request(f"127.0.0.1:{port}", "/stream/ws")))
    connection.receive_data(reader.socket.recv(10_000))
    list(connection.events())
    command = json.dumps({"resume": {"turn_id": turn_id, "after": -1}})
    reader.socket.sendall(connection.send(TextMessage(command)))
    return reader


# The one that reads may be held up, too.
@pytest.mark.thorough
@pytest.mark.parametrize("api", [3_600], indirect=True)
async def test_readers_that_do_not_read_slow_nobody_and_hold_no_memory(api: Api, client: httpx.AsyncClient) -> None:
    content, text = script(tokens=TOKENS, interval_ms=0), "".join(f"tok{n} " for n in range(TOKENS))
    # What is loaded and kept with the first answer is not counted.
    await client.post("/messages/", json={"content": script(tokens=TOKENS // 10, interval_ms=0)})
    before = process.memory_mb(api.pid) if process.AVAILABLE else 0.0
    async with streaming(client, "POST", "/stream/?ids=1", json={"content": content}) as stream:
        deaf = [door(api.port, stream.turn_id) for door in (over_sse, over_websocket) for _ in range(READERS // 2)]
        frames = await stream.rest()
    # The turn has ended, and who reads has all of it: nobody waited for those who do not.
    assert value(frames[-2])["finish_reason"] == "stop"
    assert len(text_of(frames)) == len(text)
    stored = (await client.post(f"/stream/{stream.turn_id}/stop")).json()
    assert (stored["status"], len(stored["content"])) == ("complete", len(text))
    if process.AVAILABLE:
        assert process.memory_mb(api.pid) - before < GROWTH_MB
    for reader in deaf:
        reader.socket.close()


async def begun(client: httpx.AsyncClient) -> str:
    """A turn without end, that nobody reads: whoever attaches gets more than all buffers on the way hold."""
    content = script(big=MORE_THAN_BUFFERS, tokens=-1, interval_ms=20)
    async with streaming(client, "POST", "/stream/", json={"content": content}) as stream:
        return stream.turn_id


async def dropped(api: Api) -> None:
    async with asyncio.timeout(60):
        while "dropped a reader" not in api.logged():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("door", [over_sse, over_websocket])
async def test_what_cannot_be_delivered_for_long_drops_the_reader_and_not_the_turn(
    door: Callable[[int, str], Deaf], api: Api, client: httpx.AsyncClient
) -> None:
    turn_id = await begun(client)
    reader = await asyncio.to_thread(door, api.port, turn_id)
    await dropped(api)
    # What was on its way still comes, then the connection is closed without an end of the stream.
    received = await asyncio.to_thread(reader.rest)
    assert b"xxx" in received
    assert b"[DONE]" not in received and b"finish_reason" not in received
    # Who reads what is new has it.
    async with streaming(client, "GET", f"/stream/{turn_id}", params={"after": MORE_THAN_BUFFERS}) as stream:
        await stream.next()
        stopped = (await client.post(f"/stream/{turn_id}/stop")).json()
        *_, end, done = await stream.rest()
    assert (stopped["status"], value(end)["finish_reason"], done.data) == ("stopped", "stopped", "[DONE]")


async def test_a_websocket_that_takes_nothing_is_let_go_with_all_that_waits(
    api: Api, client: httpx.AsyncClient
) -> None:
    turn_id = await begun(client)
    reader = await asyncio.to_thread(over_websocket, api.port, turn_id)
    with reader.socket, pytest.raises(ConnectionError):
        # An empty pong, now and then: what comes for a closed socket is refused. Nothing is read.
        async with asyncio.timeout(60):
            while True:
                reader.socket.sendall(b"\x8a\x80\0\0\0\0")
                await asyncio.sleep(0.02)
    assert "dropped a reader" in api.logged()
    await client.post(f"/stream/{turn_id}/stop")


class Sink(WebSocket):
    """Takes everything at once: Granian does so too, when the client has gone."""

    def __init__(self) -> None:
        self.taken = 0

    async def send_text(self, data: str) -> None:
        self.taken += 1


async def test_a_websocket_reader_that_catches_up_lets_the_loop_come_round() -> None:
    """Or nobody is told that the client has gone, and a long answer is sent to nobody."""
    log, events, rounds = MemoryLog(), 10_000, 0
    await log.create("t1")
    for seq in range(1, events):
        await log.append("t1", Delta(seq, "x"))
    await log.append("t1", Ended(events, Status.complete, "stop"))
    user, reply = Message(id="u1", chat_id="c1", role="user"), Message(id="t1", chat_id="c1", role="assistant")
    turn = Turn(user, reply, None, lambda after, idle, rest: log.follow("t1", after, idle, rest))

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    sink = Sink()
    await websocket._follow(sink, turn, -1)
    counting.cancel()
    assert sink.taken == 1 + events
    assert rounds >= events // websocket.EVENTS_AT_ONCE


async def test_the_deadline_is_for_a_message_and_not_for_the_whole_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[AsgiMessage] = []
    clock = Clock(monkeypatch)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for number in range(5):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await send({"type": "slow"})
        await send({"type": "never"})

    async def receive() -> AsgiMessage:
        raise AssertionError

    async def send(message: AsgiMessage) -> None:
        await clock.forward(6_000)
        if message["type"] == "slow":
            await clock.forward(6_000)
        taken.append(message)

    await Deadline(app, seconds=10_000)({"type": "http", "path": "/"}, receive, send)
    assert [message["body"] for message in taken] == [b"0", b"1", b"2", b"3", b"4"]
