"""What SQL reads of a chat is what `tree` says of its messages in memory, and costs the same however long it is."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from chat_app.errors import NotFound
from chat_app.models import Chat, Message, Role
from chat_app.store import tree
from chat_app.store.store import Store
from chat_app.store.tree import PathItem
from tests.postgres import Postgres

LONG = 10_000


@dataclass
class Grown:
    """A chat with any tree: each message's parent by its place, -1 for none, and ids in any order."""

    parents: list[int]
    order: list[int]
    shown: int | None
    """Which message the shown path ends with: one that is there or, beyond their number, not any more."""
    limit: int
    newer: int

    def rows(self, name: str) -> tuple[Chat, list[Message]]:
        ids = [f"{name}-{place:02}" for place in self.order]
        leaf = None if self.shown is None else [*ids, f"{name}-gone"][min(self.shown, len(ids))]
        depths: list[int] = []
        for parent in self.parents:
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        messages = [
            Message(
                id=id,
                chat_id=name,
                parent_id=ids[parent] if parent >= 0 else None,
                depth=depths[place],
                role=Role.user,
                content=f"text {id}" if place % 3 else "",
            )
            for place, (id, parent) in enumerate(zip(ids, self.parents, strict=True))
        ]
        return Chat(id=name, title="a tree", leaf_id=leaf), messages


@st.composite
def trees(draw: st.DrawFn) -> Grown:
    size = draw(st.integers(0, 20))
    # Mostly what follows the one before: else the paths of such trees are short.
    parents = [draw(st.one_of(st.just(place - 1), st.integers(-1, place - 1))) for place in range(size)]
    return Grown(
        parents,
        draw(st.one_of(st.just(list(range(size))), st.permutations(range(size)))),
        draw(st.none() | st.integers(0, size)),
        draw(st.integers(1, 6)),
        draw(st.integers(0, 6)),
    )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def run_with_store(request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[Store], Any]], Any]]:
    """Runs a coroutine function with a store, in a loop of its own: Hypothesis knows no coroutines."""
    with asyncio.Runner() as runner:
        if request.param == "sqlite":
            store = Store(f"sqlite:///{request.getfixturevalue('file')}")
            yield lambda work: runner.run(work(store))
            runner.run(store.close())
        else:
            postgres: Postgres = request.getfixturevalue("postgres")
            database = postgres.database(request.getfixturevalue("migrated_on_postgres"))
            store = Store(postgres.url(runner.run(database.__aenter__())))
            yield lambda work: runner.run(work(store))
            runner.run(store.close())
            runner.run(database.__aexit__(None, None, None))


def path_items(messages: Sequence[Message], leaf_id: str | None) -> list[PathItem]:
    """The path with the versions of each message; `messages` are all of the chat, oldest first."""
    of = tree.versions([(message.id, message.parent_id) for message in messages])
    return [tree.item(message, of[message.parent_id]) for message in tree.path(messages, leaf_id)]


def places(path: Sequence[PathItem]) -> list[tuple[object, ...]]:
    return [(item.message.id, item.number, item.of, item.previous_id, item.next_id) for item in path]


@pytest.mark.slow
def test_the_path_by_sql_is_the_path_of_the_tree(
    run_with_store: Callable[[Callable[[Store], Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat_app.store.library.PAGE", 3)
    names = (f"chat-{number}" for number in count())

    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(trees())
    def check(grown: Grown) -> None:
        run_with_store(lambda store: compare(store, grown, next(names)))

    check()


async def compare(store: Store, grown: Grown, name: str) -> None:
    chat, messages = grown.rows(name)
    leaf = chat.leaf_id
    async with store.database.writing() as session:
        session.add(chat)
        await session.flush()
        session.add_all(messages)
    messages.sort(key=lambda message: message.id)
    expected = places(path_items(messages, leaf))
    assert places(await store.path(name)) == expected
    assert await pages(store, name, grown.limit) == expected
    for hidden in (None, 0, grown.newer, len(expected)):
        before, items = await store.path_end(name, grown.limit, hidden)
        newest = max(len(expected) - grown.limit, 0)
        assert (before, places(items)) == ((at := newest if hidden is None else min(hidden, newest)), expected[at:])
    parents = {message.id: message.parent_id for message in messages}
    for message in messages[:: max(len(messages) // 4, 1)]:
        await compare_around(store, message.id, expected, grown)
        path = tree.path(messages, message.id)[:-1]
        assert await store.position(message.id) == len(path)
        assert await store.is_shown(message.id) == (message.id in [place[0] for place in expected])
        assert (ends := await store.path_end_at(message.id)) is None or ends.id == message.id
        assert bool(ends) == (message.id == leaf)
        assert [item.message.id for item in await store.path_before(name, message.id, 5)] == [m.id for m in path][-5:]
        said = [one.content for one in path if one.content]
        assert [one.content for one in await store.context(message.id)] == said
        some = [one.content for one in await store.context(message.id, max_chars=20)]
        assert some == said[len(said) - len(some) :]
        assert some == said or sum(map(len, some)) >= 20
        assert (await store.choose(message.id)).leaf_id == tree.newest_leaf(parents, message.id)
        async with store.database.writing() as session:
            (await session.get_one(Chat, name)).leaf_id = leaf


async def pages(store: Store, chat_id: str, limit: int) -> list[tuple[object, ...]]:
    """The whole path, a page after the other."""
    page = await store.path_page(chat_id, limit=limit)
    path = places(page.items)
    assert not page.later
    while page.earlier:
        page = await store.path_page(chat_id, page.items[0].message.id, limit)
        assert page.later
        assert 0 < len(page.items) <= limit
        path = [*places(page.items), *path]
    return path


async def compare_around(store: Store, id: str, path: list[tuple[object, ...]], grown: Grown) -> None:
    at = next((place for place, item in enumerate(path) if item[0] == id), None)
    if at is None:
        with pytest.raises(NotFound, match="Another version of this message is shown"):
            await store.path_around(id, grown.limit, grown.newer)
        return
    page = await store.path_around(id, grown.limit, grown.newer)
    first, last = max(at - grown.limit, 0), min(at + grown.newer + 1, len(path))
    assert places(page.items) == path[first:last]
    assert (page.earlier, page.later) == (first > 0, last < len(path))


# What it costs


async def fill(store: Store, chat_id: str, length: int) -> list[str]:
    """A chat of that many messages of 100 characters; returns their ids."""
    ids = [f"{chat_id}-{place:05}" for place in range(length)]
    rows: list[Chat | Message] = [Chat(id=chat_id, title="long", leaf_id=ids[-1])]
    for place, id in enumerate(ids):
        role = (Role.user, Role.assistant)[place % 2]
        parent = ids[place - 1] if place else None
        rows.append(Message(id=id, chat_id=chat_id, parent_id=parent, depth=place, role=role, content=f"{place:0100}"))
    async with store.database.writing() as session:
        session.add(rows[0])
        await session.flush()
        # In order: a message names its parent.
        await session.run_sync(lambda sync: sync.bulk_save_objects(rows[1:]))
    return ids


class Steps:
    """Counts the steps of SQLite's machine, in hundreds."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        event.listen(store.database.engine.sync_engine, "connect", self._watch)
        assert store.database._sqlite
        event.listen(store.database._sqlite._engine, "connect", self._watch_plain)

    def _watch(self, connection: Any, _record: Any) -> None:
        connection.run_async(lambda driver: driver.set_progress_handler(self._step, 100))

    def _watch_plain(self, connection: Any, _record: Any) -> None:
        connection.set_progress_handler(self._step, 100)

    def _step(self) -> int:
        self.count += 1
        return 0


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_chat_of_ten_thousand_messages_costs_what_one_of_ten_costs(
    file: Path, figure: Callable[[object], None]
) -> None:
    filling = Store(f"sqlite:///{file}")
    chats = {length: await fill(filling, f"chat-{length}", length) for length in (10, LONG)}
    await filling.close()
    store = Store(f"sqlite:///{file}")
    steps = Steps(store)
    costs: dict[int, dict[str, int]] = {}
    for length, ids in chats.items():
        chat_id = f"chat-{length}"
        costs[length] = {}

        async def cost(name: str, work: Any, of: dict[str, int] = costs[length]) -> Any:
            before = steps.count
            result = await work
            of[name] = steps.count - before
            return result

        hidden, items = await cost("open", store.path_end(chat_id, 5))
        assert (hidden, [item.message.id for item in items]) == (length - 5, ids[-5:])
        page = await cost("earlier", store.path_page(chat_id, ids[-4], 5))
        assert [item.message.id for item in page.items] == ids[-9:-4]
        _, reply, _ = await cost("ask", store.begin_turn("And?", chat_id))
        said = await cost("context", store.context(reply.id, max_chars=1_000))
        assert said[-1].content == "And?"
        assert len(said) >= 10
    await store.close()
    figure(f"hundreds of SQLite's steps: {costs}")
    for name, steps_of_ten in costs[10].items():
        # A chat of ten has no 1,000 characters before the question.
        assert costs[LONG][name] <= 2 * steps_of_ten + 5, name
