"""Other people's code behind the chat: REPLIES, HOOKS and PAGES, with the worked examples in `tests/examples`."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chat_app import extend
from chat_app.building import fingerprint
from chat_app.caller import LOCAL
from chat_app.config import ROOT, Settings, load_settings
from chat_app.errors import InvalidRequest, SettingsError
from chat_app.models import Message, Status
from chat_app.reply import Piece
from chat_app.service import Service, serving
from chat_app.store.store import Store
from chat_app.turns.log import Delta, Ended
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn
from tests.app import App
from tests.examples import rag, rules
from tests.forked import Api, ForkedApp
from tests.provider_client import Provider, script
from tests.sse_client import streaming, text_of, value

pytestmark = pytest.mark.anyio


# What a test names as `tests.test_extension:…`


async def all_options(messages: Any, **options: Any) -> AsyncIterator[str]:
    yield repr(options)


async def only_temperature(messages: Any, temperature: float = 0) -> AsyncIterator[str]:
    yield repr(temperature)


async def thinks(messages: Any) -> AsyncIterator[str | Piece]:
    yield Piece(reasoning="Hm. ")
    yield "Yes."
    yield Piece(finish_reason="MAX_TOKENS", usage={"completion_tokens": 2}, model="thinker-1")


async def fails(messages: Any) -> AsyncIterator[str]:
    yield "So far"
    if messages[-1]["content"] == "politely":
        raise InvalidRequest("Ask another way.")
    raise ValueError("secret detail")


async def endless(messages: Any) -> AsyncIterator[str]:
    closed = CLOSED
    try:
        while True:
            yield "word "
            await asyncio.sleep(0.005)
    finally:
        closed.set()


CLOSED = asyncio.Event()


class Agent:
    async def reply(self, messages: Any) -> AsyncIterator[str]:
        yield "An agent's."


agent = Agent()


def no_generator(messages: Any) -> str:
    return "text"


async def a_coroutine(messages: Any) -> str:
    return "text"


def a_sync_generator(messages: Any) -> Iterator[str]:
    yield "text"


async def two_needed(messages: Any, index: Any) -> AsyncIterator[str]:
    yield "text"


async def async_setup(service: Service) -> None: ...


def no_argument() -> None: ...


def settings(folder: Path, name: str = "", **more: Any) -> Settings:
    replies = {"replies": f"tests.test_extension:{name}"} if name else {}
    return Settings.model_validate({"database_url": f"sqlite:///{folder / 'chat.db'}", **replies, **more})


async def ended(service: Service, content: str = "Hi", chat_id: str | None = None) -> Message:
    turn = await service.turns.start(content, chat_id)
    async with asyncio.timeout(10):
        await turn.end()
    message = await service.store.message(turn.id)
    assert message
    return message


# REPLIES


async def test_a_source_gets_the_options_that_it_takes_and_no_others(tmp_path: Path) -> None:
    for name, expected in (("all_options", "{'model': 'm', 'temperature': 0.5}"), ("only_temperature", "0.5")):
        async with serving(settings(tmp_path, name)) as service:
            chat = await service.of(LOCAL).create_chat()
            await service.of(LOCAL).set_chat(chat.id, model="m", temperature=0.5)
            assert (await ended(service, chat_id=chat.id)).content == expected


async def test_neither_the_embedded_model_nor_a_provider_serves(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "thinks")) as service:
        assert service.local_model is None
        assert service.titles is None
        assert await service.model_name() == "thinks"
        with pytest.raises(Exception, match="OPENAI_BASE_URL"):
            await service.openai.models()
    assert not settings(tmp_path, "thinks").embedded


async def test_pieces_say_more_than_text(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "thinks")) as service:
        reply = await ended(service)
    assert (reply.reasoning, reply.content, reply.finish_reason) == ("Hm. ", "Yes.", "length")
    assert (reply.model, reply.usage) == ("thinker-1", {"completion_tokens": 2})


@pytest.mark.parametrize(("question", "code"), [("politely", "invalid_request"), ("Hi", "internal_error")])
async def test_a_failure_keeps_the_text_and_no_secret_leaves(tmp_path: Path, question: str, code: str) -> None:
    async with serving(settings(tmp_path, "fails")) as service:
        reply = await ended(service, question)
    assert (reply.status, reply.content) == (Status.failed, "So far")
    assert reply.error
    assert reply.error["code"] == code
    assert "secret" not in str(reply.error)


async def test_stopping_closes_the_source(tmp_path: Path) -> None:
    CLOSED.clear()
    async with serving(settings(tmp_path, "endless")) as service:
        turn = await service.turns.start("Hi")
        await anext(turn.batches())
        await service.turns.stop(turn.id)
        assert CLOSED.is_set()
        reply = await service.store.message(turn.id)
    assert reply
    assert (reply.status, reply.content[:5]) == (Status.stopped, "word ")


async def test_a_method_of_an_object_will_do(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "agent.reply")) as service:
        assert (await ended(service)).content == "An agent's."


# What cannot be used


@pytest.mark.parametrize("variable", ["REPLIES", "HOOKS", "PAGES"])
@pytest.mark.parametrize("path", ["module", "module:", ":f", "a b:f", "m:f()", "m.py:f:g", "../m:f", "1m:f"])
def test_what_names_no_function_stops_the_start(variable: str, path: str) -> None:
    with pytest.raises(SettingsError, match=f"The setting {variable}={path}".replace("(", r"\(").replace(")", r"\)")):
        load_settings({variable: path})


@pytest.mark.parametrize("path", ["m:f", "package.module:function", "my_agent.v2:Agent.reply", "über:größe"])
def test_a_function_is_named_by_module_and_name(path: str) -> None:
    settings = load_settings({"REPLIES": path, "HOOKS": path, "PAGES": path})
    assert (settings.replies, settings.hooks, settings.pages) == (path, path, path)


@pytest.mark.parametrize(
    ("variable", "name", "reason"),
    [
        ("replies", "two_needed", "with the messages alone"),
        ("replies", "nothing_here", "has no nothing_here"),
        ("replies", "ROOT", "is no function"),
        ("hooks", "async_setup", "not `async def`"),
        ("hooks", "no_argument", "must take one argument"),
        ("pages", "no_argument", "must take one argument"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tmp_path: Path, variable: str, name: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        extend.check(settings(tmp_path, **{variable: f"tests.test_extension:{name}"}))
    assert reason in caught.value.message
    assert f"{variable.upper()}=tests.test_extension:{name}" in caught.value.message


def test_a_module_that_breaks_is_named_with_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_at_import.py").write_text("\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SettingsError, match=r"ZeroDivisionError.*breaks_at_import\.py:2"):
        extend.reply_source("breaks_at_import:reply")


@pytest.mark.slow
def test_the_start_ends_with_the_sentence_before_anything_is_built() -> None:
    environ = {"REPLIES": "no_such_module:reply", "PATH": ""}
    command = [sys.executable, "-m", "chat_app.extend"]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("The setting REPLIES=no_such_module:reply cannot be used: ")
    assert run.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_module_is_imported_once_and_does_not_silence_the_log(page_built: None, tmp_path: Path) -> None:
    """Three frameworks take seconds each time, and some set up logging."""
    imported = tmp_path / "imported"
    (tmp_path / "counted.py").write_text(
        f"""\
import logging.config
logging.basicConfig(force=True, handlers=[logging.NullHandler()], level="ERROR")
logging.config.dictConfig({{"version": 1, "root": {{"handlers": []}}}})
with open({str(imported)!r}, "a") as file:
    file.write("once\\n")
def reply(messages): return "text"
def setup(service): ...
"""
    )
    settings = {"replies": "counted:reply", "hooks": "counted:setup", "pythonpath": str(tmp_path)}
    with App(tmp_path, **settings) as app:
        assert app.http.post("/messages/", json={"content": "Hi"}).json()["content"] == "text"
    assert imported.read_text() == "once\n"
    # It has stopped, and written all.
    assert "INFO turn ended" in app.logged()


@pytest.mark.parametrize("setting", ["replies", "hooks"])
def test_a_start_without_a_build_says_what_is_wrong_in_a_sentence(
    page_built: None, tmp_path: Path, setting: str
) -> None:
    app = ForkedApp(tmp_path, **{setting: "no_such:it"})
    with pytest.raises(AssertionError, match="the app ended at start"), app:
        pass
    assert app.logged().splitlines()[2:] == [
        f"The setting {setting.upper()}=no_such:it cannot be used: no_such cannot be imported (ModuleNotFoundError: "
        "No module named 'no_such')."
    ]


# Hooks


async def test_hooks_are_told_of_start_deltas_and_end_and_a_broken_one_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []

    def broken(*_: Any) -> None:
        raise RuntimeError("a hook that is broken")

    store = Store(f"sqlite:///{tmp_path / 'chat.db'}")
    await store.open()
    turns = Turns(store, MemoryBackplane(), thinks)
    for register in (turns.on_start, turns.on_delta, turns.on_end):
        register(broken)
    turns.on_start(lambda turn: told.append(turn))
    turns.on_delta(lambda _, delta: told.append(delta))
    turns.on_end(lambda _, end: told.append(end))
    turn = await turns.start("Hi")
    end = await turn.end()
    await turns.close()
    await store.close()
    first, *rest = told
    assert isinstance(first, Turn)
    assert first.id == turn.id
    assert rest == [Delta(4, "Hm. ", "reasoning"), Delta(8, "Yes."), end]
    assert isinstance(end, Ended)
    assert end.status is Status.complete
    assert caplog.text.count("RuntimeError: a hook that is broken") == 4


# The worked examples, over real HTTP


@pytest.mark.parametrize(("name", "answer"), [("echo", "You said: Hello there"), ("plain", "That are 2 words.")])
async def test_the_smallest_ones_answer(tmp_path: Path, name: str, answer: str) -> None:
    async with serving(settings(tmp_path, replies=f"tests.examples.{name}:reply")) as service:
        assert (await ended(service, "Hello there")).content == answer


async def test_rules_answer_without_a_model(tmp_path: Path) -> None:
    with Api(tmp_path, replies="tests.examples.rules:reply", hooks="tests.examples.hooks:setup") as api:
        async with api.client() as client:
            async with streaming(client, "POST", "/stream/", json={"content": "How warm is 20 C?"}) as stream:
                frames = await stream.rest()
            assert text_of(frames) == "20 °C is 68.0 °F."
            assert value(frames[-2])["finish_reason"] == "stop"
            answers = {"hello": "Hello!", "100 f": "37.8 °C", "count to 3": "1 2 3", "?": "no rule"}
            for question, expected in answers.items():
                response = await client.post("/messages/", json={"content": question})
                assert expected in response.json()["content"]
            async with streaming(client, "POST", "/stream/", json={"content": "count to 999"}) as stream:
                await stream.until(lambda frame: "assistant" in frame.data)
                stopped = await client.post(f"/stream/{stream.turn_id}/stop")
            assert stopped.json()["status"] == "stopped"
            async with streaming(client, "GET", f"/stream/{stream.turn_id}") as stream:
                assert text_of(await stream.rest()) == stopped.json()["content"]
    assert "stop after 17 characters" in api.logged()
    assert "a hook that is broken" in api.logged()
    assert rules.RULES


async def test_retrieval_asks_the_model_with_the_texts_that_fit(tmp_path: Path, provider: Provider) -> None:
    provider.clear()
    question = "How many holidays do I have?\n" + script(text="You have 30 days.")
    model = {"openai_base_url": provider.base_url, "openai_model": "bench"}
    with Api(tmp_path, replies="tests.examples.rag:handbook", **model) as api:
        async with api.client() as client:
            async with streaming(client, "POST", "/stream/", json={"content": question}) as stream:
                assert text_of(await stream.rest()) == "You have 30 days."
            (answer,) = (await client.get(f"/messages/{stream.turn_id}?include=sources")).json()["parts"][1:][:1]
            assert answer["source"]["title"] == "Holidays"
            (seen,) = provider.requests()
            system, user = seen["body"]["messages"]
            assert system["role"] == "system"
            assert "Holidays: everybody has 30 days" in system["content"]
            assert "Coffee" not in system["content"]
            assert user["content"] == question
            # A stop reaches the model through the pipeline.
            content = "Coffee?\n" + script(tokens=-1, interval_ms=5)
            async with streaming(client, "POST", "/stream/", json={"content": content}) as stream:
                await stream.until(lambda frame: "assistant" in frame.data)
                await client.post(f"/stream/{stream.turn_id}/stop")
            await provider.until(lambda seen: seen[-1]["closed_by_client"])


def test_retrieval_finds_what_fits() -> None:
    assert rag.retrieve("my laptop is lost")[0].startswith("Security")
    assert rag.retrieve("zzz") == []


# The page


def test_usage_is_summed_by_day_and_model() -> None:
    from tests.examples.usage import usage_rows

    def reply(day: int, **values: Any) -> Message:
        return Message(chat_id="c", role="assistant", created_at=datetime(2026, 1, day, tzinfo=UTC), **values)

    bill = {"prompt_tokens": 1_000, "completion_tokens": 5}
    replies = [
        reply(1, model="a", usage=bill, first_token_ms=100),
        reply(1, model="a", usage=bill, first_token_ms=300),
        reply(1, model="b", status=Status.failed),
        reply(2, model="a", usage={"completion_tokens": 1, "prompt_tokens": None}, first_token_ms=50),
    ]
    assert usage_rows(replies) == [
        ["2026-01-02", "a", "1", "0", "0", "1", "50 ms"],
        ["2026-01-01", "b", "1", "1", "0", "0", "–"],
        ["2026-01-01", "a", "2", "0", "2,000", "10", "200 ms"],
    ]
    assert usage_rows([]) == []


def test_pages_are_part_of_what_the_build_is_made_from() -> None:
    with_pages = fingerprint("tests.examples.usage_page:add")
    assert with_pages == fingerprint("tests.examples.usage_page:add")
    assert len({fingerprint(), with_pages, fingerprint("tests.examples.rules:reply"), fingerprint("no.such:add")}) == 4
