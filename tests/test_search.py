"""Search on a real database: what is found, in which order, what is marked, and that no text breaks it."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import col, update

from chat_app.models import Message, Status
from chat_app.store.search import SNIPPET_CHARS, Hit, Snippet, parse, snippet
from chat_app.store.store import Store
from tests import journal

pytestmark = pytest.mark.anyio


async def say(store: Store, question: str, answer: str = "Fine.", chat_id: str | None = None) -> Message:
    """A whole turn in a chat whose title says nothing; returns the question."""
    if chat_id is None:
        chat_id = (await store.create_chat("Untitled")).id
    user, reply, _ = await store.begin_turn(question, chat_id)
    await store.end_turn(reply.id, {"content": answer, "status": Status.complete})
    return user


def marked(parts: Snippet) -> str:
    return "".join(f"[{part}]" if match else part for part, match in parts)


async def found(store: Store, query: str) -> list[str]:
    return [marked(hit.snippet) for hit in await store.search(query)]


# What is found


@pytest.mark.parametrize(
    ("query", "snippet"),
    [
        ("stream", "How do I [stream] tokens from the naïve café server?"),
        ("STREAM tok", "How do I [stream] [tok]ens from the naïve café server?"),
        ("serv do", ""),
        ("do serv", "How [do] I stream tokens from the naïve café [serv]er?"),
        ("tream", ""),
        ("stream banana", ""),
        ("cafe", "How do I stream tokens from the naïve [café] server?"),
        ("CAFÉ", "How do I stream tokens from the naïve [café] server?"),
        ("cafe\u0301 nai\u0308ve", "How do I stream tokens from the [naïve] [café] server?"),
        ("server?", "How do I stream tokens from the naïve café [server]?"),
        ("naïve-café", "How do I stream tokens from the [naïve café] server?"),
        ("café-naïve", ""),
    ],
)
async def test_all_words_must_occur_and_the_last_may_be_a_beginning(store: Store, query: str, snippet: str) -> None:
    await say(store, "How do I stream tokens from the naïve café server?")
    assert await found(store, query) == ([snippet] if snippet else [])


@pytest.mark.parametrize(
    ("body", "query", "snippet"),
    [
        ("東京で全文検索を試す", "検索", "東京で全文[検索]を試す"),
        ("東京で全文検索を試す", "検索 東京", "[東京]で全文[検索]を試す"),
        ("東京で全文検索を試す", "検索 大阪", ""),
        ("東京で全文検索を試す", "索", "東京で全文検[索]を試す"),
        ("これはReflexのデータです", "reflex", "これは[Reflex]のデータです"),
        ("これはReflexのデータです", "データ", "これはReflexの[データ]です"),
        ("これはReflexのデータです", "はreflexの", "これ[はReflexの]データです"),
        ("これはReflexのデータです", "ref データ", ""),
        ("ひらがな", "らが", "ひ[らが]な"),
        ("怎么搜索中文消息", "搜索", "怎么[搜索]中文消息"),
        ("오늘 서울에서 만나요", "서울", "오늘 [서울]에서 만나요"),
        ("สวัสดีครับ", "ดีครับ", "สวัส[ดีครับ]"),
        ("والكتاب جديد", "كتاب", "وال[كتاب] جديد"),
        ("Привет, мир", "МИР", "Привет, [мир]"),
        ("Καλημέρα κόσμε", "κόσ", "Καλημέρα [κόσ]με"),
        ("Tiếng Việt", "viet", "Tiếng [Việt]"),
        ("well done 🎉", "🎉", "well done [🎉]"),
        ("it costs 100% of it", "100%", "it costs [100]% of it"),
        ("a_b and a%b", "%", "a_b and a[%]b"),
        ("a_b", "a_", "[a]_b"),
        ("C:\\temp", "\\", "C:[\\]temp"),
        ("call store.search(query)", "store.search", "call [store.search](query)"),
    ],
)
async def test_every_script_can_be_searched(store: Store, body: str, query: str, snippet: str) -> None:
    await say(store, body)
    assert await found(store, query) == ([snippet] if snippet else [])


HOSTILE = [
    '"',
    '""',
    "'",
    "''; DROP TABLE message; --",
    "*",
    "hello*",
    "^hello",
    "hello OR",
    "AND",
    "NOT hello",
    "NEAR(hello world)",
    "content: hello",
    "{content} : hello",
    "- hello",
    "hello)",
    "((((",
    "hello & | ! <-> world:*",
    "\\",
    "\\'",
    "a\\",
    "%",
    "_",
    ":match",
    "\0",
    "hel\0lo",
    "\ud800",
    "\udc00hello",
    "",
    " \t\n\u3000",
    "…",
    "x" * 100_000,
    "x " * 10_000,
    '"' * 10_000,
    "検" * 10_000,
    "\u0301",
    "\u202e",
    "ﷺ",
    "𝒳",
    "1e400 0x1F -5 3.14",
    "https://example.org/?q=1&b#c",
]


@pytest.mark.slow
@pytest.mark.parametrize("query", HOSTILE, ids=lambda query: ascii(query[:20]))
async def test_no_query_breaks_it(store: Store, query: str) -> None:
    await say(store, "hello world")
    hits = await store.search(query)
    assert all(isinstance(hit, Hit) for hit in hits)
    assert len(await store.search("hello")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("body", HOSTILE[:-2], ids=lambda body: ascii(body[:20]))
async def test_any_text_is_found_by_itself_or_at_least_breaks_nothing(store: Store, body: str) -> None:
    body = body.replace("\0", "").replace("\ud800", "").replace("\udc00", "") + " end"
    await say(store, body)
    assert len(await store.search("end")) == 1
    if len(body) < 100:
        assert len(await store.search(body)) == 1


async def test_an_empty_query_finds_nothing(store: Store) -> None:
    await say(store, "hello")
    assert await store.search("") == await store.search("  ") == await store.search("hello", limit=0) == []


# In which order


async def test_titles_come_first_then_the_newest_message(store: Store) -> None:
    old = await say(store, "An old pear")
    new = await say(store, "A new pear", "Pears are fruit, a pear is one.")
    titled = await store.create_chat("About the pear")
    hits = await store.search("pear")
    assert [(hit.chat_id, hit.role, marked(hit.snippet)) for hit in hits] == [
        (titled.id, None, "About the [pear]"),
        (new.chat_id, "assistant", "[Pear]s are fruit, a [pear] is one."),
        (new.chat_id, "user", "A new [pear]"),
        (old.chat_id, "user", "An old [pear]"),
    ]
    assert hits[0].message_id is None
    assert hits[0].when == titled.updated_at
    assert (hits[3].message_id, hits[3].when, hits[3].title) == (old.id, old.created_at, "Untitled")


async def test_newest_means_when_it_was_written(store: Store) -> None:
    first, second = await say(store, "pear one"), await say(store, "pear two")
    async with store.database.writing() as session:
        earlier = first.created_at - timedelta(days=1)
        await session.exec(update(Message).where(col(Message.id) == second.id).values(created_at=earlier))
    assert await found(store, "pear") == ["[pear] one", "[pear] two"]


async def test_the_limit_counts_both_kinds(store: Store) -> None:
    for n in range(3):
        await store.create_chat(f"pear {n}")
        await say(store, f"pear {n}")
    hits = await store.search("pear", limit=4)
    assert [hit.message_id is None for hit in hits] == [True, True, True, False]
    assert len(await store.search("pear", limit=2)) == 2


# What is in the index


async def test_a_growing_answer_is_found_once_it_has_ended(store: Store) -> None:
    _, reply, _ = await store.begin_turn("What is it?")
    await journal.write(store, reply.id, ("text", "an apple"))
    assert await store.search("apple") == []
    await journal.write(store, reply.id, ("text", " pie"), seq=8)
    await store.end_turn(reply.id, {"content": "a plum pie", "status": Status.complete})
    assert await store.search("apple") == []
    assert await found(store, "plum") == ["a [plum] pie"]


async def test_a_cut_off_answer_is_found_too(store: Store) -> None:
    _, reply, _ = await store.begin_turn("What is it?")
    await journal.write(store, reply.id, ("text", "an apple"))
    await store.interrupt_orphans()
    assert await found(store, "apple") == ["an [apple]"]


async def test_all_versions_are_found(store: Store) -> None:
    user = await say(store, "an apple", "red apple")
    await store.begin_turn("a plum", edit_of=user.id)
    assert await found(store, "apple") == ["red [apple]", "an [apple]"]


async def test_the_trash_is_not_searched(store: Store) -> None:
    user = await say(store, "an apple")
    await store.set_chat(user.chat_id, title="apples")
    await store.trash_chat(user.chat_id)
    assert await store.search("apple") == []
    await store.restore_chat(user.chat_id)
    assert len(await store.search("apple")) == 2
    await store.delete_chat(user.chat_id)
    assert await store.search("apple") == []


async def test_a_renamed_chat_is_found_by_its_new_title_only(store: Store) -> None:
    chat = await store.create_chat("Apples")
    await store.set_chat(chat.id, title="Plums")
    assert await store.search("apples") == []
    assert await found(store, "plums") == ["[Plums]"]


async def test_a_text_of_many_different_words_can_be_saved(store: Store) -> None:
    """PostgreSQL's index takes a megabyte of them."""
    body = " ".join(f"wörd{n:x}𝒳é" for n in range(150_000))
    await say(store, body, "𝒳" * 100_000)
    assert len(await store.search("wörd1f")) == 1


async def test_the_index_of_sqlite_agrees_with_the_rows(store: Store, file: Path) -> None:
    user = await say(store, "an apple")
    await say(store, "a plum", chat_id=user.chat_id)
    gone = await say(store, "a pear")
    await store.delete_chat(gone.chat_id)
    await store.begin_turn("half", user.chat_id)
    async with store.database.engine.connect() as connection:
        # It changes row ids that are not declared.
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM"))
    async with store.database.writing() as session:
        for table in ("message", "chat"):
            await session.exec(text(f"INSERT INTO {table}_fts ({table}_fts, rank) VALUES ('integrity-check', 1)"))  # type: ignore[call-overload]
        [[ids]] = (await session.exec(text("SELECT count(*) FROM message_fts_id"))).all()  # type: ignore[call-overload]
    assert ids == 5
    assert await found(store, "apple") == ["an [apple]"]


# Snippets


def test_a_snippet_is_around_the_first_match_and_on_one_line() -> None:
    body = "word " * 100 + "the\n\n  needle\tis here " + "word " * 100
    text = marked(snippet(body, parse("needle")))
    assert "the [needle] is here" in text
    assert text.startswith("…word word")
    assert text.endswith("…")
    assert len(text) <= SNIPPET_CHARS + 4


def test_without_a_match_a_snippet_is_the_beginning() -> None:
    assert snippet("some text", parse("needle")) == [("some text", False)]
    assert snippet("", parse("needle")) == []


def test_marks_are_where_the_characters_are() -> None:
    """Letters that change their length with their case would move what comes after."""
    assert marked(snippet("İİİ ﬁ ß needle", parse("needle"))) == "İİİ ﬁ ß [needle]"
