"""What goes wrong around a server, and what a program and its log see of it: real processes, a real PostgreSQL."""

import asyncio
import json
import os
import pwd
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from chat_app.config import ROOT
from chat_app.errors import DiskFull
from chat_app.store.store import Store
from tests.app import free_port
from tests.forked import Api, ForkedApp
from tests.listening import listening
from tests.postgres import Postgres
from tests.process import HeldUp, family
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of
from tests.ws_client import Socket

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PASSWORD = "s3cret/p@ss w:rd#1?"
WRITTEN = "s3cret%2Fp%40ss%20w%3Ard%231%3F"
LIMIT_S = 3.0
"""A database that is only busy answers sooner."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL of this file's own, which is stopped and frozen; with a user who has a password."""
    # What is committed outlives its stop.
    with Postgres(free_port(), "-c", "synchronous_commit=on") as server:
        asyncio.run(server.execute(f"CREATE ROLE person LOGIN PASSWORD '{PASSWORD}'"))
        asyncio.run(server.execute("CREATE ROLE poor LOGIN PASSWORD 'poor-secret'"))
        yield server


@pytest.fixture
async def database(server: Postgres) -> AsyncIterator[str]:
    async with server.database() as name:
        await server.execute("GRANT ALL ON SCHEMA public TO person", name)
        yield name


@pytest.fixture
async def api(server: Postgres, database: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Api]:
    with Api(
        tmp_path,
        database_url=server.tcp_url(database, f"person:{WRITTEN}"),
        database_timeout=str(LIMIT_S),
        openai_base_url=provider.base_url,
        openai_model="bench",
    ) as api:
        yield api


def lines(app: Api | ForkedApp, event: str) -> list[str]:
    return [line for line in app.logged().splitlines() if event in line]


async def until(condition: Callable[[], object], timeout: float = 60) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


# The database, while the server runs

DOORS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/chats/", {}),
    ("POST", "/chats/", {"json": {"title": "New"}}),
    ("GET", "/chats/CHAT", {}),
    ("PATCH", "/chats/CHAT", {"json": {"title": "Other"}}),
    ("DELETE", "/chats/CHAT", {}),
    ("GET", "/chats/CHAT/export", {}),
    ("POST", "/chats/import", {"content": "FILE"}),
    ("GET", "/messages/?chat_id=CHAT", {}),
    ("POST", "/messages/", {"json": {"content": "Hi", "chat_id": "CHAT"}}),
    ("POST", "/messages/", {"json": {"content": "Hi"}, "headers": {"Idempotency-Key": "k"}}),
    ("POST", "/messages/REPLY/rating", {"json": {"rating": 1}}),
    ("POST", "/messages/REPLY/stop", {}),
    ("POST", "/messages/REPLY/continue", {}),
    ("POST", "/stream/", {"json": {"content": "Hi"}}),
    ("GET", "/stream/unknown", {}),
    ("POST", "/stream/unknown/stop", {}),
    ("POST", "/stream/REPLY/continue", {}),
    ("GET", "/search/?q=word", {}),
]


async def ask_all_doors(api: Api, chat: str, reply: str, file: bytes) -> None:
    """Each says the same within the time limit."""

    async def ask(method: str, path: str, request: dict[str, Any]) -> None:
        filled = json.loads(json.dumps(request).replace("CHAT", chat))
        if "content" in filled:
            filled["content"] = file
        response = await client.request(method, path.replace("CHAT", chat).replace("REPLY", reply), **filled)
        assert (method, path, response.status_code) == (method, path, 503), response.text
        error = response.json()["error"]
        assert (error["code"], error["retryable"]) == ("database_unavailable", True)
        assert int(response.headers["retry-after"]) > 0
        assert "try again" in error["message"]

    async with api.client(timeout=LIMIT_S * 10) as client:
        await asyncio.gather(*(ask(*door) for door in DOORS))
    async with Socket(f"{api.url}/stream/ws") as socket:
        await socket.send({"content": "Hi"})
        assert (await socket.receive())["error"]["code"] == "database_unavailable"


async def exchange(api: Api) -> dict[str, Any]:
    async with api.client() as client:
        response = await client.post("/messages/", json={"content": script(tokens=2)})
        assert response.is_success, response.text
        found: dict[str, Any] = response.json()
        return found


Outage = Callable[[Postgres, Callable[[], Awaitable[None]]], Awaitable[None]]


async def stopped(server: Postgres, meanwhile: Callable[[], Awaitable[None]]) -> None:
    server.stop()
    try:
        await meanwhile()
    finally:
        server.start()


async def frozen(server: Postgres, meanwhile: Callable[[], Awaitable[None]]) -> None:
    with server.frozen():
        await meanwhile()


@pytest.mark.parametrize("trouble", [stopped, frozen])
async def test_a_database_that_is_away_is_503_at_every_door_and_costs_no_running_answer(
    trouble: Outage, api: Api, server: Postgres, provider: Provider
) -> None:
    before = await exchange(api)
    file = api.http.get(f"/chats/{before['chat_id']}/export").content
    gaps: list[float] = []

    async def follow() -> str:
        async with (
            api.client() as client,
            streaming(client, "POST", "/stream/", json={"content": script(tokens=-1, interval_ms=20)}) as stream,
        ):
            began.set_result(stream.turn_id)
            frames, last = [await stream.next()], time.monotonic()
            while not over.is_set():
                frames.append(await stream.next())
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
            await client.post(f"/stream/{stream.turn_id}/stop")
            return text_of([*frames, *await stream.rest()])

    began: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()
    held_up = HeldUp(api.pid)
    following = asyncio.create_task(follow())
    turn = await began
    await until(lambda: len(gaps) > 5)
    await trouble(server, lambda: ask_all_doors(api, before["chat_id"], before["id"], file))
    # The first request after it.
    async with api.client() as client:
        assert (await client.get("/chats/")).status_code == 200
    over.set()
    text = await following
    assert max(gaps) < 5 + held_up.seconds()
    async with api.client() as client:
        chat = (await client.get(f"/stream/{turn}")).headers["x-chat-id"]
        [_, reply] = (await client.get(f"/messages/?chat_id={chat}")).json()["messages"]
    assert (reply["status"], reply["content"]) == ("stopped", text)
    log = api.logged()
    assert "Traceback" not in log
    assert (len(lines(api, "ERROR database unavailable")), len(lines(api, "database available again"))) == (1, 1)
    # Start, two turns, the two of the database.
    assert len(log.splitlines()) <= 6, log
    assert PASSWORD not in log and WRITTEN not in log


async def test_an_answer_that_ends_while_the_database_is_away_is_saved_when_it_is_back(
    api: Api, server: Postgres, provider: Provider
) -> None:
    async with (
        api.client() as client,
        streaming(client, "POST", "/stream/", json={"content": script(tokens=6, hold=[3])}) as stream,
    ):
        await stream.until(lambda frame: "tok2" in frame.data)
        server.stop()
        provider.go()
        frames = await stream.until(lambda frame: "tok5" in frame.data)
        server.start()
        frames += await stream.rest()
        assert "stop" in frames[-2].data
        messages = (await client.get(f"/messages/?chat_id={stream.chat_id}")).json()["messages"]
    assert [message["status"] for message in messages] == ["complete", "complete"]
    assert messages[1]["content"].split() == [f"tok{number}" for number in range(6)]


@pytest.mark.parametrize("kind", ["pool", "role"])
async def test_thirty_streams_on_five_connections_wait(
    kind: str, server: Postgres, database: str, tmp_path: Path, provider: Provider
) -> None:
    """Five of a pool, or five that the server gives us while the pool may have more."""
    if kind == "role":
        await server.execute("ALTER ROLE person CONNECTION LIMIT 5")
    settings = {"database_pool_size": "5"} if kind == "pool" else {}
    try:
        with Api(
            tmp_path,
            database_url=server.tcp_url(database, f"person:{WRITTEN}"),
            openai_base_url=provider.base_url,
            openai_model="bench",
            **settings,
        ) as api:
            async with api.client(timeout=60) as client:

                async def ask() -> str:
                    async with streaming(
                        client, "POST", "/stream/", json={"content": script(tokens=40, interval_ms=10)}
                    ) as stream:
                        return text_of(await stream.rest())

                texts = await asyncio.gather(*(ask() for _ in range(30)))
            assert {len(text.split()) for text in texts} == {40}
            assert not lines(api, "ERROR")
    finally:
        await server.execute("ALTER ROLE person CONNECTION LIMIT -1")


@asynccontextmanager
async def tls_before(server: Postgres) -> AsyncIterator[int]:
    """The port of a PostgreSQL that speaks TLS, and nothing else: our binaries are built without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # PostgreSQL's question for TLS.
        if await reader.readexactly(8) != (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"):
            return writer.close()
        writer.write(b"S")
        await writer.start_tls(context)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.create_task(relay(reader, writer)))

    relays: list[asyncio.Task[None]] = []
    try:
        async with listening(begin) as port:
            yield port
    finally:
        await asyncio.gather(*relays)


@pytest.mark.parametrize(
    "query", ["sslmode=require", "sslmode=prefer&connect_timeout=5", "ssl=require&channel_binding=require"]
)
async def test_tls_as_managed_postgresql_hands_it_out(
    query: str, server: Postgres, database: str, tmp_path: Path
) -> None:
    async with tls_before(server) as port:
        address = server.tcp_url(database, f"person:{WRITTEN}").replace(f":{server.port}/", f":{port}/")
        api = Api(tmp_path, database_url=f"{address}?{query}&application_name=rill", database_wait="0")
        await asyncio.to_thread(api.start)
        async with api.client() as client:
            assert (await client.get("/chats/")).status_code == 200
        assert await server.fetch("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'rill'")
        await asyncio.to_thread(api.__exit__, None, None, None)


# A start that fails


@pytest.fixture
def start(page_built: None, tmp_path: Path) -> Callable[..., str]:
    """`start(database_url=…)` starts the whole app in vain and gives all that it said."""

    def start(**settings: str) -> str:
        app = ForkedApp(tmp_path, **{"database_wait": "0", "database_timeout": "3"} | settings)
        try:
            app.log.write_text("")
            process = app.spawn(app.environment())
            assert process.wait(30) == 1
        finally:
            app.http.close()
        return app.logged()

    return start


PROGRESS = ("The page is built already.\n", "Starting …\n")


def one_sentence(said: str, *expected: str) -> None:
    """That, and not a line more of it."""
    said = "".join(line for line in said.splitlines(True) if line not in PROGRESS)
    assert said.endswith(".\n") and said.count("\n") == 1, said
    for text in expected:
        assert text in said
    assert "secret" not in said.lower()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("poor:wrong-secret@127.0.0.1:PORT/postgres", "wrong user or password in DATABASE_URL"),
        ("nobody:secret@127.0.0.1:PORT/postgres", "wrong user or password in DATABASE_URL"),
        ("poor:poor-secret@127.0.0.1:PORT/missing", "there is no database missing. Create it, or correct DATABASE_URL"),
        ("poor:poor-secret@127.0.0.1:PORT/postgres", "does not let the user poor make or change tables"),
        (
            "poor:poor-secret@127.0.0.1:CLOSED/postgres",
            "cannot be reached (Connection refused). Start it, or correct DATA",
        ),
        ("poor:poor-secret@no-such-host.invalid/postgres", "there is no host of that name. Correct DATABASE_URL"),
        ("poor:poor-secret@127.0.0.1:PORT/postgres?sslmode=require", "cannot be reached with TLS"),
        ("poor:poor-secret@127.0.0.1:PORT/postgres?sslmode=sometimes", "Check DATABASE_URL"),
        (
            "poor:p@secret@127.0.0.1:PORT/postgres",
            "The setting DATABASE_URL cannot be used: marks in a user or password",
        ),
        (
            "poor:p@sec/ret@127.0.0.1:PORT/postgres",
            "The setting DATABASE_URL cannot be used: marks in a user or password",
        ),
        (
            "po@or:secret@127.0.0.1:PORT/postgres",
            "The setting DATABASE_URL cannot be used: marks in a user or password",
        ),
        ("poor:secret@127.0.0.1:port/postgres", "The setting DATABASE_URL cannot be used"),
        ("poor:secret@127.0.0.1:99999/postgres", "a port is a number from 1 to 65535"),
    ],
)
def test_a_start_without_its_postgresql_is_one_sentence(
    address: str, expected: str, server: Postgres, start: Callable[..., str]
) -> None:
    filled = address.replace("PORT", str(server.port)).replace("CLOSED", str(free_port()))
    one_sentence(start(database_url=f"postgresql://{filled}"), expected)


def test_a_start_with_a_postgresql_that_is_frozen_ends(server: Postgres, start: Callable[..., str]) -> None:
    with server.frozen():
        address = server.tcp_url("postgres", "poor:poor-secret")
        one_sentence(start(database_url=address), "(it does not answer). Start it, or correct DATABASE_URL.")


async def test_a_start_waits_for_postgresql_and_says_so(server: Postgres, database: str, tmp_path: Path) -> None:
    app = Api(tmp_path, database_url=server.tcp_url(database, f"person:{WRITTEN}"), database_wait="30")
    app.log.touch()
    server.stop()
    starting = asyncio.create_task(asyncio.to_thread(app.start))
    try:
        await until(lambda: lines(app, "waiting for PostgreSQL"))
    finally:
        server.start()
    await starting
    [line] = lines(app, "waiting for PostgreSQL")
    assert f'at=127.0.0.1:{server.port}/{database} seconds=30 reason="Connection refused"' in line
    assert PASSWORD not in app.logged() and WRITTEN not in app.logged()
    await asyncio.to_thread(app.__exit__, None, None, None)


def sqlite(folder: Path) -> Path:
    file = folder / "database" / "chat.db"
    file.parent.mkdir()
    return file


def damaged(file: Path, migrated: Path, at: int) -> None:
    content = bytearray(migrated.read_bytes())
    content[at : at + 4096] = os.urandom(4096)
    file.write_bytes(content)


@pytest.mark.everyday
@pytest.mark.parametrize("content", [b"This is no database at all.\n" * 200, b"\x89PNG\r\n" + bytes(9_000)])
def test_a_file_that_is_no_database(content: bytes, tmp_path: Path, start: Callable[..., str]) -> None:
    file = sqlite(tmp_path)
    file.write_bytes(content)
    said = start(database_url=f"sqlite:///{file}")
    one_sentence(said, f"The file {file} is no database.", "set DATABASE_URL to another file.")
    assert file.read_bytes() == content


@pytest.mark.parametrize("page", [0, 1, 7])
def test_a_database_that_is_damaged(page: int, migrated: Path, tmp_path: Path, start: Callable[..., str]) -> None:
    file = sqlite(tmp_path)
    damaged(file, migrated, page * 4096 + (200 if page == 0 else 0))
    one_sentence(start(database_url=f"sqlite:///{file}"), f"The database {file} is damaged", "DATABASE_URL")


def test_a_database_in_a_place_that_is_no_folder(tmp_path: Path, start: Callable[..., str]) -> None:
    (tmp_path / "file").touch()
    one_sentence(
        start(database_url=f"sqlite:///{tmp_path}/file/chat.db"), "cannot be opened and written", "DATABASE_URL"
    )
    (tmp_path / "chat.db").mkdir()
    one_sentence(start(database_url=f"sqlite:///{tmp_path}/chat.db"), "cannot be opened and written", "DATABASE_URL")


def test_a_port_or_an_address_that_cannot_be_had(start: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        one_sentence(start(port=port), f"Port {port} is taken. End the program that uses it, or set PORT to another.")
    one_sentence(start(host="192.0.2.1", auth="none"), "HOST=192.0.2.1 is no address of this machine. Set HOST to")
    one_sentence(
        start(host="no-such-host.invalid", auth="none"), "HOST=no-such-host.invalid is no address of this machine."
    )


@pytest.mark.parametrize("kind", ["folder", "file", "lock", "log"])
def test_a_place_that_this_user_cannot_write(kind: str, migrated: Path, tmp_path: Path) -> None:
    """As another user than root, whom nothing keeps from writing."""
    file = sqlite(tmp_path)
    if kind != "folder":
        file.write_bytes(migrated.read_bytes())
    if kind == "lock":
        file.with_name("chat.db.lock").touch(mode=0o400)
    if kind == "log":
        file.with_name("chat.db-wal").touch(mode=0o400)
    if kind == "file":
        file.chmod(0o444)
    with open_to_others(file.parent, writable=kind != "folder"):
        said = check(f"sqlite:///{file}")
    one_sentence(said, f"The database {file} cannot be opened and written", "set DATABASE_URL to another file.")


@contextmanager
def open_to_others(folder: Path, writable: bool) -> Iterator[None]:
    """Within the block other users reach the folder, and may write in it or may not."""
    parents = [parent for parent in folder.parents if parent != Path("/") and not parent.stat().st_mode & 0o001]
    for parent in parents:
        parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o777 if writable else 0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def check(address: str) -> str:
    """What a start says of its database to a user without rights, who may not even reach Python's own files."""
    become = "os.setgroups([]), os.setgid({0.pw_gid}), os.setuid({0.pw_uid});".format(pwd.getpwnam("nobody"))
    code = f"import encodings.idna, os; from chat_app.__main__ import main; {'' if os.getuid() else become} main()"
    environment = os.environ | {"DATABASE_URL": address, "PORT": str(free_port())}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )
    assert run.returncode == 1
    return run.stdout + run.stderr


async def test_a_sqlite_that_is_full_is_told_as_that(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'chat.db'}")
    await store.open()
    await store.create_chat("Kept")
    [pages] = await store.database.write(lambda connection: connection.exec_driver_sql("PRAGMA page_count").one())
    limit = f"PRAGMA max_page_count = {pages}"
    await store.database.write(lambda connection: connection.exec_driver_sql(limit).all())
    with pytest.raises(DiskFull, match="the disk of the server is full"):
        await store.begin_turn("A text that needs more. " * 10_000)
    assert [chat.title for chat in await store.chats()] == ["Kept"]
    await store.database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 100000").all())
    await store.begin_turn("A text that needs more. " * 10_000)
    await store.close()


async def test_a_file_that_cannot_grow_costs_no_running_answer(tmp_path: Path, provider: Provider) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as api:
        _, worker, *_ = family(api.pid)
        before = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        async with (
            api.client() as client,
            streaming(client, "POST", "/stream/", json={"content": script(tokens=6, hold=[3])}) as stream,
        ):
            await stream.until(lambda frame: "tok2" in frame.data)
            size = max((tmp_path / name).stat().st_size for name in ("chat.db", "chat.db-wal"))
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (size + 4096, before[1]))
            for _ in range(5):
                asked = await client.post("/messages/", json={"content": "A text that needs room. " * 1_000})
                assert (asked.status_code, asked.json()["error"]["code"]) == (503, "database_unavailable")
            provider.go()
            await stream.until(lambda frame: "tok5" in frame.data)
            resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
            assert '"finish_reason":"stop"' in (await stream.rest())[-2].data
            messages = (await client.get(f"/messages/?chat_id={stream.chat_id}")).json()["messages"]
            assert (messages[1]["status"], messages[1]["content"].split()[-1]) == ("complete", "tok5")
        assert len(lines(api, "ERROR")) == len(lines(api, "database unavailable")) == 1
        assert len(lines(api, "database available again")) == 1
        assert "Traceback" not in api.logged()
