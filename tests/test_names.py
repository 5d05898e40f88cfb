"""No title and no name of a model has a character that cannot be seen, or that turns the text around it."""

import json
import re
import sqlite3
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import SQLModel

from chat_app.api import create_api
from chat_app.config import Settings
from chat_app.models import Chat, Message, OneLine
from chat_app.names import UNSEEN, clean_name
from chat_app.reply import Piece
from chat_app.service import serving
from chat_app.store.chatfile import title_from
from chat_app.store.statements import Prompt
from chat_app.store.store import Store
from tests.test_turns import ScriptedReply, end, make_backplane, reply, turns

pytestmark = pytest.mark.anyio
__all__ = ["make_backplane", "reply", "turns"]

SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
CLEANED = {
    # C0, DEL, C1
    "a\x01b": "ab",
    "a\x07\x08b": "ab",
    "a\x1b[31mb": "a[31mb",
    "a\x7fb": "ab",
    "a\x80\x9fb": "ab",
    # Lines and tabs keep words apart
    "a\tb": "a b",
    "a\r\nb": "a b",
    "a\x0b\x0c\x1c\x1d\x1e\x1fb": "a b",
    "a\x85b": "a b",
    "a\u2028b\u2029c": "a b c",
    # Directions
    "a\u202ab\u202bc\u202cd\u202de\u202ef": "abcdef",
    "a\u2066b\u2067c\u2068d\u2069e": "abcde",
    "invoice\u202efdp.exe": "invoicefdp.exe",
    # What takes no room
    "a\u200bb": "ab",
    "\ufeffa\u2060b": "ab",
    "pass\u00adword": "password",
    "a\u180eb\u2064c\u206fd\ufff9e": "abcde",
    "hi\U000e0049\U000e0050": "hi",
    # What is fine
    "Plans": "Plans",
    "  Plans  ": "Plans",
    "a  b": "a  b",
    "東京\u3000天気": "東京\u3000天気",
    "مرحبا\u200f!": "مرحبا\u200f!",
    "שלום\u200e (2)": "שלום\u200e (2)",
    "نمی\u200cخواهم": "نمی\u200cخواهم",
    "👩\u200d🚀 in space": "👩\u200d🚀 in space",
    f"{SCOTLAND} trip": f"{SCOTLAND} trip",
    "e\u0301": "e\u0301",
    "half \ud83d": "half \ufffd",
}
NOTHING = [
    "",
    " ",
    "\n",
    "\x01",
    "\x7f",
    "\u200b",
    "\u202e",
    "\u2028",
    "\u200f",
    "\u200d\u200c",
    "\ufeff",
    "\u3000",
    "\u00ad",
]
STORABLE = {raw: clean for raw, clean in CLEANED.items() if "\ud83d" not in raw}


@pytest.mark.parametrize(("raw", "clean"), CLEANED.items(), ids=ascii)
def test_a_name_is_cleaned(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean
    assert clean_name(clean) == clean


@pytest.mark.parametrize("raw", NOTHING, ids=ascii)
def test_what_cannot_be_seen_is_no_name(raw: str) -> None:
    assert clean_name(raw) == ""


@given(st.text(st.characters()))
def test_whatever_it_is_made_of(raw: str) -> None:
    clean = clean_name(raw)
    assert is_clean(clean)
    assert clean_name(clean) == clean
    # What the documentation of the API says of a name. Tags have no place in a JSON schema.
    if not re.search("[\U000e0000-\U000e007f\ud800-\udfff]", raw):
        assert bool(clean) == bool(re.search(f"[^{UNSEEN}]", raw))


def is_clean(name: str | None) -> bool:
    """By Unicode's own categories."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return not any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in turning
        for char in name or ""
    )


def printable(name: str) -> str:
    """Of a provider's own name for its model no more is kept."""
    return "".join(filter(str.isprintable, name))


# However it comes


@pytest.fixture
async def api(file: Path) -> AsyncIterator[AsyncClient]:
    """The doors in this process. What answers names a model that is as odd as the question."""
    settings = Settings.model_validate(
        {"database_url": f"sqlite:///{file}", "replies": "tests.test_names:named_by_the_question"}
    )
    app = FastAPI()
    app.mount("/", create_api())
    async with serving(settings), AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1:3000") as client:
        yield client


async def named_by_the_question(messages: list[dict[str, str]]) -> AsyncGenerator[Piece, None]:
    yield Piece("Yes.", model=messages[-1]["content"].rpartition("|")[2])


@pytest.mark.slow
@pytest.mark.parametrize(("raw", "clean"), STORABLE.items(), ids=ascii)
async def test_a_title_and_a_model_are_clean_however_they_come(raw: str, clean: str, api: AsyncClient) -> None:
    chat = (await api.post("/chats/", json={"title": raw})).raise_for_status().json()
    assert chat["title"] == clean
    changed = await api.patch(f"/chats/{chat['id']}", json={"title": f"x{raw}", "model": raw})
    assert (changed.json()["title"], changed.json()["model"]) == (clean_name(f"x{raw}"), clean)
    listed = (await api.get("/chats/")).json()["chats"]
    assert [(one["title"], one["model"]) for one in listed] == [(clean_name(f"x{raw}"), clean)]

    answer = (await api.post("/messages/", json={"content": f"Q |{raw}"})).raise_for_status().json()
    assert answer["model"] == printable(clean)
    began = (await api.get(f"/chats/{answer['chat_id']}")).json()
    assert began["title"] == clean_name(f"Q |{raw}".splitlines()[0])

    exported = (await api.get(f"/chats/{answer['chat_id']}/export")).json()
    exported["chat"] |= {"title": raw, "model": raw}
    exported["messages"][1]["model"] = raw
    imported = (await api.post("/chats/import", content=json.dumps(exported))).raise_for_status().json()
    assert (imported["title"], imported["model"]) == (clean, clean)
    history = (await api.get("/messages/", params={"chat_id": imported["id"]})).json()
    assert history["messages"][1]["model"] == clean


@pytest.mark.parametrize("raw", ["\x01", "\u200b", "\u202e\u202c", "\u2028", "\u200f"], ids=ascii)
async def test_a_title_of_nothing_that_can_be_seen_is_refused(raw: str, api: AsyncClient) -> None:
    chat = (await api.post("/chats/", json={"title": "Mine"})).json()
    for refused in (
        await api.post("/chats/", json={"title": raw}),
        await api.patch(f"/chats/{chat['id']}", json={"title": raw}),
    ):
        assert refused.status_code == 422
        assert "write something" in refused.json()["error"]["message"]
    assert (await api.get(f"/chats/{chat['id']}")).json()["title"] == "Mine"


async def test_the_title_of_a_question_is_its_first_line_that_can_be_seen(store: Store) -> None:
    assert title_from("\u200b\n\x01\n \u202eHello\u202c there\nmore") == "Hello there"
    assert title_from("\u200b") == title_from("") == "New chat"


@pytest.mark.parametrize(("raw", "clean"), list(STORABLE.items())[:12], ids=ascii)
async def test_what_an_older_version_stored_is_read_clean(raw: str, clean: str, store: Store, file: Path) -> None:
    user, answer, _ = await store.begin_turn("hello")
    await store.end_turn(answer.id, {"content": "Hi", "status": "complete"})
    database = sqlite3.connect(file)
    database.execute("UPDATE chat SET title = ?, model = ?", (raw, raw))
    database.execute("UPDATE message SET model = ? WHERE id = ?", (raw, answer.id))
    database.commit()
    database.close()
    [chat] = await store.chats()
    message = await store.message(answer.id)
    assert message
    assert (chat.title, chat.model, message.model) == (clean, clean, clean)
    await store.begin_turn("and on", user.chat_id, prompt=(prompt := Prompt()))
    assert prompt.options["model"] == clean
    exported = await store.export_chat(chat.id)
    assert (exported["chat"]["title"], exported["messages"][1]["model"]) == (clean, clean)


@pytest.mark.parametrize(("raw", "clean"), list(STORABLE.items())[:12], ids=ascii)
async def test_a_chunk_s_model_is_clean_before_anybody_sees_it(
    turns: Any, store: Store, reply: ScriptedReply, raw: str, clean: str
) -> None:
    reply.enqueue(Piece("Hi", model=raw))
    turn = await turns.start("hello")
    await end(turn)
    message = await store.message(turn.id)
    assert message and message.model == printable(clean)


def test_the_columns_of_names_are_those_that_clean() -> None:
    tables = {"chat": {"title", "model"}, "message": {"model"}}
    for table in (Chat, Message):
        name = str(table.__tablename__)
        columns = SQLModel.metadata.tables[name].columns
        assert {column.name for column in columns if isinstance(column.type, OneLine)} == tables[name]
