"""The server, Granian: one process for page, API and websockets."""

import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn, TypeVar

from granian import loops
from granian._granian import SocketHolder
from granian._internal import load_target
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from chat_app import logs
from chat_app.connections import Capacity, listener
from chat_app.errors import CannotStart, ChatError, SettingsError
from chat_app.shutdown import LAST_RESORT_S, server_loop, serves

loops.register(Loops.uvloop.value)(server_loop)


T = TypeVar("T")
SAID = 78
"""How a worker ends that has said why; Granian's own line on it is left out."""
OUR_LOG = {"loggers": {name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access")}}
"""Granian's lines go the way of all others."""
HEADERS_S = 15.0
"""How long a request's headers may take, and a connection may stay without a request."""


class Server(MPServer):
    """Granian with a listening socket of ours: it has no options for what a socket of its own does."""

    listening: socket.socket | None = None
    """That of whoever starts it, where that one keeps it."""

    def _init_shared_socket(self) -> None:
        try:
            listening = self.listening or listener(self.bind_addr, self.bind_port)
        except OSError as problem:
            raise CannotStart(f"The server cannot listen at {self.bind_addr}:{self.bind_port}: {problem}.") from None
        # Its type stubs are behind its code.
        self._sso: Any = listening
        self._shd: Any = SocketHolder(listening.fileno(), False, self.backlog)  # type: ignore[call-arg]

    @property
    def respawn_failed_workers(self) -> bool:
        """Whether the worker broke while it served: a library crashed, or an agent ended the process or its loop. Then
        there is another one, unless that breaks within seconds too."""
        return bool(serves[0])

    @respawn_failed_workers.setter
    def respawn_failed_workers(self, _: bool) -> None:
        """Of Granian's own options."""


@asynccontextmanager
async def or_a_sentence(opening: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """What keeps a service from being opened is said without a traceback, and ends the process."""
    try:
        async with opening as opened:
            yield opened
    except (CannotStart, SettingsError) as error:
        end_with(error)


def load(target: str) -> Any:
    """What the function `target` ("module:name") makes. What a setting names is imported with it, and only here: a
    framework can take seconds."""
    serves[0] = False
    try:
        return load_target(target, factory=True)
    except SettingsError as error:
        end_with(error)


def end_with(error: ChatError) -> NoReturn:
    logs.say(str(error))
    os._exit(SAID)


def serve(
    target: str,
    *,
    host: str,
    port: int,
    grace: float,
    capacity: Capacity,
    listening: socket.socket | None = None,
) -> None:
    """Serve what the function `target` ("module:name") makes, until SIGTERM, SIGINT or SIGHUP.

    `grace` is how many seconds it may take until all turns have ended.
    """
    server = Server(
        target,
        factory=True,
        interface=Interfaces.ASGI,
        address=host,
        port=port,
        loop=Loops.uvloop,
        # While it finds out which HTTP a connection speaks, there is no limit of time. Proxies speak HTTP/1.1.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=round(HEADERS_S * 1000)),
        backpressure=capacity.connections,
        # One process: the log of a running turn is in its memory.
        workers=1,
        # The other mode frees Python's objects on threads of its own while it stops, and may end the process with that.
        runtime_mode=RuntimeModes.st,
        log_level=LogLevels.warning,
        log_dictconfig=OUR_LOG,
        # The last resort; the turns end long before (chat_app/shutdown.py).
        workers_kill_timeout=round(grace) + LAST_RESORT_S,
    )
    server.listening = listening
    logging.getLogger("_granian").addFilter(
        lambda _: all(getattr(worker.inner, "exitcode", None) != SAID for worker in server.wrks)
    )
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    @server.on_startup
    def handle_sighup() -> None:
        """Granian would start a second worker beside the first. As after `nohup`, it may also be ignored."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else server.signal_handler_interrupt)

    server.serve(target_loader=load)
