"""The store on a real SQLite file: what is written together, what is refused, and what the schema is."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from chat_app.errors import NotFound, TurnRunning
from chat_app.models import Chat, Message, Role, Status, now
from chat_app.store import TITLE_CHARS, Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chat.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{file}")
    await store.open()
    yield store
    await store.close()


def contents(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages]


async def exchange(store: Store, question: str, answer: str, chat_id: str | None = None) -> Message:
    """A whole turn, as the core would write it; returns the answer as it began."""
    _, reply, _ = await store.begin_turn(question, chat_id)
    await store.end_turn(reply.id, {"content": answer, "status": Status.complete, "finish_reason": "stop"})
    return reply


async def insert(store: Store, *rows: Chat | Message) -> None:
    """Rows that no method makes yet: siblings."""
    async with store._session.begin() as session:
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
    assert await store.running(reply.chat_id) is None
    _, second, _ = await store.begin_turn("two", reply.chat_id)
    assert await store.running(reply.chat_id) == second.id


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
            store.rename_chat(chat.id, "new"),
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
    await insert(store, Message(chat_id=first.chat_id, role=Role.user, content="question"))
    assert contents(await store.messages(first.chat_id)) == ["question"]


async def test_the_messages_of_an_unknown_chat_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.messages("no-such-chat")


async def test_a_new_chat_has_no_messages(store: Store) -> None:
    assert await store.messages((await store.create_chat()).id) == []


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


async def test_renaming_keeps_the_place_in_the_list(store: Store) -> None:
    old, new = await store.create_chat("old"), await store.create_chat("new")
    assert (await store.rename_chat(old.id, "renamed")).title == "renamed"
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
    for attempt in (store.chat("x"), store.rename_chat("x", "title"), store.delete_chat("x")):
        with pytest.raises(NotFound):
            await attempt


# While a turn runs, and its end


async def test_a_checkpoint_saves_the_text_of_a_running_turn(store: Store) -> None:
    _, reply, _ = await store.begin_turn("hello")
    await store.checkpoint(reply.id, "so far", "thoughts")
    saved = await store.message(reply.id)
    assert saved is not None
    assert (saved.content, saved.reasoning, saved.status) == ("so far", "thoughts", Status.streaming)


async def test_a_checkpoint_after_the_final_write_changes_nothing(store: Store) -> None:
    reply = await exchange(store, "hello", "the whole text")
    await store.checkpoint(reply.id, "the who", "")
    saved = await store.message(reply.id)
    assert saved is not None
    assert (saved.content, saved.status) == ("the whole text", Status.complete)


async def test_orphans_become_interrupted_and_keep_their_text(store: Store) -> None:
    ended = await exchange(store, "ended", "complete text")
    _, orphan, _ = await store.begin_turn("orphan")
    await store.checkpoint(orphan.id, "text so far", "")
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


async def test_the_schema_that_alembic_makes_is_that_of_the_models(store: Store, file: Path) -> None:
    tables = MetaData()
    for model in (Chat, Message):
        SQLModel.metadata.tables[str(model.__tablename__)].to_metadata(tables)
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables) == []
    engine.dispose()


async def test_the_index_that_refuses_a_second_turn_is_partial_and_unique(store: Store, file: Path) -> None:
    """The comparison above does not see an index's condition."""
    with on_the_side(file) as connection:
        [sql] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'one_running_turn'").fetchone()
    assert sql == "CREATE UNIQUE INDEX one_running_turn ON message (chat_id) WHERE status = 'streaming'"


async def test_opening_twice_is_harmless(store: Store, file: Path) -> None:
    reply = await exchange(store, "hello", "1")
    await store.open()
    again = Store(f"sqlite:///{file}")
    await again.open()
    assert contents(await again.messages(reply.chat_id)) == ["hello", "1"]
    await again.close()


async def test_opening_makes_the_folder(file: Path) -> None:
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
        async with asyncio.timeout(2):
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
