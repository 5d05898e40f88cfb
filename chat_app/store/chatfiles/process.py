"""Reads a file beside the event loop: a small one in a thread, any other in a process of its own.

A process, since Python's JSON would hold all threads up for as long as it reads one long chat, and a file that was made
to do harm is to reach nothing but the process that reads it.
"""

import asyncio
import pickle
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

from chat_app.config import ROOT
from chat_app.errors import InvalidRequest
from chat_app.store.chatfiles.reading import ZIP_MAGIC, Batch, batches

SMALL_BYTES = 200_000
PIPE_BYTES = 1 << 20


async def read(path: Path) -> AsyncGenerator[Batch, None]:
    """Close it if you do not read it to the end. Raises InvalidRequest, with a sentence."""
    if await asyncio.to_thread(_is_small, path):
        for one in await asyncio.to_thread(lambda: list(batches(path))):
            yield one
        return
    command = [sys.executable, "-m", "chat_app.store.chatfiles", str(path)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, limit=PIPE_BYTES)
    assert process.stdout
    try:
        while (batch := await _next(process.stdout)) is not None:
            yield batch
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _is_small(path: Path) -> bool:
    """A zip is as large as what is in it."""
    with path.open("rb") as file:
        return path.stat().st_size <= SMALL_BYTES and file.read(4) not in ZIP_MAGIC


async def _next(stream: asyncio.StreamReader) -> Batch | None:
    try:
        [size] = struct.unpack("!Q", await stream.readexactly(8))
        found = pickle.loads(await stream.readexactly(size))
    except asyncio.IncompleteReadError:
        raise InvalidRequest("The file could not be read: it is damaged, or too large for this machine.") from None
    if isinstance(found, str):
        raise InvalidRequest(found)
    assert found is None or isinstance(found, Batch)
    return found
