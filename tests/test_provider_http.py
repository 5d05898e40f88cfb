"""The HTTP client of a provider: what one read of the socket brings comes at once."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from chat_app.config import ROOT
from chat_app.replies.http import ProviderClient
from tests.listening import listening
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@asynccontextmanager
async def serving(*writes: bytes) -> AsyncIterator[str]:
    """A server that answers each request with these writes, and keeps the connection where they end the answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                for data in writes:
                    writer.write(data)
                    await writer.drain()
                if not writes[-1].endswith(END):
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async with listening(answer) as port:
        yield f"http://127.0.0.1:{port}"


async def read(client: httpx2.AsyncClient, url: str) -> list[bytes]:
    async with client.stream("GET", url) as response:
        return [data async for data in response.aiter_bytes()]


async def test_what_one_read_brings_is_one_piece() -> None:
    body = b"".join(chunk(b"data: %d\n\n" % number) for number in range(5))
    async with serving(HEAD + body + END) as url, ProviderClient() as client:
        for _ in range(2):
            assert await read(client, url) == [b"".join(b"data: %d\n\n" % number for number in range(5))]


async def test_each_chunk_comes_when_it_is_there() -> None:
    """The next one is not waited for."""
    seen: list[bytes] = []
    go = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + chunk(b"one"))
        await go.wait()
        writer.write(chunk(b"two") + END)
        writer.close()

    async with (
        listening(answer) as port,
        ProviderClient() as client,
        client.stream("GET", f"http://127.0.0.1:{port}") as response,
    ):
        async for data in response.aiter_bytes():
            seen.append(data)
            go.set()
    assert seen == [b"one", b"two"]


@pytest.mark.parametrize("broken", [b"", b"no chunk\r\n", b"5\r\nha"])
async def test_what_came_before_it_broke_is_given(broken: bytes) -> None:
    seen = b""
    async with serving(HEAD + chunk(b"one") + chunk(b"two") + broken) as url, ProviderClient() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            async with client.stream("GET", url) as response:
                async for data in response.aiter_bytes():
                    seen += data
    assert seen.startswith(b"onetwo")


WITHOUT_DESCRIPTORS = """
import asyncio, os, resource
from chat_app.errors import ChatError
from chat_app.replies.openai_service import OpenAIService

async def asked(service):
    try:
        return "".join([piece.text async for piece in service.reply([{"role": "user", "content": QUESTION}])])
    except ChatError as error:
        return f"{error.status} {error.code}: {error.message}"

async def main():
    running, new = (OpenAIService(api_key="k", base_url=URL, model="bench") for _ in range(2))
    # What is imported only then has a descriptor.
    print(await asked(running))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    print(await asked(new))
    print(await asked(running))
    for descriptor in taken:
        os.close(descriptor)
    print(await asked(new))

asyncio.run(main())
"""


@pytest.mark.slow
def test_without_a_descriptor_what_has_a_connection_goes_on_and_a_new_one_is_told(provider: Provider) -> None:
    names = {"URL": provider.base_url, "QUESTION": script(tokens=2, interval_ms=0)}
    code = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + WITHOUT_DESCRIPTORS
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    said = "tok0 tok1 "
    busy = "503 server_busy: The server has as many connections as it can take. Try again in a moment."
    assert (run.stdout.splitlines(), run.stderr) == ([said, busy, said, said], "")
