"""`POST /stream/` beside a bare pass-through of the provider's bytes.

The provider and the readers are in this process, each server is alone in its own. A token carries the time at which it
was written.
"""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests import process
from tests.app import App, free_port
from tests.bench.records import OURS, Column, Plot, Table, quantiles

STAMP = re.compile(rb"<(\d{15,})>")
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
TOKEN = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":"<%d> "},"logprobs":null,"finish_reason":null}]}\n\n'
)
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKENS_A_WRITE = 64
LONG_CHARS = 10_000_000
READ_BYTES = 262_144
SPREAD_S = 0.02
"""From one stream's question to the next's: a new chat costs the database more than any token."""
FIRST_WORD = 10_000
PROVIDER = "BENCH_PROVIDER"
START_S = 60.0
COLUMNS = [
    Column("rate", "tokens/s", 0),
    Column("cpu", "CPU a token, µs", 0),
    Column("lag_p50", "lag p50, ms"),
    Column("lag_p99", "p99"),
    Column("refused", "streams refused", 0),
]
NOTE = (
    "`POST /stream/` beside a bare pass-through (Starlette and httpx on Granian), which stores nothing. Lag is from "
    "the provider's write to the reader. Provider and readers share the machine with the server, so compare the two "
    "rows of a case. Streams begin 20 ms apart."
)
PASS_THROUGH = "pass-through"


@dataclass(frozen=True)
class Case:
    """`interval_s` is between two tokens of a stream; 0: as fast as they are taken. With `words` they are of a thousand
    different ones, as a text has, in place of the time.
    """

    name: str
    streams: int
    tokens: int
    interval_s: float = 0.0
    words: bool = False


CASES = [
    Case("1 stream flat out", 1, 40_000),
    Case("8 streams flat out", 8, 5_000),
    *(Case(f"{count} streams × 20 tokens/s", count, 100, 0.05) for count in (1, 10, 100)),
    # Long enough that all run at the same time for a while.
    Case("500 streams × 20 tokens/s", 500, 400, 0.05),
]
QUICK = [Case("1 stream flat out", 1, 2_000), Case("4 streams × 20 tokens/s", 4, 20, 0.05)]
LONG_TEXT = Case("10 MB answer", 1, LONG_CHARS // len(f"<{FIRST_WORD}> "), words=True)


async def provide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the tokens that the question asks for."""
    # The last one: those that wait for a request when all is measured.
    with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            asked = json.loads(json.loads(body)["messages"][-1]["content"])
            await _tokens(writer, Case(**asked))
    writer.close()


async def _tokens(writer: asyncio.StreamWriter, case: Case) -> None:
    writer.write(HEAD)
    began = time.monotonic()
    for number in range(case.tokens):
        if case.interval_s:
            await asyncio.sleep(max(began + number * case.interval_s - time.monotonic(), 0))
        writer.write(_chunk(TOKEN % (FIRST_WORD + number * 7919 % 1000 if case.words else time.time_ns())))
        if not case.interval_s and number % TOKENS_A_WRITE == 0:
            await writer.drain()
    writer.write(_chunk(END) + b"0\r\n\r\n")
    await writer.drain()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def read(port: int, case: Case, number: int) -> list[float]:
    """The lag of each token of one stream, in milliseconds; none where it was refused."""
    lags: list[float] = []
    rest = b""
    if case.interval_s:
        await asyncio.sleep(number * SPREAD_S)
    async with _asked(port, case) as reader:
        while data := await reader.read(READ_BYTES):
            now = time.time_ns()
            data = rest + data
            lags += [(now - int(stamp[1])) / 1e6 for stamp in STAMP.finditer(data)]
            # A token may be cut in two.
            start = data.rfind(b"<")
            rest = data[start:] if start > data.rfind(b">") else b""
    if lags and abs(len(lags) - case.tokens) > case.tokens / 100:
        raise RuntimeError(f"{len(lags)} of {case.tokens} tokens came.")
    return lags


@asynccontextmanager
async def _asked(port: int, case: Case) -> AsyncIterator[asyncio.StreamReader]:
    body = json.dumps({"content": json.dumps(asdict(case))}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    head = f"POST /stream/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    try:
        yield reader
    finally:
        writer.close()


async def measure(port: int, pid: int, case: Case) -> dict[str, float | None]:
    """The values of a row."""
    cpu, began = process.cpu_s(pid), time.monotonic()
    streams = await asyncio.gather(*(read(port, case, number) for number in range(case.streams)))
    lags = [lag for stream in streams for lag in stream]
    if not lags:
        raise RuntimeError("No stream got an answer.")
    took, used = time.monotonic() - began, process.cpu_s(pid) - cpu
    lag = quantiles("lag", lags, 50, 99) if case.interval_s else {}
    refused = sum(not stream for stream in streams)
    return {"rate": len(lags) / took, "cpu": used / len(lags) * 1e6, "refused": refused, **lag}


async def bytes_written(app: App) -> float:
    """What a long answer costs the database's files, as a multiple of its text."""
    before = _written(app.pid)
    # Nobody reads it, nor asks for it: what goes to a socket may count too.
    async with _asked(app.port, LONG_TEXT) as reader:
        await reader.readuntil(b"\r\n\r\n")
    database = sqlite3.connect(f"file:{app.folder / 'chat.db'}?mode=ro", uri=True)
    with closing(database):
        while database.execute("SELECT 1 FROM message WHERE status = 'streaming'").fetchone():
            await asyncio.sleep(0.2)
        (length,) = database.execute("SELECT max(length(content)) FROM message").fetchone()
    if length < LONG_CHARS / 2:
        raise RuntimeError(f"The answer has {length:,} characters only.")
    return (_written(app.pid) - before) / length


def _written(pid: int) -> int:
    counts = (re.search(r"wchar: (\d+)", Path(f"/proc/{one}/io").read_text()) for one in process.family(pid))
    return sum(int(count[1]) for count in counts if count)


def pass_through() -> Starlette:
    provider_url = os.environ[PROVIDER]
    client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None), trust_env=False)

    async def stream(request: Request) -> StreamingResponse:
        question = {"role": "user", "content": (await request.json())["content"]}

        async def body() -> AsyncIterator[bytes]:
            request = client.stream("POST", f"{provider_url}/chat/completions", json={"messages": [question]})
            async with request as answer:
                async for data in answer.aiter_raw():
                    yield data

        return StreamingResponse(body(), media_type="text/event-stream")

    return Starlette(routes=[Route("/stream/", stream, methods=["POST"])])


@contextmanager
def passing_through(provider_url: str) -> Iterator[tuple[int, int]]:
    """The port and the process of the pass-through."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--no-log", "--port", str(port)]
    server = subprocess.Popen([*command, "tests.bench.doors:pass_through"], env=os.environ | {PROVIDER: provider_url})
    try:
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(START_S)


async def _is_up(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)


async def run(quick: bool = False) -> list[Table]:
    plot = Plot(["cpu"], "CPU a token, µs")
    found = Table("doors", "What a token costs at the door", COLUMNS, NOTE, plot)
    written = Table("written", "What is written to the database's files", [Column("times", "times its text")])
    provider = await asyncio.start_server(provide, "127.0.0.1", 0, limit=2**24, backlog=4_096)
    url = f"http://127.0.0.1:{provider.sockets[0].getsockname()[1]}/v1"
    settings = {"openai_base_url": url, "openai_model": "m", "max_answer_chars": str(LONG_CHARS * 2)}
    with tempfile.TemporaryDirectory() as folder, App(Path(folder), **settings) as app, passing_through(url) as bare:
        await _is_up(bare[0])
        for case in QUICK if quick else CASES:
            for name, (port, pid) in ((PASS_THROUGH, bare), (OURS, (app.port, app.pid))):
                await measure(port, pid, Case("warm", 2, 50, 0.01))
                found.add(case.name, name, **await measure(port, pid, case))
        if not quick:
            written.add(LONG_TEXT.name, times=await bytes_written(app))
    provider.close()
    return [found] if quick else [found, written]
