"""An asyncio server of a test, whose end leaves no connection open."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of this machine at which `serve` gets each connection.

    asyncio forgets a connection that it accepts in the very step in which the server closes
    (https://github.com/python/cpython/issues/109564). Its socket stays open until it is collected, which fails whatever
    test runs then. So at the end no connection is accepted any more, the accepted ones begin, and then it closes.
    """
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for one in server.sockets:
            asyncio.get_running_loop().remove_reader(one.fileno())
        await asyncio.sleep(0)
        server.close()
