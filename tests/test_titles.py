"""Titles of the model's: a whole service with the provider's double behind it, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat_app import titles
from chat_app.caller import LOCAL
from chat_app.config import Settings
from chat_app.errors import NotFound
from chat_app.models import Chat
from chat_app.service import Service, build, serving
from chat_app.titles import INSTRUCTION, sane_title
from tests.clock import Clock
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def service_of(folder: Path, provider: Provider, **settings: Any) -> AsyncIterator[Service]:
    provider.clear()
    given: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'chat.db'}",
        "openai_base_url": provider.base_url,
        "openai_model": "bench",
    }
    async with serving(Settings.model_validate(given | settings)) as service:
        yield service


@pytest.fixture
async def service(tmp_path: Path, provider: Provider) -> AsyncIterator[Service]:
    async with service_of(tmp_path, provider) as service:
        yield service


def answered(**title_script: Any) -> str:
    """A question whose answer is a script in turn: what the model does when it reads the answer to name the chat."""
    return script(text=script(**title_script))


async def exchange(service: Service, question: str, chat_id: str | None = None) -> str:
    turn = await service.turns.start(question, chat_id)
    async with asyncio.timeout(10):
        await turn.end()
    return turn.chat_id


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def named(service: Service, chat_id: str) -> Chat:
    async def is_named() -> bool:
        return (await service.store.chat(chat_id)).named

    await until(is_named)
    return await service.store.chat(chat_id)


async def over(service: Service) -> None:
    """Wait until no title is being made, and the one that might begin has begun."""
    assert service.titles
    tasks = service.titles._tasks
    await asyncio.sleep(0)

    async def none() -> bool:
        return not tasks

    await until(none)


def title_requests(provider: Provider) -> list[dict[str, Any]]:
    bodies = [request["body"] for request in provider.requests()]
    return [body for body in bodies if body["messages"][0] == {"role": "system", "content": INSTRUCTION}]


async def test_a_chat_is_named_after_its_first_exchange(service: Service, provider: Provider) -> None:
    question = answered(text="Title: “Streaming explained.”")
    chat_id = await exchange(service, question)
    version = service.turns.version()
    assert (await named(service, chat_id)).title == "Streaming explained"
    async with asyncio.timeout(5):
        await service.turns.changed(version)
    [body] = title_requests(provider)
    assert (body["model"], body.get("temperature"), body.get("stream")) == ("bench", None, None)
    assert question in body["messages"][1]["content"]


async def test_only_the_first_exchange_is_asked_about(service: Service, provider: Provider) -> None:
    # Seven lines are no title.
    chat_id = await exchange(service, answered(text="no\ntitle\nbut\nmany\nlines\nof\ntext"))
    await over(service)
    chat = await service.store.chat(chat_id)
    assert not chat.named
    await exchange(service, answered(text="A fine title"), chat_id)
    await over(service)
    assert await service.store.chat(chat_id) != chat
    assert (await service.store.chat(chat_id)).title == chat.title
    assert len(title_requests(provider)) == 1


async def test_the_first_complete_answer_counts(service: Service, provider: Provider) -> None:
    turn = await service.turns.start(script(tokens=5, error_after=2))
    await turn.end()
    await over(service)
    assert title_requests(provider) == []
    # The answer to a question that was edited is the first that is complete.
    turn = await service.turns.start(answered(text="A fine title"), edit_of=turn.user.id)
    await turn.end()
    assert (await named(service, turn.chat_id)).title == "A fine title"


async def test_a_chat_that_a_person_named_is_left_alone(service: Service, provider: Provider) -> None:
    chat = await service.of(LOCAL).create_chat("Mine")
    await exchange(service, answered(text="A fine title"), chat.id)
    await over(service)
    assert title_requests(provider) == []
    assert (await service.store.chat(chat.id)).title == "Mine"


async def test_a_person_is_faster(service: Service, provider: Provider) -> None:
    chat_id = await exchange(service, answered(text="A fine title", hold=[0]))
    await provider.until(lambda seen: len(seen) == 2)
    await service.of(LOCAL).rename_chat(chat_id, "Mine")
    provider.go()
    await over(service)
    assert (await service.store.chat(chat_id)).title == "Mine"


async def test_a_chat_that_is_deleted_meanwhile(service: Service, provider: Provider) -> None:
    chat_id = await exchange(service, answered(text="A fine title", hold=[0]))
    await provider.until(lambda seen: len(seen) == 2)
    await service.of(LOCAL).trash_chat(chat_id)
    provider.go()
    await over(service)
    with pytest.raises(NotFound):
        await service.store.chat(chat_id)
    assert (await service.of(LOCAL).restore_chat(chat_id)).named is False


@pytest.mark.parametrize(
    "failure",
    [{"status": 500}, {"status": 429, "retry_after": 5}, {"text": "x" * 61}, {"text": "  "}, {"headers_ms": 10**9}],
    ids=str,
)
async def test_failures_are_silent(
    failure: dict[str, Any],
    service: Service,
    provider: Provider,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    chat_id = await exchange(service, answered(**failure))
    await provider.until(lambda seen: len(seen) == 2)
    if "headers_ms" in failure:
        await clock.forward(titles.TITLE_S)
    await over(service)
    assert len(title_requests(provider)) == 1
    assert not (await service.store.chat(chat_id)).named
    assert not [record for record in caplog.records if record.name.startswith("chat_app")]


async def test_the_next_turn_does_not_wait_for_the_title(service: Service, provider: Provider) -> None:
    chat_id = await exchange(service, answered(headers_ms=3_600_000))
    await provider.until(lambda seen: len(seen) == 2)
    await exchange(service, "And now?", chat_id)
    # One at a time: the second answer asks for none.
    assert len(title_requests(provider)) == 1


async def test_the_chats_own_model_names_it(service: Service, provider: Provider) -> None:
    chat = await service.of(LOCAL).create_chat()
    await service.of(LOCAL).set_chat(chat.id, model="bench", system_prompt="Be brief.")
    await exchange(service, answered(text="A fine title"), chat.id)
    await named(service, chat.id)
    [body] = title_requests(provider)
    assert body["model"] == "bench"
    assert "Be brief." not in str(body)


async def test_a_title_ends_with_the_server(tmp_path: Path, provider: Provider) -> None:
    async with service_of(tmp_path, provider) as service:
        chat_id = await exchange(service, answered(headers_ms=3_600_000))
        await provider.until(lambda seen: len(seen) == 2)
    # It was not waited for: it is never answered.
    await provider.until(lambda seen: seen[1]["closed_by_client"])
    assert not [task for task in asyncio.all_tasks() if task.get_name() == f"title {chat_id}"]


async def test_titles_can_be_turned_off(tmp_path: Path, provider: Provider) -> None:
    async with service_of(tmp_path, provider, chat_titles=False) as service:
        assert service.titles is None
        await exchange(service, answered(text="A fine title"))
        await asyncio.sleep(0.1)
    assert len(provider.requests()) == 1


async def test_the_embedded_model_names_nothing(tmp_path: Path) -> None:
    database = {"database_url": f"sqlite:///{tmp_path / 'chat.db'}"}
    for settings, made in ((database, False), (database | {"openai_api_key": "key"}, True)):
        service = build(Settings.model_validate(settings))
        assert (service.titles is not None) == made != service.settings.embedded
        await service.openai.close()
        await service.store.close()


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("A fine title", "A fine title"),
        (' "A fine title." \n', "A fine title"),
        ("Title: A fine title", "A fine title"),
        ("**Title:** A fine title", "A fine title"),
        ("# A fine title", "A fine title"),
        ("“Übersicht: Käse”", "Übersicht: Käse"),
        ("「東京の天気」", "東京の天気"),
        ("<think>Hm.\nSo.</think>\n\nA fine title", "A fine title"),
        ("👩‍🚀 in space", "👩‍🚀 in space"),
        ("x" * 60, "x" * 60),
        ("x" * 61, None),
        ("One\nTwo", None),
        ("One\u2028Two", None),
        ("", None),
        ('""', None),
        ("Title:", None),
        ("a\0b", None),
        ("\ud800", None),
        ("\u202eevil", None),
        ("<think>cut off", None),
        (None, None),
        (["A"], None),
    ],
)
def test_what_is_taken_for_a_title(text: Any, title: str | None) -> None:
    assert sane_title(text) == title
