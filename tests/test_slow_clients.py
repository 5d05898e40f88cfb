"""Clients that say nothing, half of it, or take nothing: they cost nobody else anything, and no stop waits for them."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from statistics import median

import pytest
from starlette.datastructures import Headers
from starlette.types import Message

from chat_app.api.guard import BODY_S, SLOWEST, Body
from chat_app.connections import capacity
from chat_app.errors import BodyTooSlow
from tests import process
from tests.app import App
from tests.clock import Clock
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of
from tests.ws_client import Refused, Socket

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SOON_S = 0.4
NEVER = {"body_s": "3600", "headers_s": "3600", "deaf_ms": "3600000", "send_timeout_s": "3600"}
"""Time limits with which whoever waits for a silent client waits longer than any test."""
MANY = 1_000
TIMES = 31
GRACE_S = 5
"""The default of SHUTDOWN_GRACE."""
SLACK_S = 5
"""For a machine that does other things as well."""
TIMES_THE_WORK = 3
"""So much more CPU time may a request take beside the others than alone: a busy machine, whose caches are shared, makes
it up to two. What looks at each of them needs far more."""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Api]:
    """A server that does not wait long for a body, and for ever for the headers: a client that is held up between
    both, on a busy machine, gets what it came for."""
    given = {"openai_base_url": provider.base_url, "openai_model": "bench", "headers_s": "3600"}
    with Api(tmp_path_factory.mktemp("quick"), body_s=str(SOON_S), discard_s=str(SOON_S), **given) as api:
        yield api


@pytest.fixture(scope="module")
def abrupt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One that does not wait long for a request: long enough for one that is sent, on a busy machine."""
    with Api(tmp_path_factory.mktemp("abrupt"), headers_s="2") as api:
        yield api


@pytest.fixture
def patient(tmp_path: Path, provider: Provider) -> Iterator[Api]:
    """One that waits for ever."""
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", **NEVER) as api:
        yield api


def connected(port: int, begin: str = "", buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.connect(("127.0.0.1", port))
    client.sendall(begin.replace("HOST", f"127.0.0.1:{port}").encode())
    client.settimeout(30)
    return client


def rest(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    client.close()
    return b"".join(parts)


POST = "POST /messages/ HTTP/1.1\r\nHost: HOST\r\n"
HALF_BODIES = {
    "no body": POST + "Content-Length: 500\r\n\r\n",
    "half a body": POST + 'Content-Length: 500\r\n\r\n{"content": "Hi',
    "no chunk": POST + "Transfer-Encoding: chunked\r\n\r\n",
    "half a chunk": POST + 'Transfer-Encoding: chunked\r\n\r\nff\r\n{"content": "Hi',
    "a file": "POST /chats/import HTTP/1.1\r\nHost: HOST\r\nContent-Length: 900000000\r\n\r\n{",
    "a stream": 'POST /stream/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 500\r\n\r\n{"content": "Hi',
    "a completion": "POST /v1/chat/completions HTTP/1.1\r\nHost: HOST\r\nContent-Length: 500\r\n\r\n{",
}
NO_REQUESTS = {
    "silence": "",
    "half a line": "GET /chats",
    "half of the headers": "GET /chats/ HTTP/1.1\r\nHost: HOST\r\nX-Half",
    "the beginning of HTTP/2": "PRI * HTTP/2.0\r\n\r",
}


@pytest.mark.parametrize("begin", HALF_BODIES.values(), ids=HALF_BODIES)
def test_a_body_that_does_not_come_is_told_and_closed(begin: str, quick: Api) -> None:
    before = len(quick.logged())
    head, _, body = rest(connected(quick.port, begin)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 "), head
    error = json.loads(body)["error"]
    assert (error["code"], error["retryable"]) == ("request_timeout", True)
    assert error["message"] == "The body of the request did not come in time. Send it again, without a pause."
    assert "Traceback" not in quick.logged()[before:]


@pytest.mark.parametrize("begin", HALF_BODIES.values(), ids=HALF_BODIES)
def test_nor_is_the_body_of_a_refused_request_waited_for(begin: str, quick: Api) -> None:
    refused = begin.replace("Host: HOST", "Host: elsewhere.example")
    assert rest(connected(quick.port, refused)).startswith(b"HTTP/1.1 403 ")


async def test_of_many_at_once_all_are_closed(quick: Api) -> None:
    clients = [connected(quick.port, begin) for begin in HALF_BODIES.values() for _ in range(10)]
    answers = [rest(client) for client in clients]
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)


def test_it_is_told_in_the_log_once(quick: Api) -> None:
    """However often it came: the rest of them is counted."""
    for _ in range(2):
        assert b" 408 " in rest(connected(quick.port, HALF_BODIES["half a body"]))
    quick.stop()
    told = [line for line in quick.logged().splitlines() if "code=request_timeout" in line]
    quick.start()
    assert told and all("repeated=" in line for line in told[1:])


def test_a_body_that_trickles_has_an_end_too(quick: Api) -> None:
    """Each byte comes soon after the one before."""
    client = connected(quick.port, POST + "Content-Length: 100000\r\n\r\n")
    client.settimeout(SOON_S / 10)
    answer = b""
    while not answer:
        # The answer may be there already, and the connection closed.
        with suppress(ConnectionError):
            client.sendall(b" ")
        with suppress(TimeoutError):
            answer = client.recv(1_000)
    client.close()
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.everyday
async def test_a_slow_body_that_goes_on_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than any single pause may, and is no slower than it must."""
    clock = Clock(monkeypatch)
    pieces = 5
    came = asyncio.Event()
    left = iter(range(pieces))

    async def receive() -> Message:
        await came.wait()
        came.clear()
        more = next(left) < pieces - 1
        return {"type": "http.request", "body": b" " * int(BODY_S * SLOWEST), "more_body": more}

    body = Body(Headers({"content-length": "100000"}), receive, limit=1_000_000)
    for _ in range(pieces):
        reading = asyncio.create_task(body.receive())
        await clock.forward(0.9 * BODY_S)
        assert not reading.done()
        came.set()
        assert len((await reading)["body"]) == BODY_S * SLOWEST
    # After a body nobody waits for more of it: this is for the end of the connection.
    assert not (await asyncio.wait({reading}))[1]


@pytest.mark.everyday
async def test_a_body_that_pauses_or_is_too_slow_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    came: asyncio.Queue[Message] = asyncio.Queue()
    for seconds, size in ((1.1 * BODY_S, 1_000_000), (0.9 * BODY_S, 1)):
        body = Body(Headers({"content-length": "100000"}), came.get, limit=10_000_000)
        with pytest.raises(BodyTooSlow):
            for _ in range(3):
                reading = asyncio.create_task(body.receive())
                await clock.forward(seconds)
                if not reading.done():
                    await came.put({"type": "http.request", "body": b" " * size, "more_body": True})
                await reading
        assert came.empty()


def test_connections_without_a_request_are_closed(abrupt: Api) -> None:
    clients = {name: connected(abrupt.port, begin) for name, begin in NO_REQUESTS.items()}
    # This one says nothing any more after a request.
    assert answered(abrupt, "/ping").endswith(b"pong")
    # Some are told 408 or 400, some nothing.
    ends = {name: rest(client) for name, client in clients.items()}
    assert not [name for name, end in ends.items() if end.startswith(b"HTTP/1.1 2")]


def answered(server: Api, path: str) -> bytes:
    """All that comes for a request until the server closes the connection, which it is not asked to do."""
    asked = f"GET {path} HTTP/1.1\r\nHost: HOST\r\n\r\n"
    # Whoever is held up before it has asked is a client without a request, and comes again.
    while not (answer := rest(connected(server.port, asked))).startswith(b"HTTP/1.1 200 "):
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer
    return answer


def test_whoever_takes_nothing_of_a_long_response_is_dropped(tmp_path: Path) -> None:
    """Of one that is no stream, the app sees nothing of this."""
    with Api(tmp_path, deaf_ms="500") as api:
        name = "x" * 200
        for _ in range(30):
            api.http.post("/chats/", json={"title": name})
        asking = "GET /openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n" * 100
        deaf = connected(api.port, asking, buffer=4_096)
        deadline = time.monotonic() + 30
        while is_connected(api.port, deaf.getsockname()[1]):
            assert time.monotonic() < deadline, "it is still connected"
            time.sleep(0.05)
        deaf.close()


def is_connected(server: int, client: int) -> bool:
    """Whether the server still has the connection between these ports."""
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = [[int(address.rpartition(":")[2], 16) for address in field[1:3]] for field in fields if field[3] == "01"]
    return [server, client] in ports


@pytest.mark.parametrize("grace", ["0", "1"])
async def test_a_stop_waits_for_none_of_them(grace: str, tmp_path: Path, provider: Provider) -> None:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "shutdown_grace": grace}
    with Api(tmp_path, **settings, **NEVER) as api, ExitStack() as clients:
        for begin in (*NO_REQUESTS.values(), *HALF_BODIES.values()):
            for _ in range(3):
                clients.enter_context(connected(api.port, begin))
        # An answer without end to somebody who takes nothing of it, and one to somebody who does.
        body = json.dumps({"content": script(tokens=-1, interval_ms=0)})
        asks = f"POST /stream/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        clients.enter_context(connected(api.port, asks, buffer=4_096))
        async with (
            Socket(f"{api.url}/stream/ws"),
            api.client() as client,
            streaming(client, "POST", "/stream/", json={"content": script(tokens=-1, interval_ms=10)}) as stream,
        ):
            await stream.next()
            # It ends at all.
            code, frames = await asyncio.gather(asyncio.to_thread(api.stop, 60), stream.rest())
        assert (code, frames[-1].data) == (0, "[DONE]")
        assert "Traceback" not in api.logged() and "server stopped" in api.logged()


async def first_token_s(api: App) -> float:
    async with api.client(60) as client:
        began = time.monotonic()
        async with streaming(client, "POST", "/stream/", json={"content": script(tokens=3, interval_ms=0)}) as stream:
            await stream.until(lambda frame: "tok0" in frame.data)
            took = time.monotonic() - began
            assert text_of(await stream.rest()).endswith("tok2 ")
    return took


async def test_two_thousand_of_them_hold_nobody_up(patient: Api, figure: Callable[[object], None]) -> None:
    capacity()
    body = json.dumps({"content": script(tokens=-1, interval_ms=1)})
    asks = f"POST /stream/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with ExitStack() as clients:
        slow = clients.enter_context(connected(patient.port, asks, buffer=4_096))
        # What a first answer needs once.
        await first_token_s(patient)
        before = process.cpu_s(patient.pid)
        alone = []
        for _ in range(TIMES):
            alone.append(await first_token_s(patient))
            assert slow.recv(1)
        cpu_alone = process.cpu_s(patient.pid) - before
        for begin in ("", HALF_BODIES["half a body"]):
            for _ in range(MANY):
                clients.enter_context(connected(patient.port, begin))
        # The last to come in is answered.
        await first_token_s(patient)
        before = process.cpu_s(patient.pid)
        beside = []
        for _ in range(TIMES):
            beside.append(await first_token_s(patient))
            assert slow.recv(1)
        cpu_beside = process.cpu_s(patient.pid) - before
        began = time.monotonic()
        assert await asyncio.to_thread(patient.stop, 60) == 0
        ended = time.monotonic() - began
    figure(
        f"{MANY} silent connections, {MANY} half bodies, one byte at a time: "
        f"first token {median(beside) * 1000:.0f} ms (worst {max(beside) * 1000:.0f}; "
        f"{median(alone) * 1000:.0f} without them), {cpu_beside / TIMES * 1000:.0f} ms of CPU time "
        f"({cpu_alone / TIMES * 1000:.0f} without), ended in {ended:.1f} s"
    )
    assert cpu_beside < TIMES_THE_WORK * cpu_alone
    assert ended < GRACE_S + 2 + SLACK_S


class Poor(Api):
    """A server that may open few files."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"DESCRIPTORS": "200"}


async def test_more_connections_than_descriptors_stop_nothing(tmp_path: Path, provider: Provider) -> None:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "headers_s": "2"}
    with Poor(tmp_path, **settings) as api:
        async with api.client() as client:
            asked = {"content": script(tokens=-1, interval_ms=20)}
            async with streaming(client, "POST", "/stream/", json=asked) as stream:
                await stream.until(lambda frame: "tok" in frame.data)
                with ExitStack() as silent:
                    for _ in range(230):
                        silent.enter_context(connected(api.port))
                    before = process.cpu_s(api.pid)
                    began = time.monotonic()
                    # The answer goes on, and whoever comes now has one as soon as some of them are closed.
                    await stream.until(lambda frame: "tok" in frame.data)
                    await first_token_s(api)
                    spent = process.cpu_s(api.pid) - before
                    assert spent < 0.5 * (time.monotonic() - began) + 0.5, "it spins"
                await first_token_s(api)
                await client.post(f"/stream/{stream.turn_id}/stop")
                assert (await stream.rest())[-1].data == "[DONE]"
        assert "Traceback" not in api.logged()


async def test_one_more_than_it_can_answer_is_told_so(tmp_path: Path, provider: Provider) -> None:
    asked = {"json": {"content": script(tokens=-1, interval_ms=100)}}
    with Poor(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as api:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(api.client())
            streams = []
            while True:
                response = await stack.enter_async_context(client.stream("POST", "/stream/", **asked))
                if not response.is_success:
                    break
                streams.append(response)
            assert len(streams) > 20
            await response.aread()
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")
            assert response.json()["error"] == {
                "code": "server_busy",
                "message": "The server has as many connections as it can take. Try again in a moment.",
                "retryable": True,
                "retry_after": 5,
            }
            # Whoever watches over it is answered, a websocket still comes in, and what runs goes on.
            assert (await client.get("/healthz")).is_success
            async with Socket(f"{api.url}/stream/ws"):
                pass
            assert all([await anext(stream.aiter_bytes()) for stream in streams])
        # They have left.
        await until(lambda: api.http.get("/chats/").is_success)
        assert api.logged().count("code=server_busy") == 1


async def test_one_more_websocket_than_it_can_serve_is_refused(tmp_path: Path) -> None:
    with Poor(tmp_path) as api:
        async with AsyncExitStack() as stack:
            count = 0
            with pytest.raises(Refused):
                while True:
                    await stack.enter_async_context(Socket(f"{api.url}/stream/ws"))
                    count += 1
            assert count > 20
            assert (await asyncio.to_thread(api.http.get, "/chats/")).is_success
        await until(lambda: api.http.get("/chats/").is_success)
        async with Socket(f"{api.url}/stream/ws") as socket:
            await socket.send({"stop": "unknown"})
            assert (await socket.receive())["error"]["code"] == "not_found"


async def until(condition: Callable[[], object], timeout: float = 30) -> None:
    async with asyncio.timeout(timeout):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)
