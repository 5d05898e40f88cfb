"""Whatever an agent is or does: its turn ends with its text, the server lives, and the log names the line."""

import asyncio
import functools
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat_app import watchdog
from chat_app.agent import contain_exits, reply_of
from chat_app.reply import Piece
from tests.forked import Api
from tests.sse_client import streaming, text_of, value
from tests.ws_client import Socket

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
Figure = Callable[[object], None]


# Functions of every kind


def plain(messages: Any) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return "text"


async def coroutine(messages: Any) -> str:
    return "text"


def generator(messages: Any) -> Iterator[Any]:
    assert threading.current_thread() is not threading.main_thread()
    yield "te"
    yield Piece("xt")


async def async_generator(messages: Any) -> AsyncIterator[str]:
    yield "te"
    yield "xt"


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return wrapper


def gives_a_coroutine(messages: Any) -> Any:
    return coroutine(messages)


def gives_a_generator(messages: Any) -> Any:
    return async_generator(messages)


def gives_a_list(messages: Any) -> list[str]:
    return ["te", "xt"]


class Called:
    def __call__(self, messages: Any) -> str:
        return "text"


class CalledAsync:
    async def __call__(self, messages: Any) -> AsyncIterator[str]:
        yield "text"


def with_more(more: str, messages: Any) -> str:
    return f"te{more}"


KINDS = [plain, coroutine, generator, async_generator, gives_a_coroutine, gives_a_generator, gives_a_list]
KINDS += [decorated(kind) for kind in KINDS]
KINDS += [Called(), CalledAsync(), Called().__call__, functools.partial(with_more, "xt")]


async def said(function: Callable[..., Any], *messages: Any) -> str:
    given: list[Any] = []
    async for one in reply_of(function)([*messages]):
        given += one if isinstance(one, list) else [one]
    return "".join(one.text if isinstance(one, Piece) else one for one in given)


@pytest.mark.everyday
@pytest.mark.parametrize("function", KINDS)
async def test_a_function_of_any_kind_answers(function: Callable[..., Any]) -> None:
    assert await said(function) == "text"


@pytest.mark.everyday
@pytest.mark.parametrize("problem", [ValueError("x"), SystemExit(3), StopIteration(), KeyboardInterrupt()], ids=repr)
async def test_what_a_thread_raises_reaches_the_turn(problem: BaseException) -> None:
    def raises(messages: Any) -> str:
        raise problem

    def raises_later(messages: Any) -> Iterator[str]:
        yield "x"
        raise problem

    for function in (raises, raises_later):
        with pytest.raises((type(problem), RuntimeError)):
            await said(function)


@pytest.mark.everyday
async def test_a_generator_in_a_thread_is_closed_there_when_its_answer_is_stopped() -> None:
    closed = threading.Event()

    def endless(messages: Any) -> Iterator[str]:
        try:
            while True:
                yield "x"
        finally:
            closed.set()

    source = reply_of(endless)([])
    assert await anext(source) == "x"
    await source.aclose()
    assert await asyncio.to_thread(closed.wait, 5)


@pytest.mark.everyday
async def test_a_thread_that_does_not_come_back_is_left_behind_and_named(caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def blocked(messages: Any) -> str:
        begun.set()
        go_on.wait()
        return "too late"

    asking = asyncio.ensure_future(said(blocked))
    await asyncio.to_thread(begun.wait, 5)
    asking.cancel()
    await asyncio.wait({asking}, timeout=5)
    assert asking.cancelled()
    assert "blocked is left behind" in caplog.text
    go_on.set()


# What blocks the event loop


async def test_what_blocks_the_loop_is_named_with_its_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog, "BLOCKED_S", 0.05)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.01)
    with watchdog.watching():
        # For as long as it takes until somebody notices.
        for _ in range(1_000):
            threading.Event().wait(0.02)
            if caplog.records:
                break
        await asyncio.sleep(0)
    [line] = {record.getMessage() for record in caplog.records if "blocked" in record.getMessage()}
    assert f"{Path(__file__).name}:" in line
    assert "in test_what_blocks_the_loop" in line


# Bad agents at every door

INTERNAL = (500, "internal_error")
TABLE: dict[str, tuple[int, str, str]] = {
    # What it is asked: the status, the error's code, and what the log names.
    "exit": (*INTERNAL, "bad_agents.py"),
    "exit of a tool": (*INTERNAL, "in exit_"),
    "exit in a thread": (*INTERNAL, "in exit_in_a_thread"),
    "timeout": (*INTERNAL, "in times_out"),
    "cancel": (*INTERNAL, "in cancels"),
    "interrupt": (*INTERNAL, "in interrupts"),
    "recursion": (*INTERNAL, "in recurs"),
    "failure": (*INTERNAL, "in fails"),
    "429": (429, "too_many", ""),
    "402": (402, "internal_error", ""),
    "no status": (500, "internal_error", ""),
    "nothing": (502, "no_answer", ""),
    "a dict": (502, "bad_reply", "yielded a dict; yield str or a part."),
    "bytes": (502, "bad_reply", "yielded a bytes; yield str or a part."),
    "an int": (502, "bad_reply", "yielded an int; yield str or a part."),
    "an object": (502, "bad_reply", "yielded an object; yield str or a part."),
    "a part": (502, "bad_reply", "cannot be kept"),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("agents"), replies="tests.bad_agents:reply", max_answer_chars="100000") as api:
        yield api


class Beside:
    """An answer that is read all the while, a word each 20 ms."""

    def __init__(self, api: Api) -> None:
        self._came: list[float] = []
        self._more = threading.Condition()
        self._reading = threading.Thread(target=self._read, args=(api,))
        self._ended = False
        self._reading.start()

    def longest_gap(self, since: int) -> float:
        """In seconds, between what has come since then; waits for one more."""
        with self._more:
            now = len(self._came)
            assert self._more.wait_for(lambda: len(self._came) > now, 30), "it does not go on"
            return max(later - earlier for earlier, later in pairwise(self._came[max(since - 1, 0) :]))

    @property
    def count(self) -> int:
        return len(self._came)

    def end(self) -> None:
        self._ended = True
        self._reading.join()

    def _read(self, api: Api) -> None:
        with api.http.stream("POST", "/stream/", json={"content": "beside"}) as stream:
            for line in stream.iter_lines():
                with self._more:
                    if "assistant" in line:
                        self._came.append(time.monotonic())
                        self._more.notify_all()
                if self._ended:
                    return


@pytest.fixture(scope="module")
def beside(api: Api) -> Iterator[Beside]:
    reader = Beside(api)
    yield reader
    reader.end()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_task_that_is_cancelled_before_its_first_step_leaves_no_warning(
    times: int, recwarn: pytest.WarningsRecorder
) -> None:
    """An agent's, where the loop contains exits; two apps in one loop do so once."""

    async def tool() -> None:
        """Never begun."""

    async def agent(messages: Any) -> AsyncIterator[str]:
        task = asyncio.create_task(tool())
        task.cancel()
        await asyncio.wait({task})
        yield "done"

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    for _ in range(times):
        contain_exits(loop)
    try:
        assert await asyncio.create_task(said(agent, [])) == "done"
    finally:
        loop.set_task_factory(before)
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("question", TABLE)
async def test_a_bad_agent_ends_its_turn_only(api: Api, beside: Beside, question: str, figure: Figure) -> None:
    since = beside.count
    status, code, logged = TABLE[question]
    text = "" if question == "nothing" else "So far. "
    before = len(api.logged())
    async with api.client() as client:
        whole = await client.post("/messages/", json={"content": question})
        assert (whole.status_code, whole.json()["error"]["code"]) == (status, code)
        assert (whole.json()["message"]["content"], whole.json()["message"]["status"]) == (text, "failed")
        assert whole.headers.get("Retry-After") == ("7" if question == "429" else None)
        async with streaming(client, "POST", "/stream/", json={"content": question}) as stream:
            *_, end, done = await stream.rest()
        assert (end.event, done.data) == ("error", "[DONE]")
        assert value(end)["error"] == whole.json()["error"]
        # Who comes later is told the same.
        late = await client.get(f"/stream/{stream.turn_id}")
        assert f'"code":"{code}"' in late.text
    async with Socket(f"{api.url}/stream/ws") as socket:
        await socket.send({"content": question})
        while "error" not in (told := await socket.receive()):
            pass
        assert told["error"] == whole.json()["error"]
    async with api.client() as client:
        asked = {"model": "reply", "messages": [{"role": "user", "content": question}]}
        of_openai = await client.post("/v1/chat/completions", json=asked)
        assert (of_openai.status_code, of_openai.json()["error"]["code"]) == (status, code)
        assert (await client.get("/ping")).status_code == 200
    assert logged in api.logged()[before:]
    figure(
        f"{question}: longest gap of another answer {await asyncio.to_thread(beside.longest_gap, since) * 1000:.0f} ms"
    )


@pytest.mark.parametrize("question", ["huge", "endless"])
async def test_an_answer_without_end_is_cut(api: Api, beside: Beside, question: str, figure: Figure) -> None:
    since = beside.count
    async with api.client() as client:
        whole = (await client.post("/messages/", json={"content": question})).json()
        async with streaming(client, "POST", "/stream/", json={"content": question}) as stream:
            frames = await stream.rest()
    assert (whole["status"], whole["finish_reason"], len(whole["content"])) == ("complete", "length", 100_000)
    assert (value(frames[-2])["finish_reason"], len(text_of(frames))) == ("length", 100_000)
    figure(
        f"{question}: longest gap of another answer {await asyncio.to_thread(beside.longest_gap, since) * 1000:.0f} ms"
    )


async def test_one_that_takes_no_cancel_is_left_behind_and_others_are_not_disturbed(api: Api) -> None:
    async with api.client() as client, streaming(client, "POST", "/stream/", json={"content": "deaf"}) as stream:
        while value(await stream.next()).get("role") != "assistant":
            pass
        async with streaming(client, "POST", "/stream/", json={"content": "steady"}) as other:
            stopping = asyncio.create_task(client.post(f"/stream/{stream.turn_id}/stop"))
            *_, end, _ = await other.rest()
            assert value(end)["finish_reason"] == "stop"
            stopped = (await stopping).json()
        assert (stopped["status"], stopped["content"]) == ("stopped", "So far. ")
    assert "tests.bad_agents.reply does not end when it is stopped; it is left behind at " in api.logged()
    assert "bad_agents.py:" in api.logged()


async def test_a_thread_that_is_left_behind_disturbs_nobody(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    with Api(tmp_path, replies="tests.bad_agents:blocked", a_file=str(go_on)) as api:
        async with api.client() as client:
            async with streaming(client, "POST", "/stream/", json={"content": "blocked"}) as stream:
                await stream.until(lambda frame: "So far. " in frame.data)
                other = await client.post("/messages/", json={"content": "Hi"})
                assert other.json()["content"] == "So far. Done."
                stopped = (await client.post(f"/stream/{stream.turn_id}/stop")).json()
            assert (stopped["status"], stopped["content"]) == ("stopped", "So far. ")
            assert (
                "tests.bad_agents.blocked is left behind in its thread: its answer has ended, and it is at "
                in api.logged()
            )
            assert (await client.post("/messages/", json={"content": "Hi"})).json()["content"] == "So far. Done."
        go_on.touch()


async def test_one_that_says_nothing_without_end_leaves_others_their_turn(api: Api) -> None:
    async with api.client() as client, streaming(client, "POST", "/stream/", json={"content": "empty lists"}) as stream:
        await stream.until(lambda frame: "So far. " in frame.data)
        assert (await client.post("/messages/", json={"content": "steady"})).json()["content"] == "So far. " + 100 * "x"
        assert (await client.post(f"/stream/{stream.turn_id}/stop")).json()["status"] == "stopped"


# Agents that end more than their answer


@pytest.mark.parametrize("name", ["reply", "blocked"])
async def test_a_process_that_an_agent_forks_is_no_second_server(tmp_path: Path, name: str) -> None:
    """Neither from the event loop nor from a thread."""
    with Api(tmp_path, replies=f"tests.bad_agents:{name}", a_file="/") as api:
        for question in ("fork", "again"):
            answer = api.http.post("/messages/", json={"content": question}).json()
            assert (answer["status"], answer["content"][:7]) == ("complete", "So far.")
        assert api.stop() == 0
        assert "forked this process" in api.logged()
        # Nothing holds the port or the database any more.
        api.start()


@pytest.mark.parametrize("question", ["end of the process", "end of the loop", "cancel of all"])
async def test_the_server_comes_back_where_an_agent_has_ended_it(tmp_path: Path, question: str) -> None:
    with Api(tmp_path, replies="tests.bad_agents:reply") as api:
        async with api.client() as client:
            kept = (await client.post("/messages/", json={"content": "Hi"})).json()
            with suppress(httpx.TransportError):
                await client.post("/messages/", json={"content": question})
            while (answer := await asked_again(client, "Hi")) is None:
                await asyncio.sleep(0.05)
            assert answer["content"] == "So far. "
            messages = (await client.get("/messages/", params={"chat_id": kept["chat_id"]})).json()["messages"]
            assert [one["content"] for one in messages] == ["Hi", "So far. "]
            [cut] = [chat for chat in (await client.get("/chats/")).json()["chats"] if chat["title"] == question]
            messages = (await client.get("/messages/", params={"chat_id": cut["id"]})).json()["messages"]
            assert messages[-1]["status"] in ("interrupted", "failed", "stopped")
        # And is told to end as ever.
        assert api.stop() == 0


async def asked_again(client: httpx.AsyncClient, question: str) -> Any:
    with suppress(httpx.TransportError):
        response = await client.post("/messages/", json={"content": question})
        return response.json() if response.is_success else None


async def test_a_thread_that_never_ends_does_not_keep_the_server_up(tmp_path: Path) -> None:
    with Api(tmp_path, replies="tests.bad_agents:reply") as api:
        assert api.http.post("/messages/", json={"content": "thread"}).json()["status"] == "complete"
        assert api.stop() == 0
        assert "threads of REPLIES or HOOKS have not ended" in api.logged()


async def test_the_server_names_what_blocks_it(api: Api) -> None:
    async with api.client() as client:
        assert (await client.post("/messages/", json={"content": "blocks"})).json()["content"] == "So far. "
    assert "time.sleep" not in api.logged()
    assert "in blocks" in api.logged()
