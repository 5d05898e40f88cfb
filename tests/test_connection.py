"""The connection to a provider: bodies in chunks however they are cut, and a socket that is read as it comes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations, pairwise
from typing import Any

import httpcore2
import httpx2
import pytest
import trustme

from chat_app.replies.connection import Chunks, Socket, Stream
from chat_app.replies.http import ProviderClient
from tests.listening import listening

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
FLOOD = b"data: flood\n\n" * 10_000
MORE_THAN_BUFFERS = 50_000_000


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Their transports are not the same, and the server has uvloop's."""
    return "asyncio", {"use_uvloop": request.param}


def chunk(data: bytes, size: str = "%x") -> bytes:
    return size.encode() % len(data) + b"\r\n" + data + b"\r\n"


ENDS = [b"0\r\n\r\n", b"000\r\nTrailer: x\r\n\r\n", b"5;name=value\r\nhello\r\n0\r\n\r\n", b"0x5\r\n"]


@pytest.mark.parametrize("end", ENDS)
def test_a_body_is_the_same_wherever_it_is_cut(end: bytes) -> None:
    whole = [b"a", b"\r\n", b"data: {}\n\n", b"3\r\n"]
    raw = b"".join(map(chunk, whole)) + chunk(b"x" * 26, "%X") + chunk(b"y", "%04x") + end
    places = [*combinations(range(len(raw) + 1), 2), range(len(raw))]
    for cut in places:
        pieces = [raw[start:stop] for start, stop in pairwise([0, *cut, len(raw)])]
        chunks, body, rest = Chunks(), b"", None
        while rest is None:
            given, rest = chunks.feed(pieces.pop(0))
            body += b"".join(given)
        assert body == b"".join(whole) + b"x" * 26 + b"y"
        assert rest + b"".join(pieces) == end


def test_what_has_come_of_a_chunk_is_not_held_back() -> None:
    chunks = Chunks()
    assert chunks.feed(b"ff\r\nhel") == ([b"hel"], None)
    assert chunks.feed(b"lo") == ([b"lo"], None)


@pytest.mark.parametrize("raw", [b"2\r\nhel", b"2\r\nhe\n\n", b"2\r\nhe0\r\n\r\n", b"2\r\nheXX3\r\n"])
def test_a_chunk_that_is_longer_than_it_says_is_an_error(raw: bytes) -> None:
    with pytest.raises(httpcore2.RemoteProtocolError):
        Chunks().feed(raw + b"    ")


class Server:
    """Answers each request with the same writes; counts the connections, and ends them when told."""

    def __init__(self, *writes: bytes) -> None:
        self.writes = writes
        self.open: list[asyncio.StreamWriter] = []
        self.sent = 0
        self.waiting = False
        """For the client to take what was written."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                for data in self.writes:
                    writer.write(data)
                    self.waiting = True
                    await writer.drain()
                    self.waiting = False
                    self.sent += len(data)
                    # Or the next would go with it.
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        async with listening(self.answer, tls) as port:
            yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"


@asynccontextmanager
async def pooled(verify: ssl.SSLContext | bool = True) -> AsyncIterator[httpx2.AsyncClient]:
    async with ProviderClient() if verify is True else httpx2.AsyncClient(verify=verify, trust_env=False) as client:
        yield client


async def body(client: httpx2.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url) as response:
        assert isinstance(response.extensions["network_stream"], Stream)
        return b"".join([data async for data in response.aiter_bytes()])


BODIES = {
    "one token a write": ([HEAD, *(chunk(b"token") for _ in range(5)), END], b"token" * 5),
    "a byte a write": ([bytes([byte]) for byte in HEAD + chunk(b"hello") + chunk(b"\r\n") + END], b"hello\r\n"),
    "all in one": ([HEAD + chunk(b"a") + chunk(b"b") + END], b"ab"),
    "cut within a size": ([HEAD + b"1", b"0\r", b"\n" + b"x" * 16 + b"\r", b"\n0\r\n", b"\r\n"], b"x" * 16),
    "extensions": ([HEAD + chunk(b"a"), b"1;x=y\r\nb\r\n", chunk(b"c") + END], b"abc"),
    "a size of many digits": ([HEAD, b"0000000000001\r\na\r\n", chunk(b"b") + END], b"ab"),
    "trailers": ([HEAD + chunk(b"a") + b"0\r\nX: y\r\n", b"\r\n"], b"a"),
    "a length": ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd"], b"abcd"),
    "nothing": ([HEAD + END], b""),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", BODIES)
async def test_an_answer_is_whole_and_its_connection_serves_the_next(name: str) -> None:
    writes, whole = BODIES[name]
    server = Server(*writes)
    async with server.serving() as url, pooled() as client:
        assert [await body(client, url) for _ in range(3)] == [whole] * 3
    assert len(server.open) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used_again(how: str) -> None:
    server = Server(HEAD, chunk(b"a") + END)
    async with server.serving() as url, pooled() as client:
        for count in range(1, 4):
            assert await body(client, url) == b"a"
            assert len(server.open) == count
            server.open[-1].close() if how == "close" else server.open[-1].transport.abort()
            while not _is_over(client):
                await asyncio.sleep(0)


def _is_over(client: httpx2.AsyncClient) -> bool:
    """Whether the end of the pool's one connection has come to us."""
    (connection,) = client._transport._pool.connections
    return bool(connection.has_expired())


@pytest.mark.anyio
async def test_a_provider_waits_for_who_does_not_read() -> None:
    server = Server(HEAD, *(chunk(FLOOD) for _ in range(MORE_THAN_BUFFERS // len(FLOOD))), END)
    async with server.serving() as url, pooled() as client, client.stream("GET", url) as response:
        reader = response.extensions["network_stream"]._stream._reader
        turns_of_waiting = 0
        while turns_of_waiting < 100:
            await asyncio.sleep(0)
            assert server.sent < MORE_THAN_BUFFERS / 2
            turns_of_waiting += reader._paused and server.waiting
        received = sum([len(data) async for data in response.aiter_bytes()])
    assert received == MORE_THAN_BUFFERS // len(FLOOD) * len(FLOOD)


@pytest.mark.anyio
async def test_by_tls_as_well() -> None:
    authority = trustme.CA()
    tls, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(tls)
    authority.configure_trust(trust)
    server = Server(HEAD, *(chunk(FLOOD) for _ in range(20)), END)
    async with server.serving(tls) as url, pooled(trust) as client:
        assert [await body(client, url) for _ in range(2)] == [FLOOD * 20] * 2
        assert len(server.open) == 1
        server.open[-1].close()
        while not _is_over(client):
            await asyncio.sleep(0)
        assert await body(client, url) == FLOOD * 20


@pytest.mark.anyio
async def test_the_socket_is_ours() -> None:
    """httpcore2 and anyio have no setting for it: a new version of theirs may go round it."""
    server = Server(HEAD, chunk(b"a") + END)
    async with server.serving() as url, pooled() as client, client.stream("GET", url) as response:
        assert isinstance(response.extensions["network_stream"]._stream, Socket)
