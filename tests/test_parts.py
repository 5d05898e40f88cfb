"""A reply of any parts is the same for any reader: from the live log, the journal after a kill, or the row."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat_app.errors import BadReply
from chat_app.models import JournalRow, Message
from chat_app.parts import REASONING, TEXT, Part, columns, folded, parts_of, recast
from chat_app.reply import ChatMessage, Piece, checked
from chat_app.store import chatfile
from chat_app.store.store import Store
from chat_app.turns.log import Delta, Ended, Event, Whole, newer
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.turns.turn import numbered, stored_turn
from tests import journal

pytestmark = pytest.mark.anyio

TOOL: dict[str, Any] = {"id": "1", "name": "search", "state": "done", "result": ["\u2028", None, 1.5]}
PARTS = st.lists(
    st.one_of(
        st.builds(Part, st.sampled_from([TEXT, REASONING]), st.text("ab\u2028\U0001f44b", max_size=6)),
        st.builds(lambda kind: Part(kind, data=TOOL), st.sampled_from(["tool", "file", "later"])),
    ),
    max_size=12,
)


def merged(parts: Sequence[Part]) -> list[Part]:
    """As a reader sees them: what grows goes on where it is of the same kind."""
    seen: list[Part] = []
    for part in parts:
        if part.data is None and seen and seen[-1].kind == part.kind:
            seen[-1] = Part(part.kind, seen[-1].text + part.text)
        elif part.places:
            seen.append(part)
    return seen


def seen(events: Sequence[Event]) -> list[Part]:
    return merged([as_part(event) for event in events if not isinstance(event, Ended)])


def as_part(event: Delta | Whole) -> Part:
    return Part(event.kind, event.text) if isinstance(event, Delta) else Part(event.kind, data=event.data)


def check_any_reader(events: Sequence[Event], parts: Sequence[Part]) -> None:
    """Whoever leaves at a number and comes back there has the whole: no gap, no repeat."""
    end = max((event.seq for event in events), default=0)
    for number in range(end + 1):
        before = [event for event in newer(events, 0) if event.seq <= number]
        cut = [
            event for event in events if isinstance(event, Delta) and event.seq - len(event.text) < number < event.seq
        ]
        before += [Delta(number, one.text[: number - one.seq], one.kind) for one in cut]
        assert seen([*before, *newer(events, number)]) == merged(parts)


@given(parts=PARTS)
@settings(max_examples=150, deadline=None)
def test_from_the_row(parts: list[Part]) -> None:
    message = Message(chat_id="c", role="assistant", status="complete", **columns(merged(parts)))
    assert parts_of(message) == merged(parts)
    check_any_reader(numbered(parts_of(message)), parts)


@given(parts=PARTS)
@settings(max_examples=150, deadline=None)
def test_from_the_journal_after_a_kill(parts: list[Part]) -> None:
    rows, seq = [], 0
    for number, part in enumerate(parts):
        seq += part.places
        text = part.text if part.data is None else json.dumps(part.data)
        rows.append(JournalRow(turn_id="t", seq=seq, part=number, kind=part.kind, text=text))
    kept = [part for part in folded(rows) if part.places]
    assert kept == merged(parts)
    check_any_reader(numbered(kept), parts)


@given(parts=PARTS, whole_at_once=st.booleans())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_live_and_after(store: Store, parts: list[Part], whole_at_once: bool) -> None:
    async def source(messages: Sequence[ChatMessage]) -> AsyncGenerator[Any, None]:
        if whole_at_once:
            yield list(parts)
        else:
            for part in parts:
                yield part

    turns = Turns(store, MemoryBackplane(), source)
    turn = await turns.start("hello")
    async with asyncio.timeout(30):
        live = [event async for event in turn.events()]
    check_any_reader(live[:-1], parts)
    row = await store.message(turn.id)
    assert row is not None
    late = [event async for event in stored_turn(turn.user, row).events()]
    assert seen(late) == seen(live)
    assert late[-1] == live[-1]
    await turns.close()


async def test_thoughts_and_text_that_alternate_are_replayed_in_their_order(store: Store) -> None:
    """A reader at 15 that went on from the row got "Hello" twice."""
    parts = [Part(REASONING, "a" * 10), Part(TEXT, "Hello"), Part(REASONING, "b" * 20), Part(TEXT, "World")]
    user, reply, _ = await store.begin_turn("hello")
    await journal.write(store, reply.id, *((part.kind, part.text) for part in parts))
    for interrupted in (False, True):
        if interrupted:
            await store.interrupt_orphans()
        row = await store.message(reply.id)
        assert row is not None
        assert (row.content, row.reasoning) == ("HelloWorld", "a" * 10 + "b" * 20)
        rest = [event async for event in stored_turn(user, row).events(15)]
        assert rest[:-1] == [Delta(35, "b" * 20, REASONING), Delta(40, "World")]
    assert await rows_left(store) == 0


async def rows_left(store: Store) -> int:
    async with store.database.engine.connect() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM journal")).scalar_one())


def test_a_row_from_before_there_were_parts_is_reasoning_then_text() -> None:
    message = Message(chat_id="c", role="assistant", status="complete", content="Hello", reasoning="hm")
    assert numbered(parts_of(message)) == [Delta(2, "hm", REASONING), Delta(7, "Hello")]


async def test_an_export_and_an_import_keep_the_parts(store: Store) -> None:
    parts = [Part(REASONING, "hm", ms=1200), Part("tool", data=TOOL), Part(TEXT, "Hello"), Part(REASONING, "!")]
    _, reply, _ = await store.begin_turn("hello")
    await store.end_turn(reply.id, columns(parts) | {"status": "complete"})
    row = await store.message(reply.id)
    assert row is not None
    again = chatfile.FileMessage.model_validate_json(json.dumps(chatfile.file_message(row)))
    copy = Message(chat_id="c", role="assistant", content=again.content, reasoning=again.reasoning, parts=again.parts)
    assert parts_of(copy) == parts


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "text"},
        {"type": "text", "chars": -1},
        {"type": "text", "chars": True},
        {"type": "reasoning", "chars": 1, "ms": "x"},
        {"type": "tool"},
        {"type": "tool", "tool": "x"},
        {"type": "error", "error": {}},
        {"type": "tool", "tool": {}, "role": "user"},
    ],
)
def test_a_file_with_other_parts_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="part"):
        chatfile.FileMessage.model_validate({"id": "1", "role": "assistant", "content": "x", "parts": [entry]})


@pytest.mark.parametrize(
    "part",
    [
        Part("Tool", data={}),
        Part("error", data={}),
        Part("delta", data={}),
        Part("", data={}),
        Part("tool"),
        Part("tool", data=["x"]),
        Part("tool", data={"x": float("nan")}),
        Part("tool", data={"x": object()}),
        Part("tool", data={"x": "y" * 1_000_000}),
    ],
)
def test_a_part_that_cannot_be_kept_is_named(part: Part) -> None:
    with pytest.raises(BadReply, match="Part"):
        checked(part)


def test_text_that_turns_out_to_be_thoughts_is_so_in_the_journal_too() -> None:
    rows = [
        JournalRow(turn_id="t", seq=9, part=1, kind=TEXT, text="hm, "),
        JournalRow(turn_id="t", seq=9, part=2, kind="recast", text="5"),
        JournalRow(turn_id="t", seq=11, part=3, kind=TEXT, text="Hi"),
    ]
    parts = folded(rows, [Part(TEXT, "head ")])
    assert parts == [Part(TEXT, "head "), Part(REASONING, "hm, "), Part(TEXT, "Hi")]
    assert recast([Part(TEXT, "abc")], 0) == [Part(REASONING, "abc")]


async def test_a_long_answer_costs_the_database_little_more_than_its_text(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed to the journal, once to its message; the message goes to the file by way of its WAL."""
    # Only text that waits for it is written: no clock decides how often.
    monkeypatch.setattr("chat_app.turns.journal.BEAT_S", 3_600)
    text = "".join(f"word{number % 1000} " for number in range(330_000))
    rows_written = 0

    async def source(messages: Sequence[ChatMessage]) -> AsyncGenerator[Any, None]:
        for start in range(0, len(text), 1_000):
            yield text[start : start + 1_000]

    store = Store(f"sqlite:///{file}")
    await store.open()
    turns = Turns(store, MemoryBackplane(), source)
    add = turns._journal._write

    async def counted(rows: Sequence[Any]) -> None:
        nonlocal rows_written
        rows_written += sum(len(row["text"]) for row in rows)
        await add(rows)

    turns._journal._write = counted
    before = bytes_written()
    async with asyncio.timeout(60):
        await (await turns.start("hello")).end()
    assert rows_written <= len(text)
    await turns.close()
    await store.close()
    assert bytes_written() - before < 4 * len(text)
    # The text and the index of its words; the rows' pages were used again.
    assert file.stat().st_size < 3 * len(text)


def bytes_written() -> int:
    """By this process, to anything."""
    return int(re.search(r"wchar: (\d+)", Path("/proc/self/io").read_text())[1])


async def test_a_whole_part_and_a_piece_of_reasoning_come_through_the_seam(store: Store) -> None:
    async def source(messages: Sequence[ChatMessage]) -> AsyncGenerator[Any, None]:
        yield Piece(reasoning="hm")
        yield Part("tool", data=TOOL)
        yield [Part(TEXT, "Hel"), "lo", Part("later", data={})]

    turns = Turns(store, MemoryBackplane(), source)
    turn = await turns.start("hello")
    events = [event async for event in turn.events()]
    assert events[:-1] == [
        Delta(2, "hm", REASONING),
        Whole(3, "tool", TOOL),
        Delta(6, "Hel"),
        Delta(8, "lo"),
        Whole(9, "later", {}),
    ]
    assert events[-1].seq == 10
    await turns.close()
