"""Whose a chat is: the store and the service keep owners apart, on both databases."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlmodel import col, select

from chat_app.caller import LOCAL, Caller, Kind, Scope
from chat_app.config import Settings
from chat_app.errors import ChatError, InvalidRequest, NotFound, ReadOnly
from chat_app.models import Chat, Message, Status, new_id
from chat_app.own_chats import OwnChats
from chat_app.service import Service, serving
from chat_app.store.store import Store

pytestmark = pytest.mark.anyio

ANN, BEN = Caller("ann", "Ann", Kind.person), Caller("ben", "Ben", Kind.person)
READER = Caller("ann", "Ann", Kind.person, scopes=frozenset({Scope.read}))


@pytest.fixture
async def both(database_url: str) -> AsyncIterator[Store]:
    """A store on either database."""
    store = Store(database_url)
    await store.open()
    yield store
    await store.close()


async def exchange(store: Store, question: str, answer: str, key: str | None = None) -> Message:
    _, reply, _ = await store.begin_turn(question, key=key)
    await store.end_turn(reply.id, {"content": answer, "status": Status.complete, "finish_reason": "stop"})
    return reply


def reads(chat_id: str, message_id: str) -> dict[str, Callable[[Store], Awaitable[object]]]:
    """What asks about one thing, and raises NotFound where it is not there."""
    return {
        "chat": lambda store: store.chat(chat_id),
        "path_page": lambda store: store.path_page(chat_id),
        "path_around": lambda store: store.path_around(message_id, 1, 1),
        "path_end": lambda store: store.path_end(chat_id, 10),
        "path_before": lambda store: store.path_before(chat_id, message_id, 1),
        "path": lambda store: store.path(chat_id),
        "messages": lambda store: store.messages(chat_id),
        "position": lambda store: store.position(message_id),
        "export_chat": lambda store: store.export_chat(chat_id),
        "chat_markdown": lambda store: store.chat_markdown(chat_id),
        "set_chat": lambda store: store.set_chat(chat_id, pinned=True),
        "trash_chat": lambda store: store.trash_chat(chat_id),
        "restore_chat": lambda store: store.restore_chat(chat_id),
        "delete_chat": lambda store: store.delete_chat(chat_id),
        "choose": lambda store: store.choose(message_id),
        "rate": lambda store: store.rate(message_id, 1),
        "begin_turn": lambda store: store.begin_turn("Go on", chat_id),
        "edit": lambda store: store.begin_turn("Instead", edit_of=message_id),
        "begin_reply": lambda store: store.begin_reply(message_id),
    }


async def test_what_is_somebody_elses_is_said_to_be_nowhere(both: Store) -> None:
    ann, ben = both.of("ann"), both.of("ben")
    reply = await exchange(ann, "A pomegranate", "Is a fruit")
    of_ann, of_nobody = reads(reply.chat_id, reply.id), reads(new_id(), new_id())

    for other in (ben, both):
        for name, read in of_ann.items():
            with pytest.raises(NotFound) as told:
                await read(other)
            with pytest.raises(NotFound) as never:
                await of_nobody[name](other)
            assert told.value.as_dict() == never.value.as_dict(), name
        assert await other.chats() == []
        assert await other.message(reply.id) is None
        assert not await other.is_shown(reply.id)
        assert await other.path_end_at(reply.id) is None
        assert await other.existing([reply.chat_id]) == set()
        assert await other.search("pomegranate") == []
        assert json.loads("".join([piece async for piece in other.exported()]))["chats"] == []
        assert not await other.name_chat(reply.chat_id, "Mine")
    # And nothing of it has changed.
    assert [item.message.content for item in await ann.path(reply.chat_id)] == ["A pomegranate", "Is a fruit"]
    assert (await ann.chat(reply.chat_id)).pinned is False
    assert [hit.chat_id for hit in await ann.search("pomegranate")] == [reply.chat_id] * 2


def test_every_method_that_names_a_chat_or_a_message_is_tried() -> None:
    """But those that turns and agents use, which have found their chat by then."""
    inside = {"save_values", "values", "request", "context", "add_rows", "end_turn", "interrupt"}
    elsewhere = {"message", "is_shown", "path_end_at", "existing", "name_chat"}
    names = {"chat_id", "message_id", "reply_id", "turn_id", "chat_ids"}
    methods = {name: getattr(Store, name) for name in dir(Store) if not name.startswith("_")}
    taking = {name for name, method in methods.items() if names & getattr(method, "__annotations__", {}).keys()}
    assert taking - inside == (reads("", "").keys() | elsewhere) - {"edit"}


async def test_a_key_is_a_persons(both: Store) -> None:
    first = await exchange(both.of("ann"), "Hello", "Hi", key="k")
    second = await exchange(both.of("ben"), "Hello", "Hi", key="k")
    third = await exchange(both, "Hello", "Hi", key="k")

    for store, reply in ((both.of("ann"), first), (both.of("ben"), second), (both, third)):
        found = await store.message_by_key("k")
        assert found is not None and (found.id, found.key) == (reply.id, "k")
        assert (await store.begin_turn("Hello", key="k"))[1:] == (found, False)
    assert await both.of("eve").message_by_key("k") is None


async def test_a_key_cannot_be_made_to_look_like_somebody_elses(both: Store) -> None:
    await exchange(both.of("ann"), "Hello", "Hi", key="k")

    with pytest.raises(InvalidRequest):
        await both.begin_turn("Hello", key="ann\x1fk")


async def test_the_first_person_adopts_what_has_no_owner(both: Store) -> None:
    old, thrown = await exchange(both, "Old", "One", key="k"), await exchange(both, "Thrown", "Away")
    await both.trash_chat(thrown.chat_id)
    other = await exchange(both.of("ben"), "Other", "Two", key="k")

    assert await both.adopt("ann") == 2

    ann = both.of("ann")
    assert [chat.id for chat in await ann.chats()] == [old.chat_id]
    assert (found := await ann.message_by_key("k")) and found.id == old.id
    assert (await ann.restore_chat(thrown.chat_id)).owner == "ann"
    assert await both.chats() == [] and await both.message_by_key("k") is None
    assert [chat.id for chat in await both.of("ben").chats()] == [other.chat_id]
    assert await both.adopt("eve") == 0


async def test_an_import_is_the_importers(both: Store) -> None:
    reply = await exchange(both.of("ann"), "A pomegranate", "Is a fruit")
    exported = json.dumps(await both.of("ann").export_chat(reply.chat_id))

    chat = await both.of("ben").import_chat(exported)

    assert chat.id != reply.chat_id
    assert [one.id for one in await both.of("ben").chats()] == [chat.id]
    assert [one.id for one in await both.of("ann").chats()] == [reply.chat_id]
    async with both.database.reading() as session:
        assert (await session.exec(select(Chat.owner).where(col(Chat.id) == chat.id))).one() == "ben"


def scripted(messages: list[dict[str, str]], context: object = None) -> str:
    return f"{getattr(context, 'person', None)}"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    given = {"database_url": f"sqlite:///{tmp_path / 'chat.db'}", "replies": "tests.test_owners:scripted"}
    async with serving(Settings.model_validate(given)) as service:
        yield service


async def test_a_key_that_may_only_read_changes_nothing(service: Service) -> None:
    turn = await service.of(ANN).turns.start("Hello")
    await turn.end()
    own = service.of(READER)
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: own.turns.start("Hello"),
        lambda: own.turns.regenerate(turn.id),
        lambda: own.turns.continue_reply(turn.id),
        lambda: own.turns.stop(turn.id),
        lambda: own.stop(turn.id),
        lambda: own.create_chat(),
        lambda: own.set_chat(turn.chat_id, pinned=True),
        lambda: own.rename_chat(turn.chat_id, "Mine"),
        lambda: own.choose(turn.id),
        lambda: own.rate(turn.id, 1),
        lambda: own.import_chat("{}"),
        lambda: anext(own.import_file(Path("none"))),
        lambda: own.delete_chat(turn.chat_id),
        lambda: own.trash_chat(turn.chat_id),
        lambda: own.restore_chat(turn.chat_id),
    ]

    for change in changes:
        with pytest.raises(ReadOnly):
            await change()
    assert (await own.library.chat(turn.chat_id)).title == "Hello"
    assert (await own.turns.find(turn.id)).id == turn.id


def test_that_test_tries_every_method_that_changes_something() -> None:
    reading = {"library", "turns", "caller", "bill_of_answer", "bill_of_chat", "filled", "figures"}
    tried = {"stop", "create_chat", "set_chat", "rename_chat", "choose", "rate", "import_chat", "import_file"}
    tried |= {"delete_chat", "trash_chat", "restore_chat"}
    # In the access matrix.
    tried |= {"report", "answer_survey"}
    public = {name for name in dir(OwnChats) if not name.startswith("_")}
    assert public == tried | (reading & public)


async def test_an_agent_and_its_hooks_are_told_who_asks(service: Service) -> None:
    told = []
    service.turns.on_question(lambda question: told.append(question.person))
    service.turns.on_start(lambda turn: told.append(turn.caller.person))
    answers = []
    for caller in (ANN, BEN, LOCAL):
        turn = await service.of(caller).turns.start("Hello")
        await turn.end()
        reply = await service.of(caller).library.message(turn.id)
        assert reply is not None
        answers.append(reply.content)

    assert answers == ["Person(id='ann', name='Ann')", "Person(id='ben', name='Ben')", "None"]
    assert told == [ANN.person, ANN.person, BEN.person, BEN.person, None, None]


async def test_a_chat_that_is_deleted_stops_nobody_elses_turns(service: Service) -> None:
    turn = await service.of(ANN).turns.start("Hello")
    await turn.end()
    changed = service.of(ANN).turns.version(), service.of(BEN).turns.version()

    with pytest.raises(NotFound):
        await service.of(BEN).delete_chat(turn.chat_id)
    await service.of(ANN).delete_chat(turn.chat_id)

    # Only those who see it are told.
    assert service.of(ANN).turns.version() > changed[0]
    assert service.of(BEN).turns.version() == changed[1]


async def test_figures_are_for_those_who_run_the_server(service: Service) -> None:
    own = service.of(ANN)
    turn = await own.turns.start("Hello")
    await turn.end()
    await own.rate(turn.id, -1, "A remark")
    admin = service.of(Caller("root", "Root", Kind.person, admin=True))

    with pytest.raises(ChatError, match="administrator"):
        await own.figures(1)
    figures = await admin.figures(1)

    assert figures.answers == 1 and figures.down == 1
    assert figures.remarks == []
    assert [slow.chat_id for slow in figures.slowest] == [None]
