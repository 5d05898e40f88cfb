"""The service as the doors use it: what it does around the store, with a model that is scripted."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chat_app import trash as trash_module
from chat_app.caller import LOCAL
from chat_app.config import Settings
from chat_app.errors import NotFound
from chat_app.models import Status
from chat_app.service import Service, serving
from tests.clock import Clock
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path, provider: Provider) -> Settings:
    provider.clear()
    return Settings.model_validate(
        {
            "database_url": f"sqlite:///{tmp_path / 'chat.db'}",
            "openai_base_url": provider.base_url,
            "openai_model": "bench",
            "chat_titles": False,
        }
    )


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    async with serving(settings) as service:
        yield service


async def announced(service: Service, since: int) -> int:
    async with asyncio.timeout(5):
        return await service.turns.changed(since)


async def test_a_chat_whose_answer_grows_is_stopped_and_trashed_and_comes_back_with_its_text(
    service: Service, provider: Provider
) -> None:
    turn = await service.turns.start(script(tokens=-1, interval_ms=5))
    async with asyncio.timeout(10):
        await anext(turn.batches())
    version = service.turns.version()
    await service.of(LOCAL).trash_chat(turn.chat_id)
    version = await announced(service, version)
    await provider.until(lambda seen: seen[0]["closed_by_client"])
    own = service.of(LOCAL)
    for attempt in (service.turns.find(turn.id), own.trash_chat(turn.chat_id), own.delete_chat(turn.chat_id)):
        with pytest.raises(NotFound):
            await attempt
    chat = await service.of(LOCAL).restore_chat(turn.chat_id)
    await announced(service, version)
    question, answer = await service.store.messages(chat.id)
    assert (answer.id, answer.status) == (turn.id, Status.stopped)
    assert answer.content.startswith("tok0 ")
    found = await service.turns.find(turn.id)
    assert found.user.id == question.id


@pytest.mark.parametrize("trash", [True, False])
@pytest.mark.parametrize("again", [True, False])
async def test_a_turn_that_begins_while_its_chat_is_deleted_does_not_run_on(
    service: Service, provider: Provider, monkeypatch: pytest.MonkeyPatch, trash: bool, again: bool
) -> None:
    """It is saved when the chat goes, and comes to run after that."""
    first = await service.turns.start(script(tokens=1))
    await first.end()
    saved, go_on = asyncio.Event(), asyncio.Event()
    name = "begin_reply" if again else "begin_turn"
    begin = getattr(service.store, name)

    async def slow(*args: Any, **options: Any) -> Any:
        begun = await begin(*args, **options)
        saved.set()
        await go_on.wait()
        return begun

    monkeypatch.setattr(service.store, name, slow)
    endless = script(tokens=-1, interval_ms=5)
    start = service.turns.regenerate(first.id) if again else service.turns.start(endless, first.chat_id)
    starting = asyncio.ensure_future(start)
    await saved.wait()
    own = service.of(LOCAL)
    deleting = asyncio.ensure_future((own.trash_chat if trash else own.delete_chat)(first.chat_id))
    await asyncio.wait({deleting}, timeout=0.1)
    go_on.set()
    await asyncio.wait({starting, deleting})
    assert deleting.exception() is None
    assert await service.turns.running(first.chat_id) is None
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("turn", "generation"))]
    if trash:
        await service.of(LOCAL).restore_chat(first.chat_id)
        assert {one.status for one in await service.store.messages(first.chat_id)}.isdisjoint({Status.streaming})


async def test_the_trash_is_emptied_after_a_while(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    chats = service.of(LOCAL)
    chat = await chats.create_chat()
    await chats.trash_chat(chat.id)
    await asyncio.sleep(0)
    await clock.forward(trash_module.TRASH_S - 1)
    await chats.restore_chat(chat.id)
    # The database has a clock of its own: it deletes what was there before this moment.
    monkeypatch.setattr(trash_module, "TRASH_S", 0)
    await chats.trash_chat(chat.id)
    await clock.forward(2)
    while service.shared.trash.emptying:
        await asyncio.sleep(0.01)
    with pytest.raises(NotFound):
        await service.of(LOCAL).restore_chat(chat.id)


async def test_the_trash_is_emptied_at_the_start(settings: Settings) -> None:
    async with serving(settings) as service:
        kept, gone = await service.of(LOCAL).create_chat(), await service.of(LOCAL).create_chat()
        await service.of(LOCAL).trash_chat(gone.id)
        # The one who would empty it later, in five minutes, is not waited for.
    async with serving(settings) as service:
        assert [chat.id for chat in await service.store.chats()] == [kept.id]
        with pytest.raises(NotFound):
            await service.of(LOCAL).restore_chat(gone.id)


async def test_what_changes_is_announced(service: Service) -> None:
    turn = await service.turns.start(script(tokens=1))
    await turn.end()
    await asyncio.sleep(0)
    data = json.dumps(await service.store.export_chat(turn.chat_id))
    for change in (
        service.of(LOCAL).create_chat("x"),
        service.of(LOCAL).set_chat(turn.chat_id, pinned=True),
        service.of(LOCAL).rename_chat(turn.chat_id, "x"),
        service.of(LOCAL).choose(turn.user.id),
        service.of(LOCAL).rate(turn.id, 1),
        service.of(LOCAL).import_chat(data),
    ):
        version = service.turns.version()
        await change
        assert await announced(service, version) == version + 1
