"""The store on a real SQLite file: what is written together, what is refused, and what the schema is."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import IntegrityError
from sqlmodel import update

from chat_app.config import ROOT
from chat_app.errors import InvalidRequest, NotFound, TurnRunning
from chat_app.models import Chat, Message, Role, Status, now
from chat_app.store.store import TITLE_CHARS, Store, place
from chat_app.store.tree import PathItem
from tests import journal
from tests.tables import tables_of_models

pytestmark = pytest.mark.anyio


def contents(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages]


async def exchange(store: Store, question: str, answer: str, chat_id: str | None = None) -> Message:
    """A whole turn, as the core would write it; returns the answer as it began."""
    _, reply, _ = await store.begin_turn(question, chat_id)
    await store.end_turn(reply.id, {"content": answer, "status": Status.complete, "finish_reason": "stop"})
    return reply


async def insert(store: Store, *rows: Chat | Message) -> None:
    """Rows that no method makes yet: siblings."""
    async with store.database.writing() as session:
        session.add_all(rows)


@contextmanager
def on_the_side(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection of another program; what it does is saved at once."""
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def counts(file: Path) -> tuple[int, int]:
    """How many chats and messages there are."""
    with on_the_side(file) as connection:
        [row] = connection.execute("SELECT (SELECT count(*) FROM chat), (SELECT count(*) FROM message)")
    return row


# Beginning a turn


async def test_begin_turn_saves_chat_question_and_empty_reply(store: Store) -> None:
    user, reply, new = await store.begin_turn("What is a delta?")
    assert new
    saved_user, saved_reply = await store.messages(reply.chat_id)
    assert (saved_user.id, saved_user.role, saved_user.content) == (user.id, Role.user, "What is a delta?")
    assert saved_user.status == Status.complete
    assert (saved_reply.id, saved_reply.role, saved_reply.content) == (reply.id, Role.assistant, "")
    assert (saved_reply.status, saved_reply.parent_id) == (Status.streaming, user.id)
    assert (await store.chat(reply.chat_id)).title == "What is a delta?"


async def test_a_second_question_continues_the_path(store: Store) -> None:
    first = await exchange(store, "one", "1")
    user, _, _ = await store.begin_turn("two", first.chat_id)
    assert user.parent_id == first.id
    assert contents(await store.messages(first.chat_id)) == ["one", "1", "two", ""]


@pytest.mark.parametrize("in_a_new_chat", [True, False])
async def test_begin_turn_saves_all_or_nothing(store: Store, file: Path, in_a_new_chat: bool) -> None:
    first = await exchange(store, "one", "1")
    before = counts(file)
    with on_the_side(file) as connection:
        connection.execute(
            "CREATE TRIGGER refuse_replies BEFORE INSERT ON message WHEN NEW.role = 'assistant'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    with pytest.raises(IntegrityError):
        await store.begin_turn("two", None if in_a_new_chat else first.chat_id)
    assert counts(file) == before
    assert contents(await store.messages(first.chat_id)) == ["one", "1"]


async def test_an_unknown_chat_is_not_found_and_saves_nothing(store: Store, file: Path) -> None:
    with pytest.raises(NotFound):
        await store.begin_turn("hello", "no-such-chat")
    assert counts(file) == (0, 0)


async def test_begin_turn_makes_its_chat_the_most_recently_used(store: Store) -> None:
    old, new = await exchange(store, "old", "1"), await exchange(store, "new", "1")
    assert [chat.id for chat in await store.chats()] == [new.chat_id, old.chat_id]
    await store.begin_turn("again", old.chat_id)
    assert [chat.id for chat in await store.chats()] == [old.chat_id, new.chat_id]


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("What is a delta?", "What is a delta?"),
        ("\n\n  First line \nsecond", "First line"),
        ("word " * 30, "word " * 11 + "word…"),
        ("x" * 200, "x" * TITLE_CHARS + "…"),
        (" \n ", "New chat"),
    ],
)
async def test_a_new_chat_is_named_after_its_first_line(store: Store, content: str, title: str) -> None:
    user, _, _ = await store.begin_turn(content)
    assert (await store.chat(user.chat_id)).title == title


# One running turn a chat


async def test_a_second_running_turn_is_refused_with_the_id_of_the_first(store: Store, file: Path) -> None:
    _, running, _ = await store.begin_turn("one")
    with pytest.raises(TurnRunning) as refused:
        await store.begin_turn("two", running.chat_id)
    assert refused.value.turn_id == running.id
    assert counts(file) == (1, 2)


async def test_of_many_at_once_in_one_chat_exactly_one_wins(store: Store, file: Path) -> None:
    chat = await store.create_chat()
    outcomes = await asyncio.gather(
        *(store.begin_turn(f"question {n}", chat.id) for n in range(20)), return_exceptions=True
    )
    won = [outcome[1].id for outcome in outcomes if isinstance(outcome, tuple)]
    refused = [outcome.turn_id for outcome in outcomes if isinstance(outcome, TurnRunning)]
    assert len(won) == 1
    assert refused == won * 19
    assert counts(file) == (1, 2)


async def test_many_at_once_in_many_chats_all_win(store: Store) -> None:
    begun = await asyncio.gather(*(store.begin_turn(f"question {n}") for n in range(100)))
    assert len({reply.chat_id for _, reply, _ in begun}) == 100


@pytest.mark.parametrize("status", [Status.complete, Status.stopped, Status.failed, Status.interrupted])
async def test_a_chat_whose_turn_has_ended_takes_the_next(store: Store, status: Status) -> None:
    _, reply, _ = await store.begin_turn("one")
    await store.end_turn(reply.id, {"status": status})
    _, second, _ = await store.begin_turn("two", reply.chat_id)
    with pytest.raises(TurnRunning) as busy:
        await store.begin_turn("three", reply.chat_id)
    assert busy.value.turn_id == second.id


async def test_a_turn_begun_while_the_one_before_ends_begins_or_is_refused(store: Store) -> None:
    _, running, _ = await store.begin_turn("first")
    for n in range(30):
        _, outcome = await asyncio.gather(
            store.end_turn(running.id, {"status": Status.complete}),
            store.begin_turn(f"question {n}", running.chat_id),
            return_exceptions=True,
        )
        assert isinstance(outcome, tuple | TurnRunning), outcome
        running = outcome[1] if isinstance(outcome, tuple) else (await store.begin_turn("again", running.chat_id))[1]


async def test_deleting_a_chat_while_it_is_used_is_not_found_never_a_database_error(store: Store) -> None:
    for _ in range(10):
        chat = await store.create_chat()
        outcomes = await asyncio.gather(
            store.set_chat(chat.id, title="new"),
            *(store.begin_turn("hello", chat.id) for _ in range(4)),
            store.delete_chat(chat.id),
            return_exceptions=True,
        )
        problems = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(problem, NotFound | TurnRunning) for problem in problems), problems


# Idempotency keys


async def test_a_key_finds_the_reply_that_it_started(store: Store) -> None:
    _, reply, _ = await store.begin_turn("hello", key="k")
    found = await store.message_by_key("k")
    assert found is not None
    assert found.id == reply.id
    assert await store.message_by_key("other") is None


@pytest.mark.parametrize("in_a_new_chat", [True, False])
async def test_the_same_key_many_times_at_once_gives_one_turn(store: Store, file: Path, in_a_new_chat: bool) -> None:
    chat_id = None if in_a_new_chat else (await store.create_chat()).id
    outcomes = await asyncio.gather(*(store.begin_turn("hello", chat_id, key="k") for _ in range(20)))
    assert len({(user.id, reply.id) for user, reply, _ in outcomes}) == 1
    assert [new for _, _, new in outcomes].count(True) == 1
    assert counts(file) == (1, 2)


# The tree


async def test_the_newest_path_leaves_out_older_siblings(store: Store) -> None:
    chat = Chat(title="tree")
    await insert(store, chat)
    for parent_id, id, role, content in [
        (None, "01", Role.user, "question"),
        ("01", "02", Role.assistant, "first answer"),
        ("02", "03", Role.user, "follow-up to the first"),
        ("01", "04", Role.assistant, "second answer"),
        ("04", "05", Role.user, "follow-up to the second"),
    ]:
        await insert(store, Message(id=id, chat_id=chat.id, parent_id=parent_id, role=role, content=content))
    assert contents(await store.messages(chat.id)) == ["question", "second answer", "follow-up to the second"]
    user, _, _ = await store.begin_turn("next", chat.id)
    assert user.parent_id == "05"


async def test_an_edited_first_question_is_a_sibling_without_parent(store: Store) -> None:
    first = await exchange(store, "qestion", "answer")
    assert first.parent_id
    user, _, _ = await store.begin_turn("question", edit_of=first.parent_id)
    assert (user.chat_id, user.parent_id) == (first.chat_id, None)
    assert contents(await store.messages(first.chat_id)) == ["question", ""]


async def test_the_messages_of_an_unknown_chat_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.messages("no-such-chat")


async def test_a_new_chat_has_no_messages(store: Store) -> None:
    assert await store.messages((await store.create_chat()).id) == []


# Versions


def places(path: Sequence[PathItem]) -> list[str]:
    """`answer 2/3`."""
    return [f"{item.message.content} {item.number}/{item.of}" for item in path]


async def again(store: Store, reply: Message, answer: str) -> Message:
    """Another version of an answer, as the core would write it."""
    _, version = await store.begin_reply(reply.id)
    await store.end_turn(version.id, {"content": answer, "status": Status.complete})
    return version


async def test_the_path_knows_the_versions_of_each_message(store: Store) -> None:
    first = await exchange(store, "question", "first")
    second = await again(store, first, "second")
    third = await again(store, first, "third")
    path = await store.path(first.chat_id)
    assert places(path) == ["question 1/1", "third 3/3"]
    assert [(item.previous_id, item.next_id) for item in path] == [(None, None), (second.id, None)]
    await store.choose(second.id)
    [_, item] = await store.path(first.chat_id)
    assert (item.message.id, item.number, item.previous_id, item.next_id) == (second.id, 2, first.id, third.id)


async def test_choosing_a_version_shows_what_came_after_it(store: Store) -> None:
    first = await exchange(store, "one", "1")
    follow_up = await exchange(store, "two", "2", first.chat_id)
    other = await again(store, first, "another 1")
    assert contents(await store.messages(first.chat_id)) == ["one", "another 1"]
    chat = await store.choose(first.id)
    assert chat.leaf_id == follow_up.id
    assert contents(await store.messages(first.chat_id)) == ["one", "1", "two", "2"]
    assert (await store.choose(other.id)).leaf_id == other.id


async def test_choosing_takes_the_newest_of_several_leaves_below(store: Store) -> None:
    first = await exchange(store, "one", "1")
    older = await exchange(store, "two", "2", first.chat_id)
    newer = await again(store, older, "another 2")
    edit_of = first.parent_id
    _, edited, _ = await store.begin_turn("uno", edit_of=edit_of)
    await store.end_turn(edited.id, {"status": Status.complete})
    # Also where the newest leaf is below an older version.
    await store.choose(older.id)
    latest = await exchange(store, "three", "3", first.chat_id)
    await store.choose(edited.id)
    assert (await store.choose(first.id)).leaf_id == latest.id
    assert (await store.choose(newer.id)).leaf_id == newer.id


async def test_the_next_question_follows_the_version_that_is_shown(store: Store) -> None:
    first = await exchange(store, "one", "1")
    await again(store, first, "another 1")
    await store.choose(first.id)
    second = await exchange(store, "two", "2", first.chat_id)
    assert contents(await store.messages(first.chat_id)) == ["one", "1", "two", "2"]
    assert contents(await store.context(second.id)) == ["one", "1", "two"]


async def test_an_edited_question_is_a_sibling_with_a_new_reply(store: Store) -> None:
    await exchange(store, "one", "1")
    first = await exchange(store, "one", "1")
    second = await exchange(store, "two", "2", first.chat_id)
    user, reply, new = await store.begin_turn("deux", first.chat_id, edit_of=second.parent_id)
    assert new
    assert (user.chat_id, user.parent_id, reply.parent_id) == (first.chat_id, first.id, user.id)
    assert places(await store.path(first.chat_id)) == ["one 1/1", "1 1/1", "deux 2/2", " 1/1"]
    assert contents(await store.context(reply.id)) == ["one", "1", "deux"]
    assert (await store.chat(first.chat_id)).leaf_id == reply.id


async def test_only_a_question_of_the_same_chat_can_be_edited(store: Store, file: Path) -> None:
    first, other = await exchange(store, "one", "1"), await exchange(store, "one", "1")
    before = counts(file)
    for edit_of, chat_id in ((first.id, None), ("nothing", None), ("\0", None), (first.parent_id, other.chat_id)):
        with pytest.raises(NotFound):
            await store.begin_turn("uno", chat_id, edit_of=edit_of)
    assert counts(file) == before


async def test_an_edit_with_a_key_is_made_once(store: Store, file: Path) -> None:
    first = await exchange(store, "one", "1")
    begun = await asyncio.gather(*(store.begin_turn("uno", None, "k", first.parent_id) for _ in range(5)))
    assert len({reply.id for _, reply, _ in begun}) == 1
    assert counts(file) == (1, 4)


async def test_an_unknown_version_cannot_be_chosen(store: Store) -> None:
    for message_id in ("nothing", "", "\0"):
        with pytest.raises(NotFound):
            await store.choose(message_id)


async def test_a_leaf_that_is_gone_means_the_newest(store: Store) -> None:
    first = await exchange(store, "one", "1")
    async with store.database.writing() as session:
        await session.exec(update(Chat).values(leaf_id="gone"))
    assert contents(await store.messages(first.chat_id)) == ["one", "1"]
    user, _, _ = await store.begin_turn("two", first.chat_id)
    assert user.parent_id == first.id


# Ratings


async def test_a_rating_is_kept_and_can_be_changed(store: Store) -> None:
    reply = await exchange(store, "hello", "1")
    rated = await store.rate(reply.id, -1, " wrong ")
    assert (rated.rating, rated.remark) == (-1, "wrong")
    saved = await store.message(reply.id)
    assert saved == rated
    assert (await store.rate(reply.id, 0)).remark == ""


async def test_only_answers_can_be_rated_and_only_up_or_down(store: Store) -> None:
    reply = await exchange(store, "hello", "1")
    with pytest.raises(InvalidRequest):
        await store.rate(reply.id, 2)
    for remark in ("x" * 2_001, "\0"):
        with pytest.raises(InvalidRequest):
            await store.rate(reply.id, 1, remark)
    for message_id in (reply.parent_id or "", "nothing", "\0"):
        with pytest.raises(NotFound):
            await store.rate(message_id, 1)


# Context


async def test_the_context_is_what_the_turn_answers_oldest_first(store: Store) -> None:
    first = await exchange(store, "one", "1")
    second = await exchange(store, "two", "2", first.chat_id)
    _, third, _ = await store.begin_turn("three", first.chat_id)
    assert contents(await store.context(third.id)) == ["one", "1", "two", "2", "three"]
    # Also of a turn in the middle: what came after it is not its context.
    assert contents(await store.context(second.id)) == ["one", "1", "two"]


async def test_the_context_leaves_out_answers_without_text(store: Store) -> None:
    failed = await exchange(store, "one", "")
    _, reply, _ = await store.begin_turn("two", failed.chat_id)
    assert contents(await store.context(reply.id)) == ["one", "two"]


async def test_the_context_follows_its_own_branch(store: Store) -> None:
    first = await exchange(store, "question", "first answer")
    question = first.parent_id
    again = Message(chat_id=first.chat_id, parent_id=question, role=Role.assistant, status=Status.streaming)
    await insert(store, again)
    assert contents(await store.context(again.id)) == ["question"]


# Chats


async def test_chats_come_in_pages(store: Store) -> None:
    ids = [(await store.create_chat(f"chat {n}")).id for n in range(5)]
    page = await store.chats(limit=3)
    rest = await store.chats(limit=3, before=page[-1].updated_at)
    assert [chat.id for chat in [*page, *rest]] == ids[::-1]


async def test_pinned_chats_come_first_and_pages_leave_out_none_of_the_same_time(store: Store) -> None:
    chats = [await store.create_chat(f"chat {n}") for n in range(6)]
    async with store.database.writing() as session:
        await session.exec(update(Chat).values(updated_at=chats[0].updated_at))
    for chat in (chats[1], chats[4]):
        await store.set_chat(chat.id, pinned=True)
    expected = [chats[n].id for n in (4, 1, 5, 3, 2, 0)]
    assert [chat.id for chat in await store.chats()] == expected
    for size in (1, 2, 4):
        seen: list[str] = []
        while page := await store.chats(size, place(chat) if seen else None):
            seen += [chat.id for chat in page]
            chat = page[-1]
        assert seen == expected


async def test_a_chat_has_settings_of_its_own(store: Store) -> None:
    chat = await store.create_chat()
    values = {"model": "m", "system_prompt": "Be brief.", "temperature": 0.0}
    changed = await store.set_chat(chat.id, **values)
    assert {name: getattr(changed, name) for name in values} == values
    assert changed.updated_at == chat.updated_at
    assert await store.chat(chat.id) == changed
    cleared = await store.set_chat(chat.id, model=" ", system_prompt="", temperature=None)
    assert (cleared.model, cleared.system_prompt, cleared.temperature) == (None, None, None)
    with pytest.raises(TypeError):
        await store.set_chat(chat.id, deleted_at=now())


async def test_a_new_chat_has_its_settings_from_its_first_message_on(store: Store) -> None:
    values = {"model": "m", "system_prompt": " Be brief. ", "temperature": 0.0}
    user, _, _ = await store.begin_turn("hello", settings=values)
    chat = await store.chat(user.chat_id)
    assert (chat.title, chat.model, chat.system_prompt, chat.temperature) == ("hello", "m", "Be brief.", 0.0)
    with pytest.raises(TypeError):
        await store.begin_turn("hello", settings={"deleted_at": now()})
    # They are a new chat's: one that is there keeps its own.
    other = await store.create_chat()
    await store.begin_turn("hello", other.id, settings=values)
    assert (await store.chat(other.id)).model is None


async def test_who_named_a_chat(store: Store) -> None:
    mine, unnamed = await store.create_chat("Mine"), await store.create_chat()
    assert (mine.named, unnamed.named) == (True, False)
    await exchange(store, "What is a delta?", "1", unnamed.id)
    await exchange(store, "What is a delta?", "1", mine.id)
    assert (await store.chat(unnamed.id)).title == "What is a delta?"
    assert (await store.chat(mine.id)).title == "Mine"
    assert await store.name_chat(unnamed.id, "Deltas")
    assert not await store.name_chat(unnamed.id, "Rivers")
    assert not await store.name_chat(mine.id, "Rivers")
    assert not await store.name_chat("nothing", "Rivers")
    renamed = await store.chat(unnamed.id)
    assert (renamed.title, renamed.named) == ("Deltas", True)


# The trash


async def test_a_chat_in_the_trash_is_found_by_nothing(store: Store) -> None:
    reply = await exchange(store, "hello", "1")
    chat_id = reply.chat_id
    await store.trash_chat(chat_id)
    assert await store.chats() == []
    assert await store.message(reply.id) is None
    for attempt in (
        store.chat(chat_id),
        store.messages(chat_id),
        store.path(chat_id),
        store.set_chat(chat_id, title="x"),
        store.set_chat(chat_id),
        store.begin_turn("more", chat_id),
        store.begin_turn("more", edit_of=reply.parent_id),
        store.begin_reply(reply.id),
        store.choose(reply.id),
        store.rate(reply.id, 1),
        store.export_chat(chat_id),
        store.chat_markdown(chat_id),
        store.trash_chat(chat_id),
        store.delete_chat(chat_id),
    ):
        with pytest.raises(NotFound):
            await attempt
    restored = await store.restore_chat(chat_id)
    assert restored.id == chat_id
    assert contents(await store.messages(chat_id)) == ["hello", "1"]
    assert (await store.restore_chat(chat_id)).id == chat_id


async def test_a_key_of_a_chat_in_the_trash_is_still_taken(store: Store) -> None:
    _, reply, _ = await store.begin_turn("hello", key="k")
    await store.trash_chat(reply.chat_id)
    known = await store.message_by_key("k")
    assert known is not None
    assert known.id == reply.id
    with pytest.raises(NotFound):
        await store.begin_turn("hello", key="k")


async def test_the_trash_is_emptied_of_what_is_old_enough(store: Store) -> None:
    kept, gone = await exchange(store, "kept", "1"), await exchange(store, "gone", "1")
    await exchange(store, "more", "2", gone.chat_id)
    await store.trash_chat(gone.chat_id)
    assert await store.empty_trash(timedelta(minutes=1)) == 0
    assert await store.empty_trash() == 1
    with pytest.raises(NotFound):
        await store.restore_chat(gone.chat_id)
    assert contents(await store.messages(kept.chat_id)) == ["kept", "1"]
    with pytest.raises(NotFound):
        await store.restore_chat("\0")


# Files


async def test_an_exported_chat_comes_back_whole(store: Store) -> None:
    first = await exchange(store, "one 👋", "1")
    second = await again(store, first, "another 1")
    await store.begin_turn("half", first.chat_id)
    await store.rate(second.id, -1, "wrong")
    usage, error = {"completion_tokens": 3}, {"code": "provider_busy", "message": "Busy.", "retryable": True}
    await store.end_turn(second.id, {"usage": usage, "error": error, "model": "m", "first_token_ms": 5})
    await store.choose(first.id)
    await store.set_chat(first.chat_id, title="Title", pinned=True, temperature=0.5, system_prompt="Be brief.")
    data = await store.export_chat(first.chat_id)
    assert json.loads(json.dumps(data)) == data
    for form in (json.dumps(data), json.dumps(data).encode()):
        chat = await store.import_chat(form)
        assert chat.id != first.chat_id
        assert contents(await store.messages(chat.id)) == ["one 👋", "1"]
        copy = await store.export_chat(chat.id)
        *whole, half = without_ids(data["messages"])
        half |= {"status": "interrupted", "finish_reason": "interrupted"}
        assert without_ids(copy["messages"]) == [*whole, half]
        unlike = {"leaf_id", "updated_at"}
        assert {name: value for name, value in copy["chat"].items() if name not in unlike} == {
            name: value for name, value in data["chat"].items() if name not in unlike
        }
        assert (await store.chats())[0].id == chat.id
        [_, item] = await store.path(chat.id)
        await store.choose(item.next_id or "")
        assert places(await store.path(chat.id)) == ["one 👋 1/1", "another 1 2/2", "half 1/1", " 1/1"]


def without_ids(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the number of the parent in place of its id."""
    numbers = {message["id"]: n for n, message in enumerate(messages)}
    return [
        {name: value for name, value in message.items() if name not in ("id", "parent_id")}
        | {"parent": numbers.get(message["parent_id"])}
        for message in messages
    ]


async def test_an_import_puts_parents_first_and_keeps_the_order_of_versions(store: Store) -> None:
    messages = [
        {"id": "3", "parent_id": "9", "role": "assistant", "content": "first"},
        {"id": "2", "parent_id": "9", "role": "assistant", "content": "second"},
        {"id": "9", "role": "user", "content": "question"},
    ]
    chat = await store.import_chat(json.dumps({"version": 1, "chat": {"title": "x"}, "messages": messages}))
    assert places(await store.path(chat.id)) == ["question 1/1", "second 2/2"]


async def test_a_long_chat_can_be_imported(store: Store) -> None:
    messages = [
        {"id": str(n), "parent_id": str(n - 1) if n else None, "role": "user", "content": "x"} for n in range(3_000)
    ]
    chat = await store.import_chat(json.dumps({"version": 1, "chat": {"title": "x"}, "messages": messages}))
    assert len(await store.messages(chat.id)) == 3_000


async def test_too_much_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = await exchange(store, "hello", "1" * 1_000)
    data = await store.export_chat(reply.chat_id)
    monkeypatch.setattr("chat_app.store.chatfile.MAX_FILE_CHARS", 1_000)
    with pytest.raises(InvalidRequest, match="too large"):
        await store.import_chat(json.dumps(data))
    assert len(await store.chats()) == 1


async def test_too_many_messages_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = await exchange(store, "hello", "1")
    data = await store.export_chat(reply.chat_id)
    monkeypatch.setattr("chat_app.store.chatfile.MAX_MESSAGES", 1)
    with pytest.raises(InvalidRequest, match="too many messages"):
        await store.import_chat(json.dumps(data))
    assert len(await store.chats()) == 1


@pytest.mark.parametrize("data", ["", "null", "5", "x", b"\xff", "[]", "{}", '{"version": 1}', "NaN", "\ud800"])
async def test_what_is_no_chat_is_refused_with_a_sentence(store: Store, data: str | bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"\.$"):
        await store.import_chat(data)


async def test_a_chat_as_markdown_is_the_shown_path(store: Store) -> None:
    first = await exchange(store, "one", "# 1\n\ntext\n")
    await again(store, first, "another 1")
    await store.choose(first.id)
    await store.set_chat(first.chat_id, title="Numbers")
    assert await store.chat_markdown(first.chat_id) == ("# Numbers\n\n## You\n\none\n\n## Assistant\n\n# 1\n\ntext\n")


@pytest.mark.parametrize(
    ("ms", "heading"), [(12_300, "Thought for 12 s"), (61_000, "Thought for 1 min 1 s"), (None, "Thoughts")]
)
async def test_a_chat_as_markdown_has_the_thoughts_on_request(store: Store, ms: int | None, heading: str) -> None:
    thoughts = {"type": "reasoning", "chars": 8} | ({} if ms is None else {"ms": ms})
    parts = [{"type": "text", "chars": 4}, thoughts, {"type": "tool", "tool": {}}, {"type": "text", "chars": 5}]
    question = {"id": "1", "role": "user", "content": "Well?"}
    answer = {"id": "2", "parent_id": "1", "role": "assistant", "content": "Hm. Forty", "parts": parts}
    file = {"version": 1, "chat": {"title": "T"}, "messages": [question, answer | {"reasoning": "six\n\n7\n\n"}]}
    chat = await store.import_chat(json.dumps(file))
    begin = "# T\n\n## You\n\nWell?\n\n## Assistant\n\n"
    assert await store.chat_markdown(chat.id) == begin + "Hm. Forty\n"
    quote = f"> **{heading}**\n>\n> six\n>\n> 7"
    assert await store.chat_markdown(chat.id, reasoning=True) == f"{begin}Hm.\n\n{quote}\n\nForty\n"


async def test_renaming_keeps_the_place_in_the_list(store: Store) -> None:
    old, new = await store.create_chat("old"), await store.create_chat("new")
    assert (await store.set_chat(old.id, title="renamed")).title == "renamed"
    assert [chat.title for chat in await store.chats()] == ["new", "renamed"]
    assert (await store.chat(new.id)).title == "new"


async def test_deleting_a_chat_deletes_its_messages_and_no_others(store: Store, file: Path) -> None:
    kept = await exchange(store, "kept", "1")
    gone = await exchange(store, "gone", "1")
    await exchange(store, "gone too", "2", gone.chat_id)
    await store.delete_chat(gone.chat_id)
    assert counts(file) == (1, 2)
    assert await store.message(gone.id) is None
    assert contents(await store.messages(kept.chat_id)) == ["kept", "1"]


@pytest.mark.slow
async def test_a_long_chat_can_be_deleted_too(store: Store, file: Path) -> None:
    """SQLite follows a cascade from message to message at most 1,000 deep."""
    chat = Chat(title="long")
    ids = [f"{n:05}" for n in range(3_000)]
    await insert(store, chat)
    await insert(
        store,
        *(
            Message(id=id, chat_id=chat.id, parent_id=parent, role=Role.user, content="x")
            for parent, id in zip([None, *ids], ids, strict=False)
        ),
    )
    assert len(await store.messages(chat.id)) == 3_000
    await store.delete_chat(chat.id)
    assert counts(file) == (0, 0)


async def test_an_unknown_chat_can_be_neither_read_renamed_nor_deleted(store: Store) -> None:
    for attempt in (store.chat("x"), store.set_chat("x", title="title"), store.delete_chat("x")):
        with pytest.raises(NotFound):
            await attempt


# While a turn runs, and its end


async def test_the_text_of_a_running_turn_is_read_from_its_rows(store: Store) -> None:
    _, reply, _ = await store.begin_turn("hello")
    await journal.write(store, reply.id, ("text", "so "), ("reasoning", "thoughts"), ("text", "far"))
    saved = await store.message(reply.id)
    assert saved is not None
    assert (saved.content, saved.reasoning, saved.status) == ("so far", "thoughts", Status.streaming)


async def test_rows_that_come_after_the_final_write_change_nothing(store: Store) -> None:
    reply = await exchange(store, "hello", "the whole text")
    await journal.write(store, reply.id, ("text", "the who"))
    saved = await store.message(reply.id)
    assert saved is not None
    assert (saved.content, saved.status) == ("the whole text", Status.complete)


async def test_orphans_become_interrupted_and_keep_their_text(store: Store) -> None:
    ended = await exchange(store, "ended", "complete text")
    _, orphan, _ = await store.begin_turn("orphan")
    await journal.write(store, orphan.id, ("text", "text so far"))
    assert await store.interrupt_orphans() == 1
    saved, untouched = await store.message(orphan.id), await store.message(ended.id)
    assert saved is not None
    assert untouched is not None
    assert (saved.content, saved.status, saved.finish_reason) == ("text so far", Status.interrupted, "interrupted")
    assert (untouched.content, untouched.status) == ("complete text", Status.complete)
    assert await store.interrupt_orphans() == 0


async def test_text_of_every_kind_comes_back_as_it_was(store: Store) -> None:
    text = "👋🏽 é \u2028 \u2029 \u0085 \r\n\t 'quoted' %s \uffff 𝒳"
    reply = await exchange(store, text, text)
    saved_user, saved_reply = await store.messages(reply.chat_id)
    assert (saved_user.content, saved_reply.content) == (text, text)


async def test_usage_and_error_come_back_as_they_were(store: Store) -> None:
    _, reply, _ = await store.begin_turn("hello")
    usage, error = {"completion_tokens": 3, "details": {"reasoning": 1}}, {"code": "provider_busy", "retry_after": 7.0}
    await store.end_turn(reply.id, {"status": Status.failed, "usage": usage, "error": error})
    saved = await store.message(reply.id)
    assert saved is not None
    assert (saved.usage, saved.error) == (usage, error)


# The database itself


def no_index_of_words(name: str | None, kind: str, _parents: object) -> bool:
    """Whether to compare it: FTS5 keeps tables of its own."""
    return kind != "table" or "_fts" not in str(name)


async def test_the_schema_that_alembic_makes_is_that_of_the_models(store: Store, file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        opts = {"compare_type": True, "compare_server_default": True, "include_name": no_index_of_words}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, tables_of_models()) == []
    engine.dispose()


async def test_the_index_that_refuses_a_second_turn_is_partial_and_unique(store: Store, file: Path) -> None:
    """The comparison above does not see an index's condition."""
    with on_the_side(file) as connection:
        [sql] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'one_running_turn'").fetchone()
    assert sql == "CREATE UNIQUE INDEX one_running_turn ON message (chat_id) WHERE status = 'streaming'"


async def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        migrate_to(connection, "0001")
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.exec_driver_sql(
            "INSERT INTO chat VALUES ('c', 'Old apples', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
        )
        for id, parent, role, content, status in (
            ("1", None, "user", "An apple?", "complete"),
            ("2", "1", "assistant", "A red apple.", "complete"),
            ("3", "2", "user", "And?", "complete"),
            ("4", "3", "assistant", "A cut-off apple", "streaming"),
        ):
            connection.exec_driver_sql(
                "INSERT INTO message (id, chat_id, parent_id, role, content, reasoning, status, created_at)"
                " VALUES (?, 'c', ?, ?, ?, '', ?, '2026-01-01 00:00:00')",
                (id, parent, role, content, status),
            )
    engine.dispose()
    store = Store(f"sqlite:///{file}")
    await store.open()
    assert [item.message.id for item in await store.path("c")] == ["1", "2", "3", "4"]
    assert [hit.message_id for hit in await store.search("apple")] == [None, "2", "1"]
    await store.interrupt_orphans()
    assert [hit.message_id for hit in await store.search("apple")] == [None, "4", "2", "1"]
    chat = await store.chat("c")
    assert (chat.pinned, chat.named, chat.leaf_id, chat.temperature) == (False, False, None, None)
    assert (await store.path("c"))[1].message.rating == 0
    await store.delete_chat("c")
    assert await store.search("apple") == []
    await store.close()


async def test_a_migration_can_be_taken_back(store: Store, file: Path) -> None:
    reply = await exchange(store, "hello", "1")
    await store.close()
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        migrate_to(connection, "0001")
    engine.dispose()
    with on_the_side(file) as connection:
        names = [name for [name] in connection.execute("SELECT name FROM sqlite_master")]
        assert not [name for name in names if "_fts" in name]
        connection.execute("UPDATE message SET content = 'changed', status = 'complete'")
    await store.open()
    assert contents(await store.messages(reply.chat_id)) == ["changed", "changed"]
    assert len(await store.search("changed")) == 2


def migrate_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "chat_app" / "migrations"))
    config.attributes["connection"] = connection
    move = command.downgrade if inspect(connection).has_table("message") else command.upgrade
    move(config, revision)


async def test_opening_twice_is_harmless(store: Store, file: Path) -> None:
    reply = await exchange(store, "hello", "1")
    await store.open()
    again = Store(f"sqlite:///{file}")
    await again.open()
    assert contents(await again.messages(reply.chat_id)) == ["hello", "1"]
    await again.close()


async def test_opening_makes_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "data" / "chat.db"
    assert not file.parent.exists()
    store = Store(f"sqlite:///{file}")
    await store.open()
    await store.close()
    assert file.is_file()


async def test_sqlite_is_in_wal_mode_so_that_readers_and_the_writer_do_not_wait(store: Store, file: Path) -> None:
    reply = await exchange(store, "hello", "1")
    with on_the_side(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("BEGIN IMMEDIATE")
        assert contents(await store.messages(reply.chat_id)) == ["hello", "1"]
        connection.execute("ROLLBACK")


async def test_foreign_keys_are_enforced(store: Store) -> None:
    with pytest.raises(IntegrityError):
        await insert(store, Message(chat_id="no-such-chat", role=Role.user))


async def test_times_come_back_aware_and_in_utc(store: Store) -> None:
    before = now()
    user, reply, _ = await store.begin_turn("hello")
    chat, saved = await store.chat(user.chat_id), await store.message(reply.id)
    assert saved is not None
    for time in (chat.created_at, chat.updated_at, saved.created_at):
        assert time.tzinfo is UTC
        assert before <= time <= now()


async def test_many_writers_at_once_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a queue of ours: polling for SQLite's lock, as its time-out does, some starve until it is "locked"."""
    monkeypatch.setattr("chat_app.store.sqlite_threads.BUSY_TIMEOUT_MS", 0)
    store = Store(f"sqlite:///{tmp_path / 'chat.db'}")
    await store.open()
    begun = await asyncio.gather(*(store.begin_turn(f"question {n}") for n in range(50)))
    await asyncio.gather(*(journal.write(store, reply.id, ("text", "text")) for _, reply, _ in begun))
    assert len(await store.chats()) == 50
    await store.close()
