"""Clients that say nothing, half of it, or take nothing: they cost nobody else anything, and no stop waits for them."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median

import pytest

from chat_app.connections import capacity
from tests import process
from tests.app import App
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of
from tests.ws_client import Refused, Socket

pytestmark = pytest.mark.anyio

SOON_S = 0.4
FIRST_TOKEN_S = 0.2
MANY = 1_000


@pytest.fixture
def quick(tmp_path: Path, provider: Provider) -> Iterator[Api]:
    """A server that does not wait for long."""
    given = {"body_s": str(SOON_S), "headers_s": str(SOON_S)}
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", **given) as api:
        yield api


@pytest.fixture
def patient(tmp_path: Path, provider: Provider) -> Iterator[Api]:
    """One with the time limits that it really has."""
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as api:
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
    head, _, body = rest(connected(quick.port, begin)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 "), head
    error = json.loads(body)["error"]
    assert (error["code"], error["retryable"]) == ("request_timeout", True)
    assert error["message"] == "The body of the request did not come in time. Send it again, without a pause."
    quick.stop()
    assert quick.logged().count("code=request_timeout") == 1
    assert "Traceback" not in quick.logged()


def test_a_body_that_trickles_has_an_end_too(quick: Api) -> None:
    """Each byte comes soon after the one before."""
    client = connected(quick.port, POST + "Content-Length: 100000\r\n\r\n")
    client.settimeout(SOON_S / 10)
    answer = b""
    deadline = time.monotonic() + 30
    while not answer and time.monotonic() < deadline:
        client.sendall(b" ")
        try:
            answer = client.recv(1_000)
        except TimeoutError:
            continue
    client.close()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_that_goes_on_is_taken(quick: Api) -> None:
    """It takes longer than any single pause may, and is no slower than it must."""
    text = json.dumps({"content": script(tokens=2), "chat_id": None})
    body = text + " " * (100_000 - len(text))
    client = connected(quick.port, POST + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")
    for start in range(0, len(body), 10_000):
        client.sendall(body[start : start + 10_000].encode())
        time.sleep(SOON_S / 5)
    assert rest(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begin", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_a_connection_without_a_request_is_closed(begin: str, quick: Api) -> None:
    # Some are told 408 or 400, some nothing.
    assert not rest(connected(quick.port, begin)).startswith(b"HTTP/1.1 2")
    assert quick.http.get("/ping").is_success


def test_a_connection_that_is_idle_after_a_request_is_closed(quick: Api) -> None:
    assert rest(connected(quick.port, "GET /ping HTTP/1.1\r\nHost: HOST\r\n\r\n")).endswith(b"pong")


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
    with Api(tmp_path, **settings) as api, ExitStack() as clients:
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
            began = time.monotonic()
            code, frames = await asyncio.gather(asyncio.to_thread(api.stop), stream.rest())
        assert (code, frames[-1].data) == (0, "[DONE]")
        assert time.monotonic() - began < float(grace) + 2
        assert "Traceback" not in api.logged() and "server stopped" in api.logged()


async def first_token_s(api: App) -> float:
    async with api.client() as client:
        began = time.monotonic()
        async with streaming(client, "POST", "/stream/", json={"content": script(tokens=3, interval_ms=0)}) as stream:
            await stream.until(lambda frame: "tok0" in frame.data)
            took = time.monotonic() - began
            assert text_of(await stream.rest()).endswith("tok2 ")
    return took


@pytest.mark.slow
async def test_two_thousand_of_them_hold_nobody_up(patient: Api, figure: Callable[[object], None]) -> None:
    capacity()
    body = json.dumps({"content": script(tokens=-1, interval_ms=1)})
    asks = f"POST /stream/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with ExitStack() as clients:
        slow = clients.enter_context(connected(patient.port, asks, buffer=4_096))
        alone = [await first_token_s(patient) for _ in range(11)]
        for begin in ("", HALF_BODIES["half a body"]):
            for _ in range(MANY):
                clients.enter_context(connected(patient.port, begin))
        before = process.cpu_s(patient.pid), time.monotonic()
        beside = []
        for _ in range(31):
            beside.append(await first_token_s(patient))
            assert slow.recv(1)
        used = (process.cpu_s(patient.pid) - before[0]) / (time.monotonic() - before[1])
        began = time.monotonic()
        assert await asyncio.to_thread(patient.stop) == 0
        ended = time.monotonic() - began
    figure(
        f"{MANY} silent connections, {MANY} half bodies, one byte at a time: "
        f"first token {median(beside) * 1000:.0f} ms (worst {max(beside) * 1000:.0f}; "
        f"{median(alone) * 1000:.0f} without them), {used:.0%} of a core, ended in {ended:.1f} s"
    )
    assert median(beside) < FIRST_TOKEN_S
    assert ended < 2


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
                    assert await first_token_s(api) < 20
                    spent = process.cpu_s(api.pid) - before
                    assert spent < 0.5 * (time.monotonic() - began) + 0.5, "it spins"
                assert await first_token_s(api) < 20
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
