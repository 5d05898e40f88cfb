"""A server of a test that ends."""

import asyncio
import gc
import socket
import warnings

import pytest

from tests.listening import listening


@pytest.mark.anyio
@pytest.mark.parametrize("steps", range(5))
async def test_a_connection_that_comes_as_it_closes_is_not_left_open(steps: int) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        async with listening(serve) as port:
            with socket.create_connection(("127.0.0.1", port)):
                for _ in range(steps):
                    await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
    assert not left
