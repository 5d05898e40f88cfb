"""How many connections a server takes, and how long a silent one is kept: what the operating system has to be told."""

import asyncio
import errno
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chat_app.errors import CannotStart

if sys.platform != "win32":
    import resource

ENOUGH = 65_536
"""File descriptors: more are not asked for."""
RESERVED = 64
"""Descriptors for libraries, logs, files and the database."""
DEAF_MS = 60_000
"""A connection is dropped when what was sent to it is not taken for so long: the server itself never does that."""
SWEEP_S = 0.2
"""Between two looks through all connections for those of which no more is read."""
Address = tuple[str, int]
PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3}
"""Seconds of silence before a peer is asked whether it is still there, and between questions; how many there are."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What fits into the descriptors of the process. Beyond them, the server's loop that accepts connections would spin
    on the same error; so would a running answer find none for its model."""

    connections: int
    """That are accepted, those that say nothing included."""
    requests: int
    """That are answered at the same time: fewer, so that one more can be accepted and told so."""
    sockets: int
    """Websockets, which the server does not count."""


def capacity(reserved: int = 0) -> Capacity:
    """Divide the descriptors that this user may have; `reserved` are the database's."""
    limit = _limit()
    free = limit - RESERVED - reserved
    if free < 16:
        raise CannotStart(
            f"The server may open {limit} files only (`ulimit -n`), and needs {RESERVED + reserved + 16}. "
            "Raise that limit, or lower DATABASE_POOL_SIZE."
        )
    # Half for connections; a quarter for websockets; of the last quarter running answers reach their model.
    return Capacity(connections=free // 2, requests=free // 4, sockets=free // 4)


def _limit() -> int:
    """Of descriptors, raised as far as this user may; Windows has none."""
    if sys.platform == "win32":
        return ENOUGH
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        limit = ENOUGH if soft == resource.RLIM_INFINITY else min(soft, ENOUGH)
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def no_descriptors(problem: BaseException) -> bool:
    """Whether an error came of that, however many libraries wrapped it."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def listener(host: str, port: int) -> socket.socket:
    """The socket to listen at, bound; all that it accepts has its options. Raises OSError."""
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has all of them.
    for name, value in {"TCP_NODELAY": 1, "TCP_USER_TIMEOUT": DEAF_MS, **PROBES}.items():
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(True)
    return listening


def hang_up(port: int) -> int:
    """Cut off all connections of this process that came in at `port`, whatever they wait for; returns how many."""
    # Python does not know of them, and the server waits for each.
    return sum(
        _shut_down(descriptor, socket.SHUT_RDWR, lambda one: _port(one) == port) for descriptor in _descriptors()
    )


class Abandoned:
    """Connections of which no more is read, after a body that did not come: what was said to them is still sent, and
    then the server closes them.

    The server can't be told. It waits for the rest of a body as long as somebody has asked for it, also if the asking
    was cancelled since, and that may be for ever.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._clients: set[Address] = set()
        self._sweeping: asyncio.Task[None] | None = None

    def add(self, client: tuple[str, int | str] | None) -> None:
        """`client` is what the ASGI scope has."""
        if client is None:
            return
        # Granian's port is a string.
        self._clients.add((client[0], int(client[1])))
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        # All of a moment in one look: there may be thousands, and a look goes through them all.
        while self._clients:
            await asyncio.sleep(SWEEP_S)
            clients, self._clients = self._clients, set()
            await asyncio.to_thread(stop_reading, self._port, clients)


def stop_reading(port: int, clients: set[Address]) -> int:
    """Let the connections of these clients to `port` look as if they sent no more; returns how many were found."""

    def wanted(one: socket.socket) -> bool:
        return _port(one) == port and one.getpeername()[:2] in clients

    return sum(_shut_down(descriptor, socket.SHUT_RD, wanted) for descriptor in _descriptors())


def _descriptors() -> Iterator[int]:
    # Windows has no such folder.
    with suppress(FileNotFoundError):
        yield from (int(entry.name) for entry in Path("/dev/fd").iterdir())


def _shut_down(descriptor: int, how: int, wanted: Callable[[socket.socket], bool]) -> bool:
    with suppress(OSError), _borrowed(descriptor) as found:
        if found.family in (socket.AF_INET, socket.AF_INET6) and wanted(found) and not _listens(found):
            found.shutdown(how)
            return True
    return False


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """It stays the server's, who closes it. Raises OSError: it is no socket."""
    found = socket.socket(fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()


def _port(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port


def _listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
