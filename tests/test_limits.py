"""Limits: on requests, answers at the same time, tokens and dollars, and on what one websocket does."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chat_app.caller import Caller, Kind
from chat_app.config import load_settings
from chat_app.errors import SpendingLimit, TooManyRequests, TooManyTurns
from chat_app.limits import Limits, names
from chat_app.models import Status
from chat_app.periods import Period
from chat_app.prices import Prices
from chat_app.rates import Counter, rates
from chat_app.reply import ChatMessage
from chat_app.spending import Spending
from chat_app.store.spending import Spent
from chat_app.store.store import Store
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.ws_client import Closed, Socket

pytestmark = pytest.mark.anyio

PERSON = Caller(owner="ada", name="Ada", kind=Kind.person)
VISITOR = Caller(owner="v1", kind=Kind.visitor)
KEY = Caller(owner="ada", kind=Kind.person, key_id="k1")


# Requests


def test_who_a_request_counts_for() -> None:
    assert names(PERSON, "10.0.0.1") == ["person ada"]
    assert names(KEY, "10.0.0.1") == ["key k1"]
    assert names(VISITOR, "10.0.0.1") == ["visitor v1", "address 10.0.0.1"]
    assert names(None, "10.0.0.1") == ["address 10.0.0.1"]


async def test_a_counter_says_when_it_is_time_again() -> None:
    counter = Counter("requests", rates("2/hour"))
    for _ in range(2):
        await counter.one_more("ada")
    with pytest.raises(TooManyRequests) as refused:
        await counter.one_more("ada")
    assert "At most 2 requests a hour are taken. Try again in " in str(refused.value)
    assert refused.value.retry_after and 0 < refused.value.retry_after <= 3600
    await counter.one_more("bob")


async def test_the_one_person_of_a_server_without_accounts_has_only_the_limits_that_are_set(store: Store) -> None:
    spending = Spending(store.database, Prices({}, None), {}, {})
    free = Limits(load_settings({}), spending)
    for _ in range(1_000):
        await free.count_request(Caller(), "127.0.0.1")
    assert await free.allow(running=1_000, own=1_000) is None
    with pytest.raises(TooManyTurns):
        await free.allow(running=4, own=4, caller=PERSON)
    assert await free.allow(running=4, own=3, caller=PERSON) is None
    with pytest.raises(TooManyRequests):
        for _ in range(1_000):
            await free.count_request(PERSON, "10.0.0.1")


async def test_where_people_share_a_server_all_together_have_a_hundred_answers(store: Store) -> None:
    shared = Limits(load_settings({"AUTH": "none"}), Spending(store.database, Prices({}, None), {}, {}))
    assert await shared.allow(running=99) is None
    with pytest.raises(TooManyTurns):
        await shared.allow(running=100)


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = {
        "limit_turns_all": "2",
        "limit_followers": "2",
        "limit_messages": "20/hour",
        "limit_message_bytes": "1000",
    }
    folder = tmp_path_factory.mktemp("limits")
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench", **settings) as api:
        yield api


async def test_requests_beyond_the_limit_are_told_so(provider: Provider, tmp_path: Path) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, limit_requests="3/hour") as api:
        async with api.client() as client:
            for _ in range(3):
                assert (await client.get("/chats/")).status_code == 200
            refused = await client.get("/chats/")
            assert refused.status_code == 429
            assert 0 < int(refused.headers["Retry-After"]) <= 3600
            assert refused.json()["error"]["code"] == "too_many_requests"
            assert refused.json()["error"]["retryable"]
            assert "At most 3 requests a hour" in refused.json()["error"]["message"]
            # Whoever watches over it asks all the same.
            assert (await client.get("/healthz")).status_code == 200


# Answers at the same time


async def test_beyond_so_many_running_turns_one_is_refused_and_then_taken(api: Api) -> None:
    async with api.client() as client, asyncio.TaskGroup() as group:
        held = script(tokens=2, hold=[0])
        turns = []
        for n in range(2):
            request = client.stream(
                "POST", "/stream/", json={"content": held}, headers={"Idempotency-Key": f"held {n}"}
            )
            response = await request.__aenter__()
            group.create_task(response.aread())
            turns.append((request, response.headers["X-Turn-Id"]))
        for path in ("/stream/", "/messages/"):
            refused = await client.post(path, json={"content": "One too many"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_turns")
            assert refused.headers["Retry-After"] == "5"
        async with Socket(f"{api.url}/stream/ws") as socket:
            await socket.send({"content": "One too many"})
            assert (await socket.receive())["error"]["code"] == "too_many_turns"
        asked = {"messages": [{"role": "user", "content": "One too many"}]}
        refused = await client.post("/v1/chat/completions", json=asked)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        # What is sent again begins nothing.
        again = client.stream("POST", "/stream/", json={"content": held}, headers={"Idempotency-Key": "held 0"})
        async with again as response:
            assert response.headers["X-Turn-Id"] == turns[0][1]
        for _, turn in turns:
            await client.post(f"/stream/{turn}/stop")
        for request, _ in turns:
            await request.__aexit__(None, None, None)
        assert (await client.post("/messages/", json={"content": "Now"})).status_code == 200


# Tokens and dollars


class Server:
    """Turns that are counted; `day` is what their clock says."""

    def __init__(self, store: Store, tokens: dict[Period, float], dollars: dict[Period, float]) -> None:
        self.store = store
        self.time = datetime(2026, 11, 27, 23, 0, tzinfo=UTC)
        prices = Prices({"bench": (0.0, 10_000.0)}, None)
        self.spending = Spending(store.database, prices, tokens, dollars, lambda: self.time)
        limits = Limits(load_settings({}), self.spending)
        self.turns = Turns(store, MemoryBackplane(), self.reply, allow=limits.allow)
        self.turns.on_end(self.spending.ended)
        self.pieces = 1
        self.go = asyncio.Event()
        self.go.set()

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncIterator[object]:
        from chat_app.reply import Piece

        yield Piece(model="bench")
        await self.go.wait()
        for _ in range(self.pieces):
            yield "four" * 100

    async def ask(self, pieces: int) -> Turn:
        self.pieces = pieces
        turn = await self.turns.start("How much?")
        await turn.end()
        await self.spending.close()
        return turn

    async def status(self, turn: Turn) -> tuple[str, str]:
        message = await self.store.message(turn.id)
        assert message
        return message.status, str((message.error or {}).get("message", ""))


@pytest.fixture
async def any_store(database_url: str) -> AsyncIterator[Store]:
    store = Store(database_url)
    await store.open()
    yield store
    await store.close()


async def test_an_answer_that_reaches_the_limit_is_stopped_and_says_so(any_store: Store) -> None:
    server = Server(any_store, {Period.day: 500}, {})
    first = await server.ask(2)
    assert await server.status(first) == (Status.complete, "")
    cut = await server.ask(50)
    status, said = await server.status(cut)
    assert status == Status.failed
    assert said == "The limit of 500 tokens a day is reached. Go on in 1 h."
    message = await server.store.message(cut.id)
    # What came until then is kept, and no more was asked for than that.
    assert message and 300 * 4 <= len(message.content) <= 400 * 4
    with pytest.raises(SpendingLimit) as refused:
        await server.turns.start("More?")
    assert refused.value.retry_after == 3600
    # To delete what was answered gives nothing back, nor does a restart.
    for turn in (first, cut):
        await server.store.delete_chat(turn.chat_id)
    again = Server(any_store, {Period.day: 500}, {})
    with pytest.raises(SpendingLimit):
        await again.turns.start("More?")
    again.time += timedelta(hours=1)
    await again.ask(1)
    await server.turns.close()
    await again.turns.close()


async def test_an_answer_of_no_chat_takes_its_share_too(provider: Provider, tmp_path: Path) -> None:
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "limit_tokens": "300/day"}
    with Api(tmp_path, **settings) as api:
        async with api.client() as client:
            content = script(tokens=1_000, interval_ms=0)
            asked = {"messages": [{"role": "user", "content": content}], "stream": True}
            cut = await client.post("/v1/chat/completions", json=asked)
            assert "The limit of 300 tokens a day is reached." in cut.text and "tok999" not in cut.text
            # It is counted when it has ended.
            while (refused := await client.post("/messages/", json={"content": "More?"})).status_code == 200:
                pass
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "spending_limit")
            assert 0 < int(refused.headers["Retry-After"]) <= 86_400


async def test_dollars_have_a_limit_of_their_own(store: Store) -> None:
    server = Server(store, {}, {Period.day: 2.5, Period.month: 3})
    # A token costs a cent.
    cut = await server.ask(50)
    status, said = await server.status(cut)
    assert (status, said) == (Status.failed, "The limit of $2.50 a day is reached. Go on in 1 h.")
    await server.turns.close()


async def test_several_answers_at_once_share_what_is_left(store: Store) -> None:
    server = Server(store, {Period.month: 1_000}, {})
    server.pieces = 20
    server.go.clear()
    turns = [await server.turns.start("At once") for _ in range(3)]
    server.go.set()
    for turn in turns:
        await turn.end()
    await server.spending.close()
    spent = await server.spending.of("", Period.month)
    assert 1_000 <= spent.tokens <= 1_000 + 3 * 100
    assert await server.spending.total(Period.month) == spent != Spent()
    await server.turns.close()


# Websockets


async def test_a_message_beyond_the_size_ends_the_websocket(api: Api) -> None:
    async with Socket(f"{api.url}/stream/ws") as socket:
        await socket.send({"content": "x" * 1_000})
        with pytest.raises(Closed) as closed:
            await socket.receive()
        assert closed.value.code == 1009


async def test_messages_that_come_too_often_end_it_too(api: Api) -> None:
    async with Socket(f"{api.url}/stream/ws") as socket:
        with pytest.raises(Closed) as closed:
            for _ in range(21):
                await socket.send({"stop": "no such turn"})
            for _ in range(21):
                await socket.receive()
        assert closed.value.code == 1008


async def test_a_websocket_follows_so_many_answers_only(api: Api) -> None:
    async with api.client() as client, Socket(f"{api.url}/stream/ws") as socket:
        await socket.send({"content": script(tokens=2, hold=[0])})
        turn = (await socket.receive())["turn_id"]
        await socket.send({"resume": {"turn_id": turn}})
        assert (await socket.receive())["turn_id"] == turn
        await socket.send({"resume": {"turn_id": turn}})
        assert (await socket.receive())["error"]["code"] == "too_many_followers"
        await client.post(f"/stream/{turn}/stop")


@pytest.mark.slow
async def test_a_websocket_that_does_nothing_is_closed(provider: Provider, tmp_path: Path) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench", idle_s="0.2") as api:
        async with Socket(f"{api.url}/stream/ws") as socket:
            # Not while it follows an answer, however long that is silent.
            await socket.send({"content": script(tokens=2, first_ms=1_000)})
            assert (await socket.until("finish_reason"))[-1]["finish_reason"] == "stop"
            with pytest.raises(Closed) as closed:
                await socket.receive()
            assert closed.value.code == 1000
