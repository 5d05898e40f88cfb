"""All chats into a file and out of one: whatever is stored comes back, whole or not at all, and nobody waits for it."""

import asyncio
import gc
import json
import resource
import shutil
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat_app.errors import InvalidRequest
from chat_app.models import Chat, Status, new_id
from chat_app.store.chatfile import message_row
from chat_app.store.chatfiles import process
from chat_app.store.chatfiles.reading import Imported
from chat_app.store.store import Store
from tests.test_chatfiles import chatgpt, node

HELD_S = 0.05
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=60)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
NUMBERS = st.none() | st.integers(0, 2**31 - 1)
CHATS = st.fixed_dictionaries(
    {
        "title": NAMES,
        "created_at": TIMES,
        "updated_at": TIMES,
        "pinned": st.booleans(),
        "named": st.booleans(),
        "model": st.none() | NAMES,
        "system_prompt": st.none() | TEXTS,
        "temperature": st.none() | st.floats(0, 2),
        "leaf": st.none() | st.integers(0, 5),
    }
)
MESSAGES = st.fixed_dictionaries(
    {
        "parent": st.none() | st.integers(0, 5),
        "role": st.sampled_from(["user", "assistant"]),
        "content": TEXTS,
        "reasoning": TEXTS,
        "status": st.sampled_from([status for status in Status if status is not Status.streaming]),
        "finish_reason": st.none() | TEXTS,
        "model": st.none() | TEXTS,
        "usage": st.none() | st.dictionaries(NAMES, st.integers(0, 10) | TEXTS | st.none(), max_size=3),
        "error": st.none() | st.fixed_dictionaries({"code": NAMES, "message": TEXTS, "retryable": st.booleans()}),
        "first_token_ms": NUMBERS,
        "duration_ms": NUMBERS,
        "rating": st.sampled_from([-1, 0, 1]),
        "remark": TEXTS,
        "created_at": TIMES,
    }
)
ALL = st.lists(st.tuples(CHATS, st.lists(MESSAGES, max_size=6)), min_size=1, max_size=4)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def add(store: Store, made: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> None:
    for chat_values, messages in made:
        ids = [new_id() for _ in messages]
        leaf = chat_values["leaf"]
        chat = Chat(**{name: value for name, value in chat_values.items() if name != "leaf"})
        chat.leaf_id = ids[leaf] if leaf is not None and leaf < len(ids) else None
        rows = []
        for at, values in enumerate(messages):
            parent = values["parent"]
            more = {name: value for name, value in values.items() if name != "parent"}
            parent_id = ids[parent] if parent is not None and parent < at else None
            rows.append(message_row(id=ids[at], chat_id=chat.id, parent_id=parent_id, **more))
        async with store.archive.importing() as put:
            await put([chat.model_dump()], rows)


async def exported(store: Store) -> str:
    return "".join([piece async for piece in store.archive.exported()])


async def imported(store: Store, file: Path) -> Imported:
    """As the service does it."""
    told = Imported()
    async with store.archive.importing() as put, aclosing(process.read(file)) as batches:
        async for batch in batches:
            await put(batch.chats, batch.messages)
            told.add(batch)
    return told


def without_ids(text: str) -> list[Any]:
    """The chats, each id as the place of its message."""
    chats = json.loads(text)["chats"]
    for chat in chats:
        places = {message["id"]: place for place, message in enumerate(chat["messages"])} | {None: None}
        chat["chat"]["leaf_id"] = places[chat["chat"]["leaf_id"]]
        for message in chat["messages"]:
            message["parent_id"], message["id"] = places[message["parent_id"]], places[message["id"]]
    return list(chats)


@pytest.mark.slow
def test_any_chats_come_back_as_they_were(runner: asyncio.Runner, migrated: Path, tmp_path: Path) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(ALL)
    def check(made: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> None:
        async def there_and_back() -> tuple[str, str]:
            stores = [Store(f"sqlite:///{shutil.copy(migrated, tmp_path / name)}") for name in ("from.db", "to.db")]
            here, there = stores
            await add(here, made)
            text = await exported(here)
            (tmp_path / "all.json").write_text(text)
            await imported(there, tmp_path / "all.json")
            back = await exported(there)
            for store in stores:
                await store.close()
            return text, back

        text, back = runner.run(there_and_back())
        assert without_ids(back) == without_ids(text)
        assert len(without_ids(text)) == len(made)

    check()


ODD_MESSAGES: list[dict[str, Any]] = [
    {"role": "system"},
    {"content": "a\0b"},
    {"content": "x" * 3_000_000},
    {"status": "streaming"},
    {"remark": "y" * 5_000},
    {"rating": 7},
    {"first_token_ms": -1},
    {"model": "m" * 500},
    {"usage": {"x": "y" * 50_000}},
    {"usage": {"completion_tokens": "3"}},
    {"usage": {"cost": float("nan")}},
    {"error": {"code": "x"}},
]
ODD_CHATS: list[dict[str, Any]] = [
    {"title": ""},
    {"title": " \n"},
    {"title": "t" * 1_000},
    {"title": "a\0"},
    {"model": ""},
    {"temperature": 9.0},
    {"system_prompt": "s" * 50_000},
    {"leaf_id": "no message"},
]


@pytest.mark.slow
@pytest.mark.anyio
async def test_whatever_is_stored_can_be_imported(store: Store, tmp_path: Path) -> None:
    for odd_chat in [*ODD_CHATS, {}]:
        chat = Chat(title="x").model_dump() | odd_chat
        rows: list[dict[str, Any]] = []
        for odd in ODD_MESSAGES if not odd_chat else [{}]:
            known: dict[str, Any] = {"role": "assistant", "content": "text"}
            rows.append(message_row(id=new_id(), chat_id=chat["id"], **known | odd))
        async with store.archive.importing() as put:
            await put([chat], rows)
    file = tmp_path / "all.json"
    file.write_text(await exported(store))
    told = await imported(store, file)
    assert (len(told.chat_ids), told.messages) == (len(ODD_CHATS) + 1, len(ODD_CHATS) + len(ODD_MESSAGES))
    copies = await store.messages(told.chat_ids[-1])
    assert copies
    for chat_id in told.chat_ids:
        await store.export_chat(chat_id)
    odd = json.loads(json.dumps(await store.export_chat(told.chat_ids[-1])))["messages"]
    contents = [message["content"] for message in odd]
    assert contents[:3] == ["text", "a\ufffdb", "x" * 3_000_000]
    assert odd[3]["status"] == "interrupted"
    assert odd[4]["remark"] == "y" * 200


# All or nothing


async def exhaust(steps: AsyncGenerator[None, None]) -> None:
    async for _ in steps:
        pass


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("end", ["damaged", "cancelled", "closed", "a database that fails"])
async def test_an_import_that_fails_leaves_nothing(
    store: Store, tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "many.json"
    chat = chatgpt(node("q", None, "user", "x" * 500), node("a", "q", "assistant", "y"))
    text = json.dumps([chat] * 900)
    file.write_text(text[:-2] if end == "damaged" else text)

    async def steps() -> AsyncGenerator[None, None]:
        async with store.archive.importing() as put, aclosing(process.read(file)) as batches:
            async for batch in batches:
                await put(batch.chats, batch.messages)
                assert await store.chats() == []
                yield

    async def broken(_ids: object) -> None:
        raise OSError("disk full")

    importing = steps()
    await anext(importing)
    if end == "a database that fails":
        monkeypatch.setattr(store.archive, "_show_imported", broken)
    if end == "closed":
        await importing.aclose()
    else:
        rest = asyncio.ensure_future(exhaust(importing))
        if end == "cancelled":
            await asyncio.sleep(0)
            rest.cancel()
        with pytest.raises((InvalidRequest, asyncio.CancelledError, OSError)):
            await rest
    async with store.database.reading() as session:
        connection = await session.connection()
        for table in ("chat", "message", "chat_fts_id", "message_fts_id"):
            assert (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar() == 0, table


@pytest.mark.anyio
async def test_what_a_dead_server_left_of_an_import_is_swept_away(store: Store) -> None:
    importing = store.archive.importing()
    put = await importing.__aenter__()
    chat = Chat(title="half")
    await put([chat.model_dump()], [message_row(id=new_id(), chat_id=chat.id, role="user", content="zucchini")])
    assert await store.chats() == [] and await store.search("zucchini") == []
    assert await store.empty_trash(timedelta()) == 1
    with pytest.raises(InvalidRequest):
        await importing.__aexit__(None, None, None)


# Nobody waits for it


@pytest.fixture
def frozen() -> Iterator[None]:
    """What was loaded is out of the garbage collector's sight, as in the app."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Watch:
    """The longest time for which the loop's own thread computed in one go, in seconds.

    Not the clock's: on a busy machine that counts what others do.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _look(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            self.longest, before = max(self.longest, now - before), now


def write_long_chat(file: Path, count: int) -> None:
    """The export of one chat of so many messages; never as a whole in memory, whose peak is looked at."""
    with file.open("w") as text:
        text.write('{"version": 1, "chats": [{"version": 1, "chat": {"title": "Long"}, "messages": [')
        for n in range(count):
            message = {"id": str(n), "parent_id": str(n - 1) if n else None, "role": "user", "content": f"w{n} " * 30}
            text.write((",\n" if n else "") + json.dumps(message))
        text.write("]}]}")


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("count", [3_000, pytest.param(40_000, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])])
async def test_the_loop_is_not_held_and_the_memory_stays_flat(
    store: Store, tmp_path: Path, figure: Any, count: int, frozen: None
) -> None:
    file = tmp_path / "long.json"
    write_long_chat(file, count)
    began = time.monotonic()
    async with Watch() as watch:
        told = await imported(store, file)
    assert told.messages == count
    figure(f"import of {count:,} messages: {time.monotonic() - began:.1f} s, loop held {watch.longest * 1000:.0f} ms")
    assert watch.longest < HELD_S
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    size = 0
    async with Watch() as watch:
        async for piece in store.archive.exported():
            size += len(piece)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figure(f"export of {size / 1e6:.0f} MB: {time.monotonic() - began:.1f} s, loop held {watch.longest * 1000:.0f} ms")
    figure(f"export of {count:,} messages: {grown:.1f} MB more memory")
    assert size > file.stat().st_size
    assert watch.longest < HELD_S
    assert grown < 20


@pytest.mark.slow
@pytest.mark.anyio
async def test_others_write_while_chats_come_in(store: Store, tmp_path: Path) -> None:
    """Each step is a short transaction of its own."""
    file = tmp_path / "long.json"
    write_long_chat(file, 2_000)
    chat = await store.create_chat("0")
    written = 0
    async with store.archive.importing() as put, aclosing(process.read(file)) as batches:
        async for batch in batches:
            await put(batch.chats, batch.messages)
            written += 1
            await store.set_chat(chat.id, title=str(written))
            assert [one.title for one in await store.chats()] == [str(written)]
    assert written > 3
    assert len(await store.chats()) == 2
