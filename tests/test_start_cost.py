"""What a start asks of the database: one transaction, whatever it starts, and the same in a chat of any length."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from chat_app.models import Chat, Message, Role
from chat_app.reply import ChatMessage
from chat_app.store.statements import Prompt
from chat_app.store.store import Store
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns

pytestmark = pytest.mark.anyio

LONG = 10_000
BUDGET = 10_000
ROWS = 5_000


class Asked:
    """What a database was asked since `clear`."""

    def __init__(self, store: Store) -> None:
        self.statements: list[str] = []
        self.transactions = 0
        sqlite = store.database._sqlite
        for engine in (store.database.engine.sync_engine, *([sqlite._engine] if sqlite else [])):
            event.listen(engine, "begin", self._begin)
            event.listen(engine, "before_cursor_execute", self._execute)

    def clear(self) -> None:
        self.statements, self.transactions = [], 0

    def _begin(self, _connection: Connection) -> None:
        self.transactions += 1

    def _execute(self, _connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        self.statements.append(statement)


class Source:
    """Answers at once; `asked` is set when it is asked, and then `go_on` is waited for."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.history: Sequence[ChatMessage] = []

    async def __call__(self, messages: Sequence[ChatMessage], **options: Any) -> AsyncGenerator[str, None]:
        self.history = messages
        self.asked.set()
        await self.go_on.wait()
        yield "answer"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = Store(database_url)
    await store.open()
    yield store
    await store.close()


async def test_all_that_a_start_needs_is_one_transaction(store: Store) -> None:
    source = Source()
    turns = Turns(store, MemoryBackplane(), source)
    asked = Asked(store)

    async def starts(begin: Callable[[], Awaitable[Any]], statements: int) -> list[str]:
        """Begin a turn, and look what was asked until the source was; the contents that it was given."""
        asked.clear()
        source.asked.clear()
        source.go_on.clear()
        turn = await begin()
        await source.asked.wait()
        assert (asked.transactions, len(asked.statements)) == (1, statements), asked.statements
        source.go_on.set()
        await turn.end()
        return [message["content"] for message in source.history]

    assert await starts(lambda: turns.start("one", key="k1"), 2) == ["one"]
    (chat,) = await store.chats()
    settings: dict[str, Any] = {"model": "m", "system_prompt": "Be brief.", "temperature": 0.5}
    await store.set_chat(chat.id, **settings)
    brief = ["Be brief.", "one", "answer"]
    assert await starts(lambda: turns.start("two", chat.id, key="k2"), 6) == [*brief, "two"]
    one, _, two, answer = await store.messages(chat.id)
    assert await starts(lambda: turns.start("II", chat.id, key="k3", edit_of=two.id), 6) == [*brief, "II"]
    assert await starts(lambda: turns.start("I", chat.id, key="k4", edit_of=one.id), 5) == ["Be brief.", "I"]
    assert await starts(lambda: turns.regenerate(answer.id, key="k5"), 8) == [*brief, "two"]
    continued = await starts(lambda: turns.continue_reply(answer.id, key="k6"), 8)
    assert continued[:-1] == [*brief, "two", "answer"]
    await turns.close()


async def fill(store: Store, chat_id: str, length: int) -> None:
    """A chat of that many messages: the newest have 100 characters, which takes the index of words its time."""
    ids = [f"{chat_id}-{place:06}" for place in range(length)]
    message = Message(id="", chat_id=chat_id, role=Role.user, content="x").model_dump()
    rows = [message | {"id": id, "parent_id": parent} for parent, id in pairwise([None, *ids])]
    for place in range(max(length - 2 * BUDGET // 100, 0), length):
        rows[place]["content"] = f"{place:0100}"
    add_chat, add_message = Chat.__table__.insert(), Message.__table__.insert()
    chat = Chat(id=chat_id, title="long", leaf_id=ids[-1]).model_dump()
    await store.database.write(lambda connection: connection.execute(add_chat, chat))
    for start in range(0, length, ROWS):
        await store.database.write(
            partial(Connection.execute, statement=add_message, parameters=rows[start : start + ROWS])
        )


@pytest.mark.slow
async def test_a_question_costs_the_same_in_a_chat_of_any_length(
    store: Store, figure: Callable[[object], None]
) -> None:
    """In statements, in rows, and, on SQLite, in the steps of its machine; the time is told only."""
    asked, steps = Asked(store), 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def watch(connection: Connection) -> None:
        connection.connection.driver_connection.set_progress_handler(step, 100)  # type: ignore[union-attr]

    costs: dict[int, tuple[int, int, int]] = {}
    all_steps: list[int] = []
    for length in (200, LONG):
        await fill(store, f"chat-{length}", length)
        await store.begin_turn("warm")
        await store.rehearse()
        if store.database._sqlite:
            await store.database.write(watch)
        asked.clear()
        steps, prompt, began = 0, Prompt(BUDGET), time.perf_counter()
        await store.begin_turn("And?", f"chat-{length}", prompt=prompt)
        took_ms = (time.perf_counter() - began) * 1_000
        costs[length] = (asked.transactions, len(asked.statements), len(prompt.said))
        all_steps.append(steps)
        figure(f"{length} messages: {took_ms:.1f} ms, {len(prompt.said)} messages read, {steps} hundred steps")
    assert costs[200] == costs[LONG]
    assert abs(all_steps[1] - all_steps[0]) <= 5
    assert prompt.said[-2].content == f"{LONG - 1:0100}"
    assert sum(len(one.content) for one in prompt.said) < BUDGET + 100
