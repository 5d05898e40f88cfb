"""The HTTP door as its users know it, over real connections: the wire contract and what bad input gets."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from httpx_sse import ServerSentEvent

from tests.app import App
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import EventStream, streaming, text_of, value
from tests.ws_client import Closed, Socket, close

pytestmark = pytest.mark.anyio

MAX_CHARS = 20_000
"""What `tests.conftest` gives the app."""
ENDLESS: dict[str, Any] = {"tokens": -1, "interval_ms": 5}
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-stream-version": "1",
}


@pytest.fixture
async def client(app: App, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app. Nothing that a client does may leave a traceback in the server's log."""
    provider.clear()
    tracebacks = app.logged().count("Traceback")
    async with app.client() as client:
        yield client
    assert app.logged().count("Traceback") == tracebacks, app.logged()


def numbered(count: int) -> str:
    return "".join(f"tok{n} " for n in range(count))


async def ask(client: httpx.AsyncClient, content: str, chat_id: str | None = None, **headers: str) -> dict[str, Any]:
    """The whole reply."""
    response = await client.post("/messages/", json={"content": content, "chat_id": chat_id}, headers=headers)
    reply: dict[str, Any] = response.raise_for_status().json()
    return reply


async def history(client: httpx.AsyncClient, chat_id: str, **params: Any) -> list[dict[str, Any]]:
    response = await client.get("/messages/", params={"chat_id": chat_id, **params})
    messages: list[dict[str, Any]] = response.raise_for_status().json()["messages"]
    return messages


async def stop(client: httpx.AsyncClient, turn_id: str) -> dict[str, Any]:
    message: dict[str, Any] = (await client.post(f"/stream/{turn_id}/stop")).raise_for_status().json()
    return message


@asynccontextmanager
async def answering(client: httpx.AsyncClient, **body: Any) -> AsyncIterator[EventStream]:
    """A stream whose answer is endless; it is stopped at the end."""
    body = {"content": script(**ENDLESS)} | body
    async with streaming(client, "POST", "/stream/?ids=1", json=body) as stream:
        try:
            yield stream
        finally:
            await client.post(f"/stream/{stream.turn_id}/stop")


async def until(condition: Callable[[], Awaitable[Any]], timeout: float = 60) -> Any:
    """What `condition` gives, as soon as that is true."""
    deadline = time.monotonic() + timeout
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not so within {timeout} s"
        await asyncio.sleep(0.01)
    return found


async def ended_answer(client: httpx.AsyncClient, chat_id: str) -> dict[str, Any]:
    """The last answer of a chat, once it has ended."""

    async def last() -> Any:
        answer = (await history(client, chat_id))[-1]
        return answer["status"] != "streaming" and answer

    answer: dict[str, Any] = await until(last)
    return answer


def is_done(frame: ServerSentEvent) -> bool:
    return frame.data == "[DONE]"


def number(frame: ServerSentEvent) -> int:
    return int(frame.id.rpartition(":")[2])


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error in a response that must have this status and code, and a sentence."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json"), response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code
    assert isinstance(error["retryable"], bool)
    assert error["message"].endswith(".") and " " in error["message"]
    return error


# The stream


async def test_the_bytes_of_a_stream(client: httpx.AsyncClient) -> None:
    response = await client.post("/stream/", json={"content": script(text="Hello you", no_usage=True)})
    assert response.status_code == 200
    assert STREAM_HEADERS.items() <= response.headers.items()
    assert "content-encoding" not in response.headers
    assert response.headers["x-turn-id"] == response.headers["x-message-id"]
    end = json.dumps({"completion_tokens": 2, "estimated": True}, separators=(",", ":"))
    user = json.dumps({"role": "user", "delta": script(text="Hello you", no_usage=True)}, separators=(",", ":"))
    assert response.text == (
        f"data:{user}\n\n"
        'data:{"role":"assistant","delta":"Hello "}\n\n'
        'data:{"role":"assistant","delta":"you"}\n\n'
        f'data:{{"role":"assistant","delta":"","finish_reason":"stop","usage":{end}}}\n\n'
        "data:[DONE]\n\n"
    )


async def test_the_stream_and_the_resumed_one_have_the_same_headers(client: httpx.AsyncClient) -> None:
    async with answering(client) as stream, streaming(client, "GET", f"/stream/{stream.turn_id}") as again:
        for name in (*STREAM_HEADERS, "x-turn-id", "x-chat-id", "x-message-id"):
            assert stream.response.headers[name] == again.response.headers[name]
        assert (await client.get("/chats/")).json()["chats"][0]["id"] == stream.chat_id


async def test_text_comes_while_the_provider_is_still_writing(client: httpx.AsyncClient, provider: Provider) -> None:
    async with answering(client) as stream:
        assert value(await stream.next())["role"] == "user"
        for n in range(5):
            assert value(await stream.next())["delta"] == f"tok{n} "
        [request] = provider.requests()
        assert request["finished"] is request["closed_by_client"] is None


async def test_the_user_frame_comes_before_the_provider_says_anything(client: httpx.AsyncClient) -> None:
    async with answering(client, content=script(headers_ms=60_000)) as stream:
        frame = await asyncio.wait_for(stream.next(), 5)
        assert (value(frame)["role"], number(frame)) == ("user", 0)


async def test_the_usage_of_the_provider_is_in_the_last_frame(client: httpx.AsyncClient) -> None:
    async with streaming(client, "POST", "/stream/", json={"content": script(tokens=4)}) as stream:
        end = value((await stream.rest())[-2])
    assert end["usage"]["completion_tokens"] == 4
    assert end["usage"]["total_tokens"] == end["usage"]["prompt_tokens"] + 4


async def test_thoughts_come_where_they_are_asked_for(client: httpx.AsyncClient) -> None:
    body = {"content": script(tokens=2, reasoning=["hm, ", "so"])}
    async with streaming(client, "POST", "/stream/?include=reasoning&ids=1", json=body) as stream:
        frames = await stream.rest()
        turn_id = stream.turn_id
    kinds = ["message", "reasoning", "reasoning", "message", "message", "message", "message"]
    assert [one.event for one in frames] == kinds
    assert "".join(value(one)["delta"] for one in frames[1:3]) == "hm, so"
    assert text_of(frames) == numbered(2)
    async with streaming(client, "GET", f"/stream/{turn_id}?include=reasoning") as stream:
        again = await stream.rest()
    # Whoever comes late gets it in one piece.
    assert [value(one)["delta"] for one in again if one.event == "reasoning"] == ["hm, so"]


async def test_the_provider_gets_the_system_prompt_and_the_whole_history(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    first = await ask(client, script(text="First answer"))
    chat_id = first["chat_id"]
    async with streaming(client, "POST", "/stream/", json={"content": "Second?", "chat_id": chat_id}) as stream:
        second = text_of(await stream.rest())
        assert stream.chat_id == chat_id
    await ask(client, "Third?", chat_id)
    *_, request = provider.requests()
    assert request["body"]["model"] == "bench"
    assert request["body"]["messages"] == [
        {"role": "system", "content": "You are under test."},
        {"role": "user", "content": script(text="First answer")},
        {"role": "assistant", "content": "First answer"},
        {"role": "user", "content": "Second?"},
        {"role": "assistant", "content": second},
        {"role": "user", "content": "Third?"},
    ]


# Stop


async def test_stop_ends_the_providers_request_and_keeps_the_text(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    async with answering(client) as stream:
        frames = [await stream.next() for _ in range(6)]
        stopped = await stop(client, stream.turn_id)
        frames += await stream.rest()
    assert (stopped["status"], stopped["content"]) == ("stopped", text_of(frames))
    assert stopped["content"].startswith(numbered(5))
    end = value(frames[-2])
    assert end["finish_reason"] == "stopped"
    assert end["usage"] == {"completion_tokens": len(stopped["content"].split()), "estimated": True}
    assert is_done(frames[-1])
    await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert (await history(client, stopped["chat_id"]))[-1] == stopped


@pytest.mark.parametrize("silence", [{"first_ms": 60_000}, {"headers_ms": 60_000}], ids=str)
async def test_stop_reaches_the_provider_before_the_first_token(
    silence: dict[str, Any], client: httpx.AsyncClient, provider: Provider
) -> None:
    async with answering(client, content=script(**silence)) as stream:
        await provider.until(lambda seen: len(seen) == 1)
        stopped = await stop(client, stream.turn_id)
        frames = await stream.rest()
    assert (stopped["status"], stopped["content"]) == ("stopped", "")
    assert [value(frames[-2])["finish_reason"], frames[-1].data] == ["stopped", "[DONE]"]
    await provider.until(lambda seen: seen[0]["closed_by_client"])


async def test_stop_right_after_the_start(client: httpx.AsyncClient) -> None:
    async with answering(client, content=script(headers_ms=60_000)) as stream:
        stopped = await stop(client, stream.turn_id)
        frames = await stream.rest()
    assert stopped["status"] == "stopped"
    assert [value(frames[-2])["finish_reason"], frames[-1].data] == ["stopped", "[DONE]"]


async def test_stopping_twice_or_too_late_changes_nothing(client: httpx.AsyncClient) -> None:
    async with answering(client) as stream:
        await stream.next()
        once, twice = await asyncio.gather(stop(client, stream.turn_id), stop(client, stream.turn_id))
        assert once == twice == await stop(client, stream.turn_id)
    complete = await ask(client, script(tokens=3))
    assert await stop(client, complete["id"]) == complete


async def test_a_stopped_turn_ends_well_for_the_one_who_waits(client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats/", json={})).json()
    waiting = asyncio.create_task(ask(client, script(**ENDLESS), chat["id"]))

    async def has_text() -> Any:
        messages = await history(client, chat["id"])
        return messages and messages[-1]["content"] and messages[-1]

    growing = await until(has_text)
    stopped = await stop(client, growing["id"])
    assert await waiting == stopped
    assert stopped["content"].startswith(growing["content"])


async def test_one_who_waits_for_the_whole_reply_stops_it_by_its_key(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    """Also in a new chat, of which nobody has told the client the id."""
    key = "a key of one's own: a/b?c"
    waiting = asyncio.create_task(ask(client, script(**ENDLESS), **{"Idempotency-Key": key}))
    await provider.until(lambda seen: len(seen) == 1)
    response = await client.post(f"/messages/{quote(key, safe='')}/stop")
    assert response.raise_for_status().json() == await waiting
    assert (await waiting)["status"] == "stopped"
    await provider.until(lambda seen: seen[0]["closed_by_client"])
    again = await client.post(f"/messages/{quote(key, safe='')}/stop")
    assert again.json() == await waiting


async def test_both_stops_are_the_same(client: httpx.AsyncClient) -> None:
    async with answering(client) as stream:
        frames = await stream.until(lambda frame: value(frame)["delta"] == "tok2 ")
        stopped = (await client.post(f"/messages/{stream.turn_id}/stop")).raise_for_status().json()
        frames += await stream.rest()
    assert (stopped["status"], stopped["content"]) == ("stopped", text_of(frames))
    assert stopped == await stop(client, stopped["id"])
    assert stopped == (await client.post(f"/messages/{stopped['id']}/stop")).json()


async def test_the_text_that_was_kept_is_part_of_the_history(client: httpx.AsyncClient, provider: Provider) -> None:
    async with answering(client) as stream:
        await stream.until(lambda frame: value(frame)["delta"] == "tok2 ")
        stopped = await stop(client, stream.turn_id)
    await ask(client, "Go on", stopped["chat_id"])
    *_, request = provider.requests()
    assert request["body"]["messages"][-2] == {"role": "assistant", "content": stopped["content"]}


# Leaving and coming back


async def test_a_reader_that_leaves_stops_nothing(client: httpx.AsyncClient, provider: Provider) -> None:
    content = script(tokens=100, interval_ms=2)
    async with streaming(client, "POST", "/stream/", json={"content": content}) as stream:
        await stream.next()
        await stream.next()
        chat_id = stream.chat_id
    answer = await ended_answer(client, chat_id)
    assert (answer["status"], answer["content"]) == ("complete", numbered(100))
    [request] = await provider.until(lambda seen: seen[0]["finished"] or seen[0]["closed_by_client"])
    assert request["closed_by_client"] is None


async def test_one_who_waits_for_the_whole_reply_and_leaves_stops_nothing(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    chat_id = (await client.post("/chats/", json={})).json()["id"]
    body = {"content": script(tokens=20, hold=[10]), "chat_id": chat_id}
    waiting = asyncio.create_task(client.post("/messages/", json=body))

    async def half_of_it() -> bool:
        return [one["content"] for one in await history(client, chat_id)][1:] == [numbered(10)]

    await until(half_of_it)
    waiting.cancel()
    await asyncio.wait({waiting})
    # Time for the server to notice.
    await client.get("/chats/")
    provider.go()
    answer = await ended_answer(client, chat_id)
    assert (answer["status"], answer["content"]) == ("complete", numbered(20))


async def test_several_readers_see_the_same_and_a_late_one_catches_up(client: httpx.AsyncClient) -> None:
    async with answering(client) as stream:
        early = await stream.until(lambda frame: value(frame)["delta"] == "tok9 ")
        async with streaming(client, "GET", f"/stream/{stream.turn_id}") as late:
            whole = await late.until(lambda frame: value(frame)["delta"] == "tok19 ")
            stopped = await stop(client, stream.turn_id)
            early += await stream.rest()
            whole += await late.rest()
    assert [(one.id, one.data) for one in whole] == [(one.id, one.data) for one in early]
    assert text_of(whole) == stopped["content"]


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
async def test_resuming_after_a_number(ended: bool, client: httpx.AsyncClient) -> None:
    content = script(tokens=6) if ended else script(**ENDLESS)
    async with answering(client, content=content) as stream:
        frames = await stream.until(is_done) if ended else [await stream.next() for _ in range(7)]
        url = f"/stream/{stream.turn_id}"
        whole = numbered(6)

        async def text_after(after: int, **request: Any) -> tuple[str, bool]:
            """The six tokens' text after a number, and whether the user's frame came first."""
            text, user = "", False
            async with streaming(client, "GET", url, **request) as again:
                while len(text) < len(whole) - max(after, 0):
                    frame = value(await again.next())
                    user = user or frame["role"] == "user"
                    text += frame["delta"] if frame["role"] == "assistant" else ""
            return text[: len(whole) - max(after, 0)], user

        assert await text_after(-1) == (whole, True)
        assert await text_after(0, params={"after": 0}) == (whole, False)
        for frame in frames[1:4]:
            after = number(frame)
            expected = (whole[after:], False)
            assert await text_after(after, headers={"Last-Event-ID": frame.id}) == expected
            assert await text_after(after, params={"after": after}) == expected
        # In the middle of a delta, and `after` wins over a header.
        assert await text_after(7, params={"after": 7}, headers={"Last-Event-ID": frames[1].id}) == (whole[7:], False)


async def test_nothing_newer_than_the_end_is_204(client: httpx.AsyncClient) -> None:
    async with streaming(client, "POST", "/stream/?ids=1", json={"content": script(tokens=3)}) as stream:
        *_, last, end, done = await stream.rest()
        url = f"/stream/{stream.turn_id}"
    assert end.id == done.id
    for after in (number(end), number(end) + 1, 10**15):
        response = await client.get(url, params={"after": after})
        assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(url, headers={"Last-Event-ID": done.id})).status_code == 204
    async with streaming(client, "GET", url, headers={"Last-Event-ID": last.id}) as again:
        assert [(one.id, one.data) for one in await again.rest()] == [(one.id, one.data) for one in (end, done)]


async def test_an_unknown_turn_is_404(client: httpx.AsyncClient) -> None:
    reply = await ask(client, script(tokens=1))
    for turn_id in ("nothing", reply["chat_id"], reply["parent_id"], "%00", "%ED%A0%80"):
        error_of(await client.get(f"/stream/{turn_id}"), 404, "not_found")
        error_of(await client.post(f"/stream/{turn_id}/stop"), 404, "not_found")
        error_of(await client.post(f"/messages/{turn_id}/stop"), 404, "not_found")


@pytest.mark.parametrize(
    "number", ["", ":", "x", "1", ":1", "other:1", "{}:", "{}:x", "{}:-1", "{}:1.5", "{}:" + "9" * 5000]
)
async def test_a_last_event_id_that_is_none_of_ours(number: str, client: httpx.AsyncClient) -> None:
    turn_id = (await ask(client, script(tokens=1)))["id"]
    response = await client.get(f"/stream/{turn_id}", headers={"Last-Event-ID": number.replace("{}", turn_id)})
    if number:
        error_of(response, 422, "invalid_request")
    else:
        # `EventSource` sends none at first; an empty one is the same.
        assert response.text.startswith(f'id:{turn_id}:0\ndata:{{"role":"user"')


# The same request again, and two at once


async def test_a_key_gives_the_same_turn_through_both_doors(client: httpx.AsyncClient, provider: Provider) -> None:
    key = {"Idempotency-Key": "key of both doors"}
    body = {"content": script(tokens=30, interval_ms=2)}
    async with streaming(client, "POST", "/stream/", json=body, headers=key) as first:
        await first.next()
        async with streaming(client, "POST", "/stream/", json=body, headers=key) as second:
            frames = await second.rest()
            assert second.turn_id == first.turn_id
        assert text_of(await first.rest()) == text_of(frames) == numbered(30)
    reply = await ask(client, body["content"], **key)
    assert (reply["id"], reply["content"]) == (first.turn_id, numbered(30))
    assert len(provider.requests()) == 1
    assert len(await history(client, first.chat_id)) == 2


async def test_a_key_that_comes_many_times_at_once(client: httpx.AsyncClient, provider: Provider) -> None:
    asked = [ask(client, script(tokens=3), **{"Idempotency-Key": "all at once"}) for _ in range(10)]
    replies = await asyncio.gather(*asked)
    assert replies == [replies[0]] * 10
    assert len(provider.requests()) == 1


@pytest.mark.parametrize("path", ["/stream/", "/messages/"])
async def test_a_key_with_another_body_is_422(path: str, client: httpx.AsyncClient, provider: Provider) -> None:
    content, key = script(tokens=1), {"Idempotency-Key": f"reused at {path}"}
    first = await ask(client, content, **key)
    elsewhere = await ask(client, content)
    others: list[dict[str, Any]] = [
        {"content": "Another"},
        {"content": content + " "},
        {"content": content, "chat_id": elsewhere["chat_id"]},
        {"content": content, "chat_id": "no chat at all"},
        {"content": "Another", "chat_id": first["chat_id"]},
    ]
    for body in others:
        error = error_of(await client.post(path, json=body, headers=key), 422, "invalid_request")
        assert "another message" in error["message"]
    assert len(provider.requests()) == 2
    for body in ({"content": content}, {"content": content, "chat_id": first["chat_id"]}):
        again = await client.post(path, json=body, headers=key)
        assert (again.status_code, again.headers["x-turn-id"]) == (200, first["id"])


async def test_a_key_of_a_later_message_names_its_chat(client: httpx.AsyncClient) -> None:
    """Sent again without its `chat_id`, the message would begin a new chat."""
    content, key = script(tokens=1), {"Idempotency-Key": "of a later message"}
    chat_id = (await ask(client, content))["chat_id"]
    later = await ask(client, content, chat_id, **key)
    assert (await ask(client, content, chat_id, **key))["id"] == later["id"]
    error_of(await client.post("/messages/", json={"content": content}, headers=key), 422, "invalid_request")


async def test_a_key_with_two_bodies_at_once_is_one_turn_and_422(client: httpx.AsyncClient, provider: Provider) -> None:
    bodies = [{"content": script(tokens=tokens)} for tokens in (1, 2)] * 4
    key = {"Idempotency-Key": "two bodies at once"}
    responses = await asyncio.gather(*(client.post("/messages/", json=body, headers=key) for body in bodies))
    assert sorted(response.status_code for response in responses) == [200] * 4 + [422] * 4
    assert len(provider.requests()) == 1


@pytest.mark.parametrize("key", ["", "x" * 201])
@pytest.mark.parametrize("path", ["/stream/", "/messages/"])
async def test_a_key_that_is_empty_or_too_long(path: str, key: str, client: httpx.AsyncClient) -> None:
    response = await client.post(path, json={"content": "Hi"}, headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in error_of(response, 422, "invalid_request")["message"]


async def test_a_second_turn_in_a_chat_is_409(client: httpx.AsyncClient, app: App) -> None:
    async with answering(client) as stream:
        body = {"content": "And?", "chat_id": stream.chat_id}
        for path in ("/stream/", "/messages/"):
            error = error_of(await client.post(path, json=body), 409, "turn_running")
            assert (error["turn_id"], error["retryable"]) == (stream.turn_id, True)
        async with Socket(ws_url(app)) as socket:
            await socket.send(body)
            error = (await socket.receive())["error"]
            assert (error["code"], error["turn_id"]) == ("turn_running", stream.turn_id)
        await stop(client, stream.turn_id)
        assert (await ask(client, "And now?", stream.chat_id))["status"] == "complete"
        assert len(await history(client, stream.chat_id)) == 4


async def test_two_turns_at_the_same_moment_are_one(client: httpx.AsyncClient) -> None:
    chat_id = (await client.post("/chats/", json={})).json()["id"]
    body = {"content": script(**ENDLESS), "chat_id": chat_id}
    asked = [asyncio.create_task(client.post("/messages/", json=body)) for _ in range(8)]
    refused = [await response for response in islice(asyncio.as_completed(asked), 7)]
    # All but the one that is being answered.
    [turn_id] = {error_of(response, 409, "turn_running")["turn_id"] for response in refused}
    await stop(client, turn_id)
    assert sorted([(await response).status_code for response in asked]) == [200] + [409] * 7
    assert len(await history(client, chat_id)) == 2


# Chats and their messages


async def test_the_life_of_a_chat(client: httpx.AsyncClient) -> None:
    response = await client.post("/chats/", json={"title": " Plans "})
    assert response.status_code == 201
    chat = response.json()
    own = {"pinned": False, "named": True, "model": None, "system_prompt": None, "temperature": None, "leaf_id": None}
    times = {name: chat[name] for name in ("created_at", "updated_at")}
    assert chat == {"id": chat["id"], "title": "Plans"} | times | own
    assert (await client.get(f"/chats/{chat['id']}")).json() == chat
    renamed = (await client.patch(f"/chats/{chat['id']}", json={"title": "Ideas"})).raise_for_status().json()
    assert renamed["title"] == "Ideas"
    assert (await client.get(f"/chats/{chat['id']}")).json() == renamed
    reply = await ask(client, script(tokens=1), chat["id"])
    assert reply["chat_id"] == chat["id"]
    response = await client.delete(f"/chats/{chat['id']}")
    assert (response.status_code, response.content) == (204, b"")
    error_of(await client.get(f"/chats/{chat['id']}"), 404, "not_found")
    error_of(await client.get("/messages/", params={"chat_id": chat["id"]}), 404, "not_found")
    error_of(await client.get(f"/stream/{reply['id']}"), 404, "not_found")


async def test_a_chat_is_named_after_its_first_message(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "What is a delta?\nAnd why?")
    chat = (await client.get(f"/chats/{reply['chat_id']}")).json()
    assert chat["title"] == "What is a delta?"
    assert (await client.post("/chats/")).json()["title"] == "New chat"


async def test_chats_come_in_pages_the_last_used_first(client: httpx.AsyncClient) -> None:
    ids = [(await client.post("/chats/", json={"title": f"Chat {n}"})).json()["id"] for n in range(5)]
    await ask(client, script(tokens=1), ids[0])
    expected = [ids[0], *ids[:0:-1]]
    first = (await client.get("/chats/", params={"limit": 2})).json()
    second = (await client.get("/chats/", params={"limit": 2, "before": first["next"]})).json()
    third = (await client.get("/chats/", params={"limit": 1, "before": second["next"]})).json()
    assert [chat["id"] for page in (first, second, third) for chat in page["chats"]] == expected


async def test_the_last_page_of_chats_says_so(client: httpx.AsyncClient) -> None:
    for n in range(4):
        await client.post("/chats/", json={"title": f"Chat {n}"})
    chats: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 500}
    while params.get("before", "first"):
        page = (await client.get("/chats/", params=params)).json()
        chats += page["chats"]
        params["before"] = page["next"]
    assert len({chat["id"] for chat in chats}) == len(chats) >= 4
    times = [chat["updated_at"] for chat in chats]
    assert times == sorted(times, reverse=True)
    # Exactly two are left.
    page = (await client.get("/chats/", params={"limit": 2, "before": times[-3]})).json()
    assert (page["chats"], page["next"]) == (chats[-2:], None)


async def test_pinned_chats_come_first_and_pages_go_through_all(client: httpx.AsyncClient) -> None:
    ids = [(await client.post("/chats/", json={"title": f"Chat {n}"})).json()["id"] for n in range(5)]
    for n in (1, 3):
        changed = (await client.patch(f"/chats/{ids[n]}", json={"pinned": True})).raise_for_status().json()
        assert changed["pinned"] is True
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 1}
    while params.get("before", "first") and len(seen) < 5:
        page = (await client.get("/chats/", params=params)).raise_for_status().json()
        seen += [chat["id"] for chat in page["chats"]]
        params["before"] = page["next"]
    assert seen == [ids[n] for n in (3, 1, 4, 2, 0)]
    for n in (1, 3):
        await client.patch(f"/chats/{ids[n]}", json={"pinned": False})


async def test_a_chats_own_settings_reach_the_provider(client: httpx.AsyncClient, provider: Provider) -> None:
    chat = (await client.post("/chats/", json={})).json()
    own = {"system_prompt": "Be brief.", "model": "bench", "temperature": 0}
    changed = (await client.patch(f"/chats/{chat['id']}", json=own)).raise_for_status().json()
    assert {name: changed[name] for name in own} == own
    assert changed["title"] == "New chat"
    await ask(client, "Hi", chat["id"])
    reset = (await client.patch(f"/chats/{chat['id']}", json=dict.fromkeys(own))).raise_for_status().json()
    assert {reset[name] for name in own} == {None}
    await ask(client, "Hi", chat["id"])
    first, second = provider.requests()
    assert first["body"]["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert (first["body"]["model"], first["body"]["temperature"]) == ("bench", 0)
    assert second["body"]["messages"][0] == {"role": "system", "content": "You are under test."}
    assert "temperature" not in second["body"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"other": 1},
        {"pinned": None},
        {"pinned": "yes"},
        {"title": None, "pinned": True},
        {"model": ""},
        {"model": 5},
        {"model": "x" * 201},
        {"model": "a\0b"},
        {"system_prompt": "a\0b"},
        {"system_prompt": "x" * 32_001},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": "1"},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": True},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_a_bad_change_is_422_and_changes_nothing(body: dict[str, Any], client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats/", json={})).json()
    response = await client.patch(f"/chats/{chat['id']}", content=json.dumps(body))
    error_of(response, 422, "invalid_request")
    assert (await client.get(f"/chats/{chat['id']}")).json() == chat


async def test_deleting_a_chat_whose_answer_still_grows_stops_it(client: httpx.AsyncClient, provider: Provider) -> None:
    async with answering(client) as stream:
        await stream.until(lambda frame: value(frame)["delta"] == "tok2 ")
        assert (await client.delete(f"/chats/{stream.chat_id}")).status_code == 204
        frames = await stream.rest()
    assert [value(frames[-2])["finish_reason"], frames[-1].data] == ["stopped", "[DONE]"]
    await provider.until(lambda seen: seen[0]["closed_by_client"])
    error_of(await client.get(f"/chats/{stream.chat_id}"), 404, "not_found")


async def test_one_who_waits_in_a_chat_that_is_deleted(client: httpx.AsyncClient) -> None:
    chat_id = (await client.post("/chats/", json={})).json()["id"]
    waiting = asyncio.create_task(client.post("/messages/", json={"content": script(**ENDLESS), "chat_id": chat_id}))
    await until(lambda: history(client, chat_id))
    assert (await client.delete(f"/chats/{chat_id}")).status_code == 204
    response = await waiting
    # The stop comes first and the deletion after it: the reply may still have been there.
    if response.is_success:
        assert response.json()["status"] == "stopped"
    else:
        error_of(response, 404, "not_found")


async def test_the_history_comes_in_pages_the_newest_first(client: httpx.AsyncClient) -> None:
    chat_id = (await ask(client, script(text="1")))["chat_id"]
    for n in range(2, 4):
        await ask(client, script(text=str(n)), chat_id)
    everything = await history(client, chat_id)
    assert [one["role"] for one in everything] == ["user", "assistant"] * 3
    assert [one["content"] for one in everything[1::2]] == ["1", "2", "3"]
    pages, params = [], {"chat_id": chat_id, "limit": 4}
    while True:
        page = (await client.get("/messages/", params=params)).json()
        assert page["chat_id"] == chat_id
        pages.append(page["messages"])
        if page["next"] is None:
            break
        params["before"] = page["next"]
    assert pages == [everything[2:], everything[:2]]
    whole = (await client.get("/messages/", params={"chat_id": chat_id, "limit": len(everything)})).json()
    assert (whole["messages"], whole["next"]) == (everything, None)
    params["before"] = "nothing"
    error_of(await client.get("/messages/", params=params), 404, "not_found")


async def test_an_unknown_chat_is_404_at_every_door(client: httpx.AsyncClient, app: App) -> None:
    body = {"content": "Hi", "chat_id": "nothing"}
    async with Socket(ws_url(app)) as socket:
        await socket.send(body)
        assert (await socket.receive())["error"]["code"] == "not_found"
    for response in (
        await client.post("/stream/", json=body),
        await client.post("/messages/", json=body),
        await client.get("/messages/", params={"chat_id": "nothing"}),
        await client.get("/chats/nothing"),
        await client.patch("/chats/nothing", json={"title": "x"}),
        await client.delete("/chats/nothing"),
        await client.get("/chats/nothing/export"),
        await client.get("/chats/nothing/export?format=markdown"),
        await client.get("/chats/%00/export"),
        await client.patch("/chats/%00", json={"pinned": True}),
        await client.post("/messages/nothing/rating", json={"rating": 1}),
        await client.post("/messages/%00/rating", json={"rating": 1}),
    ):
        error_of(response, 404, "not_found")


async def test_an_answer_is_rated(client: httpx.AsyncClient) -> None:
    reply = await ask(client, script(tokens=1))
    assert (reply["rating"], reply["remark"]) == (0, "")
    url = f"/messages/{reply['id']}/rating"
    rated = (await client.post(url, json={"rating": -1, "remark": " Wrong. "})).raise_for_status().json()
    assert rated == reply | {"rating": -1, "remark": "Wrong."}
    assert (await client.post(url, json={"rating": 1})).json() == reply | {"rating": 1}
    assert (await history(client, reply["chat_id"]))[-1] == reply | {"rating": 1}
    for body in ({}, {"rating": 2}, {"rating": "1"}, {"rating": None}, {"rating": True}, {"rating": 1, "remark": "\0"}):
        error_of(await client.post(url, json=body), 422, "invalid_request")
    error_of(await client.post(url, json={"rating": 1, "remark": "x" * 2_001}), 422, "invalid_request")
    error_of(await client.post(f"/messages/{reply['parent_id']}/rating", json={"rating": 1}), 404, "not_found")


# Search


async def test_search_finds_titles_and_messages(client: httpx.AsyncClient) -> None:
    untitled = (await client.post("/chats/", json={"title": "Untitled"})).json()
    reply = await ask(client, script(text="Zucchini, zucchini!"), untitled["id"])
    chat = (await client.post("/chats/", json={"title": "All about zucchini"})).json()
    found = (await client.get("/search/", params={"q": "ZUCCH"})).raise_for_status().json()["hits"]
    assert [(hit["chat_id"], hit["message_id"], hit["role"]) for hit in found] == [
        (chat["id"], None, None),
        (reply["chat_id"], reply["id"], "assistant"),
        (reply["chat_id"], reply["parent_id"], "user"),
    ]
    assert found[1]["snippet"] == [
        {"text": "Zucch", "match": True},
        {"text": "ini, ", "match": False},
        {"text": "zucch", "match": True},
        {"text": "ini!", "match": False},
    ]
    assert found[1]["when"] == reply["created_at"]
    assert len((await client.get("/search", params={"q": "zucch", "limit": 1})).json()["hits"]) == 1
    await client.delete(f"/chats/{chat['id']}")
    await client.delete(f"/chats/{reply['chat_id']}")
    assert (await client.get("/search/", params={"q": "zucch"})).json() == {"hits": []}


@pytest.mark.parametrize("query", ["", "%22", "%00", "%ED%A0%80", "%FF", "*", "NEAR(", "x" * 5_000, "%E6%A4%9C" * 500])
async def test_no_query_is_an_error(query: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/search/?q={query}")).status_code == 200


# Files


async def test_an_exported_chat_can_be_imported_again(client: httpx.AsyncClient) -> None:
    reply = await ask(client, script(text="Ein Käse 🧀"))
    await client.patch(f"/chats/{reply['chat_id']}", json={"title": "Käse: „Brie“/Gouda?", "temperature": 0.5})
    response = await client.get(f"/chats/{reply['chat_id']}/export")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-disposition"] == (
        'attachment; filename="Kase Brie Gouda.json";'
        " filename*=UTF-8''K%C3%A4se%20%E2%80%9EBrie%E2%80%9C%20Gouda.json"
    )
    assert "Ein Käse 🧀" in response.text
    imported = await client.post("/chats/import", content=response.content)
    assert imported.status_code == 201
    chat = imported.json()
    assert (chat["title"], chat["temperature"]) == ("Käse: „Brie“/Gouda?", 0.5)
    assert chat["id"] != reply["chat_id"]
    question, answer = await history(client, chat["id"])
    assert answer == reply | {"id": answer["id"], "chat_id": chat["id"], "parent_id": question["id"]}
    again = await ask(client, "And?", chat["id"])
    assert again["status"] == "complete"


async def test_a_chat_as_markdown(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "Hi")
    response = await client.get(f"/chats/{reply['chat_id']}/export?format=markdown")
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="Hi.md"')
    assert response.text == "# Hi\n\n## You\n\nHi\n\n## Assistant\n\nThis is a short answer to: Hi\n"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc passwd"),
        ("a\r\nSet-Cookie: x=1", "a Set-Cookie x=1"),
        ('"; filename="evil.exe', "filename= evil.exe"),
        ("日本語", "chat"),
        ("...", "chat"),
        ("🧀", "chat"),
        ("x" * 200, "x" * 80),
        ("\u202egpj.exe", "gpj.exe"),
    ],
)
async def test_the_name_of_a_file_is_safe(title: str, name: str, client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats/", json={"title": title})).raise_for_status().json()
    response = await client.get(f"/chats/{chat['id']}/export")
    assert response.headers["content-disposition"].split("; filename*=")[0] == f'attachment; filename="{name}.json"'
    assert "set-cookie" not in response.headers


FILE: dict[str, Any] = {
    "version": 1,
    "chat": {"title": "File"},
    "messages": [
        {"id": "a", "role": "user", "content": "Hi"},
        {"id": "b", "parent_id": "a", "role": "assistant", "content": "Ho"},
    ],
}


def file_with(**values: Any) -> str:
    """The file with other values in its second message."""
    return json.dumps(FILE | {"messages": [FILE["messages"][0], FILE["messages"][1] | values]})


BAD_FILES: dict[str, str | bytes] = {
    "nothing": "",
    "no JSON": "Hello",
    "half": json.dumps(FILE)[:-5],
    "null": "null",
    "an array": "[]",
    "deep": "[" * 50_000,
    "deep inside": json.dumps(FILE)[:-1] + ', "more": ' + "[" * 5_000 + "]" * 5_000 + "}",
    "no UTF-8": b'{"version": "\xff"}',
    "another version": json.dumps(FILE | {"version": 2}),
    "no chat": json.dumps({"version": 1, "messages": []}),
    "no title": json.dumps(FILE | {"chat": {}}),
    "an empty title": json.dumps(FILE | {"chat": {"title": " "}}),
    "NUL in the title": json.dumps(FILE | {"chat": {"title": "a\0"}}),
    "a hot chat": json.dumps(FILE | {"chat": {"title": "x", "temperature": 9}}),
    "a time without zone": json.dumps(FILE | {"chat": {"title": "x", "created_at": "2026-01-01T00:00:00"}}),
    "no time in UTC": json.dumps(FILE | {"chat": {"title": "x", "created_at": "0001-01-01T00:00:00+14:00"}}),
    "no messages": json.dumps({"version": 1, "chat": {"title": "x"}}),
    "the same id twice": file_with(id="a"),
    "no such parent": file_with(parent_id="c"),
    "its own parent": file_with(parent_id="b"),
    "another role": file_with(role="system"),
    "null content": file_with(content=None),
    "NUL": file_with(content="a\0"),
    "a lone surrogate": file_with(content="\ud800"),
    "another status": file_with(status="done"),
    "a huge number": file_with(first_token_ms=2**31),
    "a number of 5,000 digits": json.dumps(FILE).replace('"Ho"', '"Ho", "usage": {"x": ' + "9" * 5_000 + "}"),
    "NaN": file_with(usage={"x": float("nan")}),
    "a lone surrogate in the usage": file_with(usage={"x": "\ud800"}),
    "tokens that are text": file_with(usage={"completion_tokens": "3"}),
    "a large usage": file_with(usage={"x": "y" * 20_001}),
    "an error without a message": file_with(error={"code": "x"}),
    "a rating of 5": file_with(rating=5),
}


@pytest.mark.parametrize("body", BAD_FILES.values(), ids=BAD_FILES.keys())
async def test_a_bad_file_is_422_and_imports_nothing(body: str | bytes, client: httpx.AsyncClient) -> None:
    newest = (await client.get("/chats/", params={"limit": 1})).json()
    error = error_of(await client.post("/chats/import", content=body), 422, "invalid_request")
    assert len(error["message"]) < 300
    assert (await client.get("/chats/", params={"limit": 1})).json() == newest


async def test_the_smallest_file_is_enough(client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats/import", content=json.dumps(FILE))).raise_for_status().json()
    assert [message["content"] for message in await history(client, chat["id"])] == ["Hi", "Ho"]


async def test_a_file_of_many_chats_says_what_came_and_how_far_it_is(client: httpx.AsyncClient) -> None:
    node = {"parent": None, "message": {"author": {"role": "user"}, "content": {"parts": ["Hi", {"x": 1}]}}}
    file = b"\xef\xbb\xbf" + json.dumps([FILE, {"title": "Theirs", "mapping": {"a": node}}]).encode()
    whole = (await client.post("/chats/import", content=file)).raise_for_status().json()
    assert whole["title"] == "File"
    assert whole["imported"] == {
        "chats": 2,
        "messages": 3,
        "left_out": {"files": 1},
        "summary": "2 chats with 3 messages. Left out: 1 file.",
    }
    response = await client.post("/chats/import?progress=true", content=file)
    assert (response.status_code, response.headers["content-type"]) == (201, "application/x-ndjson")
    *steps, last = [json.loads(line) for line in response.text.splitlines()]
    assert steps[-1] == {"progress": {"read": len(file), "size": len(file), "messages": 3}}
    assert last["imported"] == whole["imported"]
    bad = await client.post("/chats/import?progress=true", content=file[:-1])
    error_of(bad, 422, "invalid_request")


@pytest.mark.slow
async def test_what_is_found_late_in_a_large_file_is_the_last_line(client: httpx.AsyncClient) -> None:
    newest = (await client.get("/chats/", params={"limit": 1})).json()
    file = json.dumps([FILE | {"chat": {"title": "x" * 150}}] * 2_000)[:-1]
    error_of(await client.post("/chats/import", content=file), 422, "invalid_request")
    response = await client.post("/chats/import?progress=true", content=file)
    *steps, last = [json.loads(line) for line in response.text.splitlines()]
    assert steps and last["error"]["code"] == "invalid_request"
    assert (await client.get("/chats/", params={"limit": 1})).json() == newest


@pytest.mark.slow
async def test_all_chats_are_exported_and_can_be_imported(client: httpx.AsyncClient) -> None:
    reply = await ask(client, script(text="Ein Käse 🧀"))
    await client.patch(f"/chats/{reply['chat_id']}", json={"title": "In the middle of all", "pinned": True})
    await client.post(f"/messages/{reply['id']}/rating", json={"rating": -1, "remark": "no"})
    response = await client.get("/chats/export")
    assert response.headers["content-type"] == "application/json"
    assert re.match(r'attachment; filename="Chats \d{4}-\d\d-\d\d.json"', response.headers["content-disposition"])
    chats = response.json()["chats"]
    imported = (await client.post("/chats/import", content=response.content)).raise_for_status().json()["imported"]
    assert (imported["chats"], imported["left_out"]) == (len(chats), {})
    copies = (await client.get("/chats/export")).json()["chats"][len(chats) :]
    [pair] = [pair for pair in zip(chats, copies, strict=True) if pair[0]["chat"]["leaf_id"] == reply["id"]]
    for one in pair:
        one["chat"]["leaf_id"] = None
        for message in one["messages"]:
            message["id"] = message["parent_id"] = None
    assert pair[0] == pair[1]
    # Pinned ones would be first in the lists of all other tests.
    for chat in (await client.get("/chats/")).json()["chats"]:
        if chat["pinned"]:
            await client.delete(f"/chats/{chat['id']}")


@pytest.mark.slow
async def test_a_file_that_is_too_large_is_413_before_it_is_read(app: App) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    writer.write(b"POST /chats/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000001\r\n\r\n[")
    assert b" 413 " in await reader.readline()
    await close(writer)


# What clients do wrong

BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"Hello",
    "half of it": b'{"content": "Hel',
    "an array": b"[]",
    "null": b"null",
    "a string": b'"Hi"',
    "no content": b"{}",
    "null content": b'{"content": null}',
    "a number": b'{"content": 5}',
    "a list": b'{"content": ["Hi"]}',
    "an infinite number": b'{"content": 1e400}',
    "a huge number": b'{"content": ' + b"9" * 5000 + b"}",
    "NaN": b'{"content": NaN}',
    "a chat id that is a number": b'{"content": "Hi", "chat_id": 7}',
    "empty": b'{"content": ""}',
    "only spaces": b'{"content": " \\n\\t "}',
    "NUL": b'{"content": "a\\u0000b"}',
    "a lone surrogate": b'{"content": "a\\ud800b"}',
    "a lone low surrogate": b'{"content": "\\udc00"}',
    "a surrogate as bytes": b'{"content": "\xed\xa0\x80"}',
    "no UTF-8": b'{"content": "\xff\xfe"}',
    "UTF-16": '{"content": "Hi"}'.encode("utf-16"),
    "too long": json.dumps({"content": "x" * (MAX_CHARS + 1)}).encode(),
    "deep": b'{"content": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"content": "Hi", "more": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
}


@pytest.mark.parametrize("path", ["/stream/", "/messages/"])
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_422(path: str, body: bytes, client: httpx.AsyncClient, provider: Provider) -> None:
    response = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert error_of(response, 422, "invalid_request")["retryable"] is False
    assert provider.requests() == []


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b'{"title": ""}',
        b'{"title": "  "}',
        b'{"title": 5}',
        b'{"title": null}',
        b'{"title": "a\\u0000"}',
        b'{"title": "\\ud800"}',
        json.dumps({"title": "x" * 201}).encode(),
    ],
    ids=lambda body: body[:20],
)
async def test_a_bad_title_is_422(body: bytes, client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats/", json={})).json()
    for response in (
        await client.post("/chats/", content=body),
        await client.patch(f"/chats/{chat['id']}", content=body),
    ):
        error_of(response, 422, "invalid_request")
    assert (await client.get(f"/chats/{chat['id']}")).json() == chat


@pytest.mark.parametrize(
    "query",
    [
        "/chats/?limit=0",
        "/chats/?limit=501",
        "/chats/?limit=x",
        "/chats/?limit=" + "9" * 5000,
        "/chats/?before=yesterday",
        "/chats/?before=2026-01-01T00:00:00",
        "/chats/?before=0001-01-01T00:00:00%2B14:00",
        "/chats/?before=9999-12-31T23:59:59-14:00",
        "/chats/?before=",
        "/chats/?before=pinned,2026-01-01T00:00:00Z,x",
        "/chats/?before=2026-01-01T00:00:00Z,%00",
        "/chats/{chat}/export?format=pdf",
        "/search/",
        "/search/?q=x&limit=0",
        "/messages/",
        "/messages/?chat_id={chat}&limit=0",
        "/messages/?chat_id={chat}&limit=1e3",
        "/stream/{turn}?after=x",
        "/stream/{turn}?after=" + "9" * 5000,
    ],
)
async def test_a_bad_query_is_422(query: str, client: httpx.AsyncClient) -> None:
    reply = await ask(client, script(tokens=1))
    url = query.replace("{chat}", reply["chat_id"]).replace("{turn}", reply["id"])
    error_of(await client.get(url), 422, "invalid_request")


async def test_the_longest_message_fits_in_the_longest_form(client: httpx.AsyncClient) -> None:
    # A character outside the basic plane is twelve bytes in ASCII JSON.
    content = "👋" * MAX_CHARS
    response = await client.post("/messages/", content=json.dumps({"content": content}))
    assert response.status_code == 200
    assert (await history(client, response.json()["chat_id"]))[0]["content"] == content


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        ("POST /nowhere", "127.0.0.1", 404),
        ("POST /stream/unknown/stop", "127.0.0.1", 404),
        ("PUT /messages/", "127.0.0.1", 405),
        ("GET /chats/", "127.0.0.1", 200),
        ("POST /messages/", "evil.example", 403),
    ],
)
async def test_a_connection_outlives_a_body_that_was_of_no_use(line: str, host: str, status: int, app: App) -> None:
    """Also where the body comes after the answer is clear: the next request comes on the same connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    try:
        for _ in range(2):
            writer.write(f"{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\n".encode())
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(b"null")
            head = await reader.readuntil(b"\r\n\r\n")
            assert int(head.split()[1]) == status
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
    finally:
        await close(writer)


@pytest.mark.parametrize("path", ["/stream/", "/messages/", "/chats/"])
@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
async def test_a_body_that_is_too_large_is_413(path: str, chunked: bool, client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 16_384

    content: Any = chunks() if chunked else b"x" * 2**20
    error_of(await client.post(path, content=content), 413, "body_too_large")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/json", None])
async def test_the_content_type_does_not_matter(kind: str | None, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = await client.post("/messages/", content=b'{"content": "Hi"}', headers=headers)
    assert response.json()["content"] == "This is a short answer to: Hi"


async def test_the_trailing_slash_may_be_left_out(client: httpx.AsyncClient) -> None:
    async with streaming(client, "POST", "/stream?ids=1", json={"content": script(tokens=2)}) as stream:
        frames = await stream.rest()
    assert text_of(frames) == numbered(2)
    assert frames[0].id == f"{stream.turn_id}:0"
    assert (await client.post("/messages", json={"content": script(tokens=2)})).json()["content"] == numbered(2)
    assert len((await client.get("/messages", params={"chat_id": stream.chat_id})).json()["messages"]) == 2
    assert (await client.post("/chats", json={"title": "x"})).status_code == 201
    assert (await client.get("/chats?limit=1")).json()["chats"][0]["title"] == "x"
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {"/stream/", "/messages/", "/chats/"} <= paths.keys()
    assert not {"/stream", "/messages", "/chats"} & paths.keys()


async def test_what_is_not_there_is_a_json_error_and_not_the_page(client: httpx.AsyncClient) -> None:
    for path in ("/stream/x/y", "/stream/x/y/z", "/messages/x/y", "/chats/x/y", "/chats/x/", "/search/x"):
        error_of(await client.get(path), 404, "not_found")
        error_of(await client.post(path, json={}), 404, "not_found")
    error_of(await client.get("/chats/x%0Ay"), 404, "not_found")
    for method, path, allowed in (
        ("GET", "/stream/", "POST"),
        ("POST", "/stream/x", "GET"),
        ("GET", "/stream/x/stop", "POST"),
        ("PUT", "/messages/", "GET, POST"),
        ("POST", "/messages/x", "GET"),
        ("DELETE", "/chats", "GET, POST"),
        ("POST", "/chats/x", "DELETE, GET, PATCH"),
        ("POST", "/chats/x/export", "GET"),
        ("OPTIONS", "/chats/import", "POST"),
        ("GET", "/messages/x/rating", "POST"),
        ("GET", "/messages/x/stop", "POST"),
        ("POST", "/search", "GET"),
    ):
        response = await client.request(method, path)
        error_of(response, 405, "http_error")
        assert response.headers["allow"] == allowed


# The websocket


def ws_url(app: App) -> str:
    return app.url.replace("http", "ws", 1) + "/stream/ws"


async def test_a_socket_resumes_a_turn(client: httpx.AsyncClient, app: App) -> None:
    async with answering(client) as stream:
        frames = [await stream.next() for _ in range(5)]
        async with Socket(ws_url(app)) as socket:
            await socket.send({"resume": {"turn_id": stream.turn_id, "after": number(frames[2])}})
            received = [await socket.receive(), await socket.receive()]
            for one, frame in zip(received, frames[3:], strict=True):
                assert one == value(frame) | {
                    "seq": number(frame),
                    "turn_id": stream.turn_id,
                    "chat_id": stream.chat_id,
                }
            await socket.send({"resume": {"turn_id": stream.turn_id}})
            everything = [await socket.receive()]
            while everything[-1]["role"] != "user":
                everything.append(await socket.receive())
            assert everything[-1]["seq"] == 0


async def test_a_socket_stops_a_turn(client: httpx.AsyncClient, app: App, provider: Provider) -> None:
    async with Socket(ws_url(app)) as socket:
        await socket.send({"content": script(**ENDLESS)})
        user, *_ = [await socket.receive() for _ in range(4)]
        await socket.send({"stop": user["turn_id"]})
        end = (await socket.until("finish_reason"))[-1]
        await socket.send({"stop": user["turn_id"]})
        assert end["finish_reason"] == "stopped"
    await provider.until(lambda seen: seen[0]["closed_by_client"])
    assert (await history(client, user["chat_id"]))[-1]["status"] == "stopped"


async def test_a_socket_that_closes_stops_nothing(client: httpx.AsyncClient, app: App) -> None:
    async with Socket(ws_url(app)) as socket:
        await socket.send({"content": script(tokens=60, interval_ms=2)})
        user, _ = [await socket.receive(), await socket.receive()]
    async with streaming(client, "GET", f"/stream/{user['turn_id']}") as stream:
        frames = await stream.rest()
    assert (text_of(frames), value(frames[-2])["finish_reason"]) == (numbered(60), "stop")


async def test_two_turns_side_by_side_on_one_socket(app: App) -> None:
    async with Socket(ws_url(app)) as socket:
        for _ in range(2):
            await socket.send({"content": script(tokens=20)})
        received: list[dict[str, Any]] = []
        while sum("finish_reason" in one for one in received) < 2:
            received.append(await socket.receive())
    for turn_id in {one["turn_id"] for one in received}:
        mine = [one for one in received if one["turn_id"] == turn_id]
        assert all(one["seq"] < other["seq"] for one, other in pairwise(mine))
        assert "".join(one["delta"] for one in mine[1:]) == numbered(20)


@pytest.mark.parametrize(
    "message",
    [
        *(body for name, body in BAD_BODIES.items() if name != "UTF-16"),
        b'{"stop": "x", "content": "Hi"}',
        b'{"resume": "x"}',
        b'{"resume": {}}',
        b'{"resume": {"turn_id": "x", "after": "y"}}',
        b'{"stop": 5}',
    ],
    ids=lambda body: body[:20],
)
async def test_a_socket_answers_bad_input_and_goes_on(message: bytes, app: App) -> None:
    async with Socket(ws_url(app)) as socket:
        for sent in (message, message.decode("utf-8", "ignore")):
            await socket.send(sent)
            first = await socket.receive()
            assert first["error"].keys() >= {"code", "message", "retryable"}
            assert first["error"]["code"] == "invalid_request"
        for unknown in ({"stop": "nothing"}, {"resume": {"turn_id": "nothing"}}):
            await socket.send(unknown)
            assert (await socket.receive())["error"]["code"] == "not_found"
        await socket.send(b'{"content": "Hi"}')
        assert (await socket.until("finish_reason"))[0]["delta"] == "Hi"


# Streaming on, off, and for some


async def test_the_self_test_is_five_frames_apart(client: httpx.AsyncClient) -> None:
    async with streaming(client, "GET", "/stream/selftest") as stream:
        assert STREAM_HEADERS.items() <= stream.response.headers.items()
        *frames, done = await stream.rest()
    values = [value(frame) for frame in frames]
    assert [one["frame"] for one in values] == [0, 1, 2, 3, 4]
    assert all(other["sent_ms"] - one["sent_ms"] > 100 for one, other in pairwise(values))
    assert is_done(done)


async def test_no_frame_of_the_self_test_waits_for_the_next(provider: Provider, tmp_path: Path) -> None:
    with Api(tmp_path, openai_base_url=provider.base_url, selftest_pause_s="3600") as app:
        async with app.client() as client, streaming(client, "GET", "/stream/selftest") as stream:
            assert value(await stream.next())["frame"] == 0


async def test_with_streaming_off_whole_replies_remain(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"openai_base_url": provider.base_url, "feature_streaming": "false"}
    with Api(tmp_path_factory.mktemp("off"), **settings) as app:
        async with app.client() as client:
            reply = await ask(client, script(tokens=3))
            assert reply["content"] == numbered(3)
            for response in (
                await client.post("/stream/", json={"content": "Hi"}),
                await client.post("/stream", json={"content": "Hi"}),
                await client.post("/stream/", content=b"no JSON"),
                await client.get(f"/stream/{reply['id']}"),
                await client.post(f"/stream/{reply['id']}/stop"),
                await client.get("/stream/selftest"),
            ):
                error = error_of(response, 404, "streaming_off")
                assert "/messages/" in error["message"]
            async with Socket(ws_url(app)) as socket:
                assert (await socket.receive())["error"]["code"] == "streaming_off"
                with pytest.raises(Closed):
                    await socket.receive()
            assert len((await client.get("/chats/")).json()["chats"]) == 1
            assert len(await history(client, reply["chat_id"])) == 2
            waiting = asyncio.create_task(ask(client, script(**ENDLESS), reply["chat_id"]))

            async def growing() -> Any:
                last = (await history(client, reply["chat_id"]))[-1]
                return last["status"] == "streaming" and last

            stopped = await client.post(f"/messages/{(await until(growing))['id']}/stop")
            assert stopped.raise_for_status().json() == await waiting
            assert (await waiting)["status"] == "stopped"


@pytest.mark.slow
async def test_a_share_of_the_sessions_streams_and_always_the_same(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"openai_base_url": provider.base_url, "feature_streaming": "50%"}
    with Api(tmp_path_factory.mktemp("half"), **settings) as app:
        async with app.client() as client:

            async def codes() -> list[str]:
                asked = (client.get("/stream/nothing", headers={"X-Session-Id": f"session {n}"}) for n in range(200))
                return [response.json()["error"]["code"] for response in await asyncio.gather(*asked)]

            first = await codes()
            assert set(first) == {"not_found", "streaming_off"}
            assert 60 <= first.count("not_found") <= 140
            assert await codes() == first
