"""The end of a turn that the database refuses for good: a trigger does, on real databases.

All text is kept, everybody is told the same, now and after a restart, and the chat goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text as sql
from sqlalchemy.exc import StatementError

from chat_app.errors import InternalError
from chat_app.models import JournalRow, Message, Status
from chat_app.parts import Part, parts_of
from chat_app.reply import Piece
from chat_app.store.store import Store
from chat_app.turns.log import Ended
from chat_app.turns.registry import Turns
from chat_app.turns.turn import END_OF_INTERRUPTED, Turn
from tests import places
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming, value
from tests.test_turns import (
    MakeBackplane,
    ScriptedReply,
    end,
    hasty_database,
    make_backplane,
    read,
    reply,
    saved,
    soon_forgotten,
    turns,
)

pytestmark = pytest.mark.anyio
__all__ = ["hasty_database", "make_backplane", "reply", "soon_forgotten", "turns"]

TOLD = InternalError().as_dict()
REFUSED = {
    "that it is complete": "NEW.status = 'complete'",
    "how it ended": "OLD.status = 'streaming' AND NEW.status IN ('complete', 'stopped', 'failed')",
    "its text": "OLD.status = 'streaming' AND length(NEW.content) > 0",
    "any change of it": "OLD.status = 'streaming'",
}
NOTHING_AT_ALL = "OLD.status = 'streaming'"


async def refuse(store: Store, when: str, what: str = "UPDATE") -> None:
    """From now on the database takes no such change of a message."""
    sqlite = f"CREATE TRIGGER no_{what} BEFORE {what} ON message WHEN {when} BEGIN SELECT RAISE(ABORT, 'no'); END"
    function = "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'"
    trigger = f"CREATE TRIGGER no_{what} BEFORE {what} ON message FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
    is_sqlite = store.database.engine.dialect.name == "sqlite"
    await execute(store, *([sqlite] if is_sqlite else [function, trigger]))


async def allow(store: Store, *what: str) -> None:
    on = "" if store.database.engine.dialect.name == "sqlite" else " ON message"
    await execute(store, *(f"DROP TRIGGER no_{one}{on}" for one in what))


async def execute(store: Store, *statements: str) -> None:
    for statement in statements:
        await store.database.write(lambda connection, statement=statement: connection.execute(sql(statement)))


async def journal_of(store: Store) -> Sequence[Any]:
    return await store.database.read(lambda connection: connection.execute(sql("SELECT * FROM journal")).all())


@pytest.fixture
def rarely_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal has nothing yet when the turn ends."""
    monkeypatch.setattr("chat_app.turns.journal.BEAT_S", 60)


def answer_of(reply: ScriptedReply, *after: object) -> None:
    reply.enqueue(Piece(reasoning="think"), "Hello ", Part("tool", data={"id": 1}), "wörld 👋", *after)


PARTS = [("reasoning", "think"), ("text", "Hello "), ("tool", {"id": 1}), ("text", "wörld 👋")]


def told_of(message: Message) -> list[tuple[str, Any]]:
    return [(part.kind, part.data or part.text) for part in parts_of(message)]


@pytest.mark.parametrize("when", REFUSED.values(), ids=REFUSED)
async def test_an_end_that_is_refused_is_told_as_it_is_stored_with_all_its_text(
    turns: Turns,
    store: Store,
    reply: ScriptedReply,
    hasty_database: None,
    rarely_saved: None,
    soon_forgotten: None,
    when: str,
) -> None:
    await refuse(store, when)
    answer_of(reply)
    turn = await turns.start("hello")
    ended = await end(turn)
    assert (ended.status, ended.error) == (Status.failed, TOLD)
    message = await saved(store, turn)
    assert (message.status, message.finish_reason, message.error) == (Status.interrupted, "interrupted", TOLD)
    assert told_of(message) == PARTS
    assert not await journal_of(store)
    await told_the_same(turns, turn)
    assert await turns.recover() == 0
    await told_the_same(turns, turn)


async def told_the_same(turns: Turns, turn: Turn) -> None:
    """To those who come late, when it is read from its row."""
    late = await turns.find(turn.id)
    while late.ended_at != END_OF_INTERRUPTED:
        late = await turns.find(turn.id)
    *_, ended = await read(late)
    assert isinstance(ended, Ended)
    assert ended.error == TOLD


Ask = Callable[[Turns, Turn], Awaitable[Turn]]
ASKS: dict[str, Ask] = {
    "regenerate": lambda turns, turn: turns.regenerate(turn.id),
    "continue": lambda turns, turn: turns.continue_reply(turn.id),
    "ask": lambda turns, turn: turns.start("more", turn.chat_id),
    "edit": lambda turns, turn: turns.start("hello!", turn.chat_id, edit_of=turn.user.id),
}


@pytest.mark.parametrize("when", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
async def test_its_chat_goes_on(
    turns: Turns, store: Store, reply: ScriptedReply, hasty_database: None, when: str, ask: Ask
) -> None:
    await refuse(store, when)
    reply.enqueue("one")
    first = await turns.start("hello")
    await end(first)
    reply.enqueue("two")
    second = await ask(turns, first)
    assert (await end(second)).status is Status.failed
    await allow(store, "UPDATE")
    reply.enqueue("three")
    assert (await end(await ask(turns, second))).status is Status.complete
    assert [(await saved(store, turn)).status for turn in (first, second)] == 2 * [Status.interrupted]


async def test_what_cannot_be_ended_at_all_costs_no_other_chat_its_turns_nor_the_server_its_start(
    turns: Turns, store: Store, reply: ScriptedReply, hasty_database: None, make_backplane: MakeBackplane
) -> None:
    go_on = asyncio.Event()
    answer_of(reply, go_on)
    _, orphan, _ = await store.begin_turn("another that was left")
    turn = await turns.start("hello")
    when = f"{NOTHING_AT_ALL} AND OLD.id = '{turn.id}'"
    await refuse(store, when)
    await refuse(store, when, "DELETE")
    go_on.set()
    await read(turn)
    with pytest.raises(StatementError):
        await turns.regenerate(turn.id)
    later = Turns(store, make_backplane(), reply)
    assert await later.recover() == 2
    assert (await store.message(orphan.id) or orphan).status == Status.interrupted
    stuck = await later.find(turn.id)
    assert stuck.ended_at == END_OF_INTERRUPTED
    assert told_of(stuck.reply) == PARTS
    reply.enqueue("elsewhere")
    assert (await end(await later.start("hello"))).status is Status.complete
    await allow(store, "UPDATE", "DELETE")
    reply.enqueue("again")
    assert (await end(await later.regenerate(turn.id))).status is Status.complete
    assert told_of(await saved(store, turn)) == PARTS
    assert not await journal_of(store)
    await later.close()


async def test_rows_of_turns_that_are_gone_do_not_stay_in_the_journal(turns: Turns, store: Store) -> None:
    row = {"turn_id": "gone", "seq": 1, "part": 0, "kind": "text", "text": "a"}
    await store.add_rows([row])
    assert [one.turn_id for one in await journal_of(store)] == [JournalRow(**row).turn_id]
    assert await turns.recover() == 0
    assert not await journal_of(store)


# The doors


@pytest.fixture
async def refusing(database_url: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Api]:
    """An API whose database takes no change of a running answer."""
    with Api(tmp_path, database_url=database_url, openai_base_url=provider.base_url, openai_model="bench") as api:
        store = Store(database_url)
        await refuse(store, REFUSED["any change of it"])
        await store.close()
        yield api


@pytest.mark.slow
async def test_the_doors_agree_before_and_after_a_restart(refusing: Api) -> None:
    content = script(tokens=4, think_every=2)
    async with refusing.client() as client:
        async with streaming(client, "POST", "/stream/?include=reasoning", json={"content": content}) as stream:
            *frames, ended, _ = await stream.rest()
        asked = {"content": content, "chat_id": stream.chat_id}
        whole = await client.post("/messages/", json=asked)
        assert value(ended)["error"] == whole.json()["error"] == TOLD
        before = [await all_of(client, turn_id) for turn_id in (stream.turn_id, whole.json()["message"]["id"])]
        assert before[0][0] == before[1][0] == places.of_frames(frames)
        assert {code for _, codes in before for code in codes} == {("interrupted", "internal_error")}
        refusing.kill()
        refusing.start()
        after = [await all_of(client, turn_id) for turn_id in (stream.turn_id, whole.json()["message"]["id"])]
    assert after == before


async def all_of(client: httpx.AsyncClient, turn_id: str) -> tuple[places.Places, set[tuple[str, str]]]:
    """What every door tells of a turn: its parts, and how it ended."""
    message = (await client.get(f"/messages/{turn_id}?include=reasoning")).raise_for_status().json()
    history = (await client.get("/messages/", params={"chat_id": message["chat_id"]})).raise_for_status().json()
    listed = next(one for one in history["messages"] if one["id"] == turn_id)
    async with streaming(client, "GET", f"/stream/{turn_id}?include=reasoning") as stream:
        *frames, ended, _ = await stream.rest()
    stopped = (await client.post(f"/stream/{turn_id}/stop")).raise_for_status().json()
    assert places.of_frames(frames) == places.of_parts(message["parts"])
    stored = {(one["status"], one["error"]["code"]) for one in (message, listed, stopped)}
    return places.of_frames(frames), stored | {("interrupted", value(ended)["error"]["code"])}
