"""What `tests.forked` starts: this program loads what a server needs once, and forks each from there.

To load it takes ten times as long as all else that a start does. An order is a line of JSON, and so is its answer.
`{"start": "app", "environment": {"NAME": "value"}, "log": "path", "nice": 0}` gives the pid of a server, the whole app
or the "api" alone, and `{"poll": pid}` its exit code (negative: the signal that ended it), null while it runs. It ends
with its stdin.
"""

import asyncio
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from tempfile import TemporaryDirectory

# What takes longest of the page's program; the rest of it reads the settings as it is loaded.
import reflex.app  # noqa: F401
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from chat_app import connections, logs, server
from chat_app.api import create_api, guard, stream, websocket
from chat_app.api.deadline import SEND_TIMEOUT_S
from chat_app.api.guard import Guard
from chat_app.building import UNLINKED
from chat_app.config import load_settings
from chat_app.people.gate import Gate
from chat_app.people.people import knowing
from chat_app.server import or_a_sentence
from chat_app.service import serving
from chat_app.shutdown import on_shutdown
from chat_app.store.store import Store
from chat_app.turns import journal
from tests import callers
from tests.app import read_certificates_once

CONSTANTS = [
    (stream, "PING_S"),
    (stream, "SELFTEST_PAUSE_S"),
    (websocket, "IDLE_S"),
    (journal, "BEAT_S"),
    (guard, "BODY_S"),
    (guard, "DISCARD_S"),
    (server, "HEADERS_S"),
    (connections, "DEAF_MS"),
]


def set_constants() -> None:
    """As the environment has them."""
    for module, name in CONSTANTS:
        kind = type(getattr(module, name))
        setattr(module, name, kind(os.environ.get(name, getattr(module, name))))


async def ping(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("pong")


def api() -> ASGIApp:
    settings = load_settings()
    set_constants()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with (
            or_a_sentence(serving(settings)) as service,
            or_a_sentence(knowing(settings, service.store.database) if settings.accounts else nullcontext()),
            on_shutdown(service.end_turns, grace=settings.shutdown_grace, port=settings.port),
        ):
            yield

    doors = create_api(float(os.environ.get("SEND_TIMEOUT_S", SEND_TIMEOUT_S)))
    routes = [Route("/ping", ping), Mount("/", doors)]
    app: ASGIApp = Starlette(routes=routes, lifespan=lifespan)
    return Guard(Gate(app, settings) if settings.accounts else app, settings)


def serve_api() -> None:
    settings = load_settings()
    take_callers()
    set_constants()
    logs.install(settings.log_format, settings.secrets)
    server.serve(
        "tests.fork_server:api",
        host=settings.host,
        port=settings.port,
        grace=settings.shutdown_grace,
        capacity=connections.capacity(settings.database_pool_size),
    )


def take_callers() -> None:
    """`CALLERS=1`: who asks is what the request says, see `tests.callers`."""
    if os.environ.get("CALLERS"):
        callers.install()


def serve_app() -> None:
    take_callers()
    sys.argv = ["chat_app", *json.loads(os.environ.get("ARGUMENTS", "[]"))]
    runpy.run_module("chat_app", run_name="__main__", alter_sys=True)


SERVERS = {"api": serve_api, "app": serve_app}
ended: dict[int, int] = {}


def start(what: str, environment: dict[str, str], log: str, nice: int) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        # A session of its own, as its starter gives to any server.
        os.setsid()
        os.nice(nice - os.nice(0))
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream.fileno())
        os.environ.clear()
        os.environ.update(environment)
        if descriptors := os.environ.get("DESCRIPTORS"):
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
        SERVERS[what]()
        status = 0
    except SystemExit as end:
        # As Python ends a program.
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def poll(pid: int) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def load() -> None:
    """What each server loads and compiles, whatever its settings."""
    read_certificates_once()
    AsyncOpenAI(api_key="none")
    os.environ |= UNLINKED
    # Half of the time that the page's program takes.
    importlib.import_module("chat_app.ui.elements")
    with TemporaryDirectory() as folder:
        asyncio.run(migrate(f"sqlite:///{folder}/chat.db"))


async def migrate(url: str) -> None:
    store = Store(url)
    await store.open()
    await store.close()


def main() -> None:
    # Ctrl+C is for the one that gives the orders.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    load()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            answer = poll(order["poll"])
        else:
            answer = start(order["start"], order["environment"], order["log"], order["nice"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
