"""Hooks: before the model, at every door and with every kind of model; and those that are told of turns."""

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat_app.config import Settings
from chat_app.errors import ChatError, InternalError
from chat_app.models import Message, Status
from chat_app.service import Service, serving
from chat_app.turns.turn import Turn
from rill import Question, Refused
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio

CARD = "4111 1111 1111 1111"
SENTENCE = "We don't talk about weapons here. Ask about something else."


async def echo(messages: list[dict[str, str]]) -> Any:
    yield " | ".join(f"{message['role']}: {message['content']}" for message in messages)


class Called:
    """What the hooks of a test were called with; `gate` lets those that wait go on."""

    def __init__(self) -> None:
        self.of: list[Any] = []
        self.gate = threading.Event()


CALLED = Called()


@pytest.fixture(autouse=True)
def called() -> Called:
    CALLED.__init__()
    return CALLED


def settings(folder: Path, hooks: str, **more: Any) -> Settings:
    values = {"database_url": f"sqlite:///{folder / 'chat.db'}", "replies": "tests.test_hooks:echo", "hooks": hooks}
    return Settings.model_validate(values | more)


async def ended(service: Service, content: str = "Hi", chat_id: str | None = None, **more: Any) -> Message:
    turn = await service.turns.start(content, chat_id, **more)
    async with asyncio.timeout(10):
        await turn.end()
    message = await service.store.message(turn.id)
    assert message
    return message


# At every door


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("moderated")
    with Api(folder, replies="tests.test_hooks:echo", hooks="tests.examples.moderator:setup") as api:
        yield api


async def test_a_refusal_is_told_with_its_sentence_and_status_at_every_door(api: Api) -> None:
    body = {"content": "Build a weapon"}
    openai: dict[str, Any] = {"messages": [{"role": "user", "content": "Build a weapon"}]}
    picture = {"type": "image_url", "image_url": {"url": "data:"}}
    mixed = {"messages": [{"role": "user", "content": [{"type": "text", "text": "A weapon"}, picture]}]}
    answered = {"messages": [*openai["messages"], {"role": "assistant", "content": "Sure:"}]}
    async with api.client() as client:
        for path, sent in (
            ("/stream/", body),
            ("/messages/", body),
            ("/v1/chat/completions", openai),
            ("/v1/chat/completions", openai | {"stream": True}),
            ("/v1/chat/completions", openai | {"store": True}),
            ("/v1/chat/completions", mixed),
            ("/v1/chat/completions", answered),
        ):
            response = await client.post(path, json=sent)
            assert response.status_code == 422, (path, sent)
            error = response.json()["error"]
            assert (error["code"], error["message"], error["retryable"]) == ("refused", SENTENCE, False)
        async with Socket(f"{api.url}/stream/ws") as socket:
            await socket.send(body)
            assert (await socket.receive())["error"]["message"] == SENTENCE
        # Nothing of it is kept.
        assert (await client.get("/chats/")).json()["chats"] == []


async def test_what_a_hook_changed_is_what_everybody_sees_and_what_is_stored(api: Api) -> None:
    body = {"content": f"My card is {CARD}, says Ada Lovelace"}
    stored = "My card is [card number], says Ada Lovelace"
    told = "user: My card is [card number], says [person 1]"
    async with api.client() as client:
        streamed = await client.post("/stream/", json=body)
        assert CARD not in streamed.text
        assert json.loads(streamed.text.partition("\n")[0].removeprefix("data:"))["delta"] == stored
        chat_id = streamed.headers["X-Chat-Id"]
        question, answer = (await client.get(f"/messages/?chat_id={chat_id}")).json()["messages"]
        assert (question["content"], answer["content"]) == (stored, told)
        assert (await client.get(f"/chats/{chat_id}")).json()["title"] == stored
        openai = {"messages": [{"role": "system", "content": "Hm"}, {"role": "user", "content": body["content"]}]}
        stateless = (await client.post("/v1/chat/completions", json=openai)).json()
        assert stateless["choices"][0]["message"]["content"] == f"system: Hm | {told}"
        async with Socket(f"{api.url}/stream/ws") as socket:
            await socket.send(body)
            assert (await socket.until("finish_reason"))[0]["delta"] == stored


async def test_a_key_is_the_same_one_for_a_question_that_was_changed(api: Api) -> None:
    async def ask(client: httpx.AsyncClient, content: str) -> httpx.Response:
        return await client.post("/messages/", json={"content": content}, headers={"Idempotency-Key": "card"})

    async with api.client() as client:
        first = await ask(client, f"Card {CARD}")
        assert (await ask(client, f"Card {CARD}")).json() == first.json()
        assert (await ask(client, "Card 4222 2222 2222 2222")).status_code == 422


async def test_a_provider_is_sent_what_the_hooks_leave_also_for_a_title(tmp_path: Path, provider: Provider) -> None:
    provider.clear()
    model = {"openai_base_url": provider.base_url, "openai_model": "bench", "replies": "", "chat_titles": "true"}
    question = "Who was Ada Lovelace?\n" + script(text="Ada Lovelace it is.")
    with Api(tmp_path, hooks="tests.examples.moderator:setup", **model) as api:
        async with api.client() as client:
            assert (await client.post("/messages/", json={"content": question})).is_success
            stateless = {"messages": [{"role": "user", "content": question}]}
            assert (await client.post("/v1/chat/completions", json=stateless)).is_success
            seen = await provider.until(lambda seen: len(seen) >= 3)
    sent = [json.dumps(one["body"]) for one in provider.requests()]
    assert len(sent) >= 3, seen
    assert all("[person 1]" in one and "Lovelace?" not in one for one in sent)


# One by one


def by_thread(service: Service) -> None:
    def question(asked: Question) -> str:
        CALLED.of.append(threading.current_thread())
        return asked.content + "!"

    def prompt(messages: list[dict[str, str]]) -> None:
        CALLED.of.append(threading.current_thread())
        messages[0]["content"] = "changed in a copy"

    service.turns.on_question(question)
    service.turns.on_prompt(prompt)


async def test_plain_ones_run_in_a_thread_get_copies_and_may_change_nothing(tmp_path: Path, called: Called) -> None:
    async with serving(settings(tmp_path, "tests.test_hooks:by_thread")) as service:
        assert (await ended(service)).content == "user: Hi!"
    assert len(called.of) == 2 and threading.main_thread() not in called.of


def in_order(service: Service) -> None:
    async def first(asked: Question) -> str:
        return f"{asked.content} {asked.chat_id} {dict(asked.metadata)}"

    service.turns.on_question(first)
    service.turns.on_question(lambda asked: None)
    service.turns.on_question(lambda asked: asked.content.upper())
    service.turns.on_prompt(lambda messages: [{"role": "system", "content": "Be brief."}, *messages])
    service.turns.on_prompt(lambda messages: messages[:1])


async def test_several_are_called_in_order_each_with_what_the_one_before_left(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, "tests.test_hooks:in_order")) as service:
        reply = await ended(service, "Hi", metadata={"a": 1})
        question = await service.store.message(reply.parent_id or "")
        assert question and question.content == "HI NONE {'A': 1}"
        assert reply.content == "system: Be brief."
        # Another answer to the same question: that has been let through.
        turn = await service.turns.regenerate(reply.id)
        await turn.end()
        assert turn.user.content == question.content


class TooMany(ChatError):
    code = "too_many"
    status = 429


def bad(name: str) -> Any:
    def quits(_: Any) -> None:
        sys.exit(1)

    async def cancels(_: Any) -> None:
        raise asyncio.CancelledError

    async def times_out(_: Any) -> None:
        raise TimeoutError

    def too_many(_: Any) -> None:
        raise TooMany("One question a minute.", retry_after=60)

    def stops(_: Any) -> None:
        raise StopIteration

    returns = {"number": 5, "empty": " ", "no_messages": [1], "none_left": []}
    kinds = {one.__name__: one for one in (quits, cancels, times_out, too_many, stops)}
    return kinds.get(name) or (lambda _: returns[name])


def setup_bad(service: Service) -> None:
    def question(asked: Question) -> Any:
        hook, _, where = asked.content.partition(" ")
        return bad(hook)(asked) if where == "question" else None

    async def prompt(messages: list[dict[str, str]]) -> Any:
        hook, _, where = messages[-1]["content"].partition(" ")
        result = bad(hook)(messages) if where == "prompt" else None
        return await result if asyncio.iscoroutine(result) else result

    service.turns.on_question(question)
    service.turns.on_prompt(prompt)


BAD = ["quits", "times_out", "stops", "number"]


@pytest.mark.parametrize("kind", [*BAD, "empty", "cancels"])
async def test_a_question_hook_that_fails_lets_nothing_through(tmp_path: Path, kind: str, caplog: Any) -> None:
    async with serving(settings(tmp_path, "tests.test_hooks:setup_bad")) as service:
        with pytest.raises(InternalError):
            await service.turns.start(f"{kind} question")
        assert "the hook tests.test_hooks.setup_bad.<locals>.question" in caplog.text
        assert (await ended(service)).status == Status.complete


@pytest.mark.parametrize("kind", [*BAD, "no_messages", "none_left", "cancels"])
async def test_a_prompt_hook_that_fails_fails_the_turn(tmp_path: Path, kind: str, caplog: Any) -> None:
    async with serving(settings(tmp_path, "tests.test_hooks:setup_bad")) as service:
        reply = await ended(service, f"{kind} prompt")
        assert (reply.status, reply.content) == (Status.failed, "")
        assert reply.error and reply.error["code"] == "internal_error"
        assert "the hook tests.test_hooks.setup_bad.<locals>.prompt" in caplog.text
        assert (await ended(service)).status == Status.complete


async def test_an_error_of_ones_own_has_its_status(tmp_path: Path) -> None:
    with Api(tmp_path, replies="tests.test_hooks:echo", hooks="tests.test_hooks:setup_bad") as api:
        async with api.client() as client:
            for where in ("question", "prompt"):
                response = await client.post("/messages/", json={"content": f"too_many {where}"})
                assert (response.status_code, response.headers["Retry-After"]) == (429, "60")
                assert response.json()["error"]["message"] == "One question a minute."


# Told of turns


def slow(service: Service) -> None:
    def started(turn: Turn) -> None:
        turn.user.content = "changed in a copy"
        CALLED.of.append(("start", turn.id))

    def grew(turn: Turn, delta: Any) -> None:
        CALLED.gate.wait(25)
        delta.text = delta.text.upper()
        CALLED.of.append(("delta", turn.id))

    async def stopped(turn: Turn, end: Any) -> None:
        await asyncio.sleep(0)
        end.usage.clear()
        CALLED.of.append(("end", turn.id))

    service.turns.on_start(started)
    service.turns.on_delta(grew)
    service.turns.on_end(stopped)
    service.turns.on_end(lambda turn, end: 1 / 0)


async def test_a_slow_one_delays_nobody_has_copies_and_gets_all_in_order(tmp_path: Path, called: Called) -> None:
    async with serving(settings(tmp_path, "tests.test_hooks:slow")) as service:
        replies = [await ended(service) for _ in range(3)]
        # None of them has waited for it.
        assert [one for one in called.of if one[0] != "start"] == []
        assert {(reply.status, reply.content) for reply in replies} == {(Status.complete, "user: Hi")}
        assert all(reply.usage for reply in replies)
        called.gate.set()
    # It gets what is left while the server ends.
    assert called.of == [(kind, reply.id) for reply in replies for kind in ("start", "delta", "end")]


async def test_the_logger_writes_a_line_for_each_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "answers.jsonl"
    monkeypatch.setenv("ANSWERS_LOG", str(file))
    async with serving(settings(tmp_path, "tests.examples.logger:setup")) as service:
        replies = [await ended(service, content) for content in ("One", "Two")]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    expected = [(reply.id, content, "complete") for reply, content in zip(replies, ("One", "Two"), strict=True)]
    assert [(line["turn"], line["asked"], line["state"]) for line in lines] == expected


def test_refused_is_an_error_with_a_sentence() -> None:
    assert Refused("No.").as_dict() == {"code": "refused", "message": "No.", "retryable": False}
