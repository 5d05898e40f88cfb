"""A proxy between a browser and the app that a test controls: it cuts, holds back, strips or splits what passes."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tests.listening import listening

SPLIT_PAUSE_S = 0.01
STRIPPED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
# Not one whose backslash is itself escaped.
ESCAPE = re.compile(r"(?<!\\)(?:\\u[0-9a-f]{4})+")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


class Proxy:
    """One request a connection. `mode` is what happens to event streams:

    `pass` them on, `hold` them back until they end, `strip` them to a page of its own, or `raw`: their escaped
    characters become UTF-8, each of them split over two writes. `step` passes on one piece for each `next_piece`.
    """

    mode: Literal["pass", "hold", "strip", "raw", "step"] = "pass"
    down: bool = False
    """Whether connections are closed at once."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._open: set[asyncio.StreamWriter] = set()
        self._steps = asyncio.Semaphore(0)
        self.requests: list[Request] = []

    async def __aenter__(self) -> Self:
        self._listening = listening(self._serve)
        self.url = f"http://127.0.0.1:{await self._listening.__aenter__()}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down = True
        await self._listening.__aexit__(kind, error, trace)
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._open:
            writer.transport.abort()

    def next_piece(self) -> None:
        self._steps.release()

    def streams(self) -> list[Request]:
        """The requests for a turn's stream."""
        return [one for one in self.requests if one.path.startswith("/stream/") and not one.path.endswith("/stop")]

    async def until(self, condition: Callable[[list[Request]], object]) -> None:
        """As soon as `condition` holds for `streams`."""
        while not condition(self.streams()):
            await asyncio.sleep(0.01)

    def keys(self) -> set[str]:
        """The idempotency keys that were used."""
        return {one.headers["idempotency-key"] for one in self.requests if "idempotency-key" in one.headers}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        self._open.add(writer)
        upstream = None
        try:
            head, body = await _request(reader)
            request = _parsed(head)
            self.requests.append(request)
            answer, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._open.add(upstream)
            upstream.write(_closing(head) + body)
            await self._relay(request, answer, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, upstream):
                if one:
                    self._open.discard(one)
                    one.close()

    async def _relay(self, request: Request, answer: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = self.mode if request.path.startswith("/stream/") else "pass"
        if mode == "strip":
            writer.write(STRIPPED)
        elif mode == "hold":
            writer.write(await answer.read())
        elif mode == "raw":
            await _split(answer, writer)
        elif mode == "step":
            async for piece in _pieces(answer, writer):
                await self._steps.acquire()
                writer.write(piece)
                await writer.drain()
        else:
            while data := await answer.read(65_536):
                writer.write(data)
                await writer.drain()
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return head, await reader.readexactly(int(length[1])) if length else b""


def _parsed(head: bytes) -> Request:
    line, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    method, path, _ = line.split(" ", 2)
    return Request(method, path.partition("?")[0], headers)


def _closing(head: bytes) -> bytes:
    kept = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
    return kept.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"


async def _pieces(answer: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    """Of the body, as the app sent them; the head is passed on."""
    head = await answer.readuntil(b"\r\n\r\n")
    writer.write(re.sub(rb"(?i)\r\ntransfer-encoding:[^\r]*", b"", head))
    chunked = b"transfer-encoding: chunked" in head.lower()
    while data := await (_chunk(answer) if chunked else answer.read(65_536)):
        yield data


async def _split(answer: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for data in _pieces(answer, writer):
        text = ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), data.decode())
        for char in text.encode("utf-16", "surrogatepass").decode("utf-16"):
            encoded = char.encode()
            writer.write(encoded[:1])
            if encoded[1:]:
                await writer.drain()
                await asyncio.sleep(SPLIT_PAUSE_S)
                writer.write(encoded[1:])
        await writer.drain()


async def _chunk(answer: asyncio.StreamReader) -> bytes:
    size = int(await answer.readline(), 16)
    data = await answer.readexactly(size)
    await answer.readline()
    return data
