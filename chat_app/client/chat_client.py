"""The client: requests, and what to do when a connection breaks. What the answers mean is in `events` and `records`."""

import json
import os
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_sse import EventSource

from .address import URL, parse_address, proxy_for, refuse_redirect, shown
from .api_key import API_KEY, authorization, unknown
from .backoff import Backoff, TryAgain
from .events import (
    GATEWAY,
    ClientError,
    Event,
    Finished,
    Reading,
    Started,
    Text,
    not_ours,
    parse_error,
)
from .measures import Measure
from .records import Chat, Hit, Imported, Message, imported, interrupted, parsed

# The server sends a comment every 15 s of silence.
SILENCE_S = 45.0
REPLY_S = 600.0
REPORT_S = 5.0
# How many chats, or messages, are asked for at once.
PAGE = 100
KNOWN = ("reasoning", "tools", "files", "steps", "sources", "suggestions")


class ChatClient:
    """`async with ChatClient("http://127.0.0.1:3000") as client: …`. All times are in seconds.

    Args:
        base_url: where the server is.
        api_key: for a server with accounts; by default RILL_API_KEY of the environment, if that is set.
        headers: sent with every request, such as `X-Session-Id`.
        timeout: for a connection to be made, and for a request to be sent.
        reconnect_for: how long to try again, since the last sign of life, before giving up; 0: not at all.
        transport: another way to send requests, for tests.
        measures: report to the server how long answers took to come, see docs/measuring.md; nothing of their text.

    Raises:
        ClientError: `base_url` is none ("bad_address"), or the proxy that the environment names cannot be used
            ("bad_proxy"), or `api_key` can be none ("bad_key"). Every method raises it too, and nothing else.
    """

    def __init__(
        self,
        base_url: str = URL,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        reconnect_for: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        measures: bool = False,
    ) -> None:
        self._measures = measures
        self._session = dict(headers or {}).get("X-Session-Id") or uuid.uuid4().hex
        self._url = parse_address(base_url)
        key = os.environ.get(API_KEY, "").strip() if api_key is None else api_key
        self._reconnect_for = reconnect_for
        self._timeout = timeout
        self._answered = False
        try:
            self._http = httpx.AsyncClient(
                base_url=self._url,
                headers={**authorization(key), **(headers or {})},
                timeout=httpx.Timeout(timeout, read=SILENCE_S),
                transport=transport,
                proxy=proxy_for(self._url) if transport is None else None,
                trust_env=False,
                event_hooks={"response": [refuse_redirect]},
                # This one still knows SSL_CERT_FILE.
                verify=httpx.create_ssl_context(),
            )
        except ImportError as error:
            # SOCKS needs a package that httpx does not bring along.
            raise ClientError("bad_proxy", f"The proxy that the environment names cannot be used: {error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; turns go on."""
        await self._http.aclose()

    async def stream(
        self,
        content: str,
        chat_id: str | None = None,
        *,
        key: str | None = None,
        reasoning: bool = False,
        include: Iterable[str] = (),
    ) -> AsyncGenerator[Event, None]:
        """Send a message and read the answer as it grows: `Started`, `Text` …, `Finished`.

        Without `chat_id` it begins a new chat. A broken connection is made again, and reading goes on at the exact
        character. Leaving the loop early leaves the turn running; `stop` ends it. Where the server does not stream, the
        whole answer comes as one `Text`. The same `key` (an own one each time by default) gives the same turn again.

        `reasoning` adds what the model thinks (`Reasoning`) and the known kinds of parts (`Part`), `include` parts of
        any other kinds, by their names.
        """
        request = _ask(content, chat_id, key or uuid.uuid4().hex)
        reading = Reading()
        begun = self._begin("", request, reading, content, _kinds(reasoning, include))
        async with aclosing(self._measured(begun, reading)) as events:
            async for event in events:
                yield event

    async def continue_(
        self,
        message_id: str,
        after: int = -1,
        *,
        key: str | None = None,
        reasoning: bool = False,
        include: Iterable[str] = (),
    ) -> AsyncGenerator[Event, None]:
        """Go on with an answer that was cut off or stopped: a new version of it, which begins with the old one's text.

        `after` is the number of its characters that are known and not to come again; else as `stream`.
        """
        path = f"{_part(message_id)}/continue"
        request = {"headers": {"Idempotency-Key": key or uuid.uuid4().hex}}
        reading = Reading(after=after)
        begun = self._begin(path, request, reading, None, _kinds(reasoning, include))
        async with aclosing(self._measured(begun, reading)) as events:
            async for event in events:
                yield event

    async def history(self, chat_id: str, limit: int = 100) -> list[Message]:
        """The newest messages of a chat's shown path, `limit` at most, the oldest of them first."""
        messages: list[Message] = []
        before: str | None = None
        while len(messages) < limit:
            page = _query(chat_id=chat_id, before=before, limit=min(limit - len(messages), PAGE))
            older, before = parsed(await self._body("GET", "/messages/", params=page), _messages)
            messages = older + messages
            if before is None:
                break
        return messages

    async def send(self, content: str, chat_id: str | None = None, *, key: str | None = None) -> Message:
        """Send a message and wait for the whole answer.

        A stopped answer is returned, with that status; the error of a failed or interrupted one has its text so far.
        """
        return await self._reply("", _ask(content, chat_id, key or uuid.uuid4().hex))

    async def resume(
        self, turn_id: str, after: int = -1, *, reasoning: bool = False, include: Iterable[str] = ()
    ) -> AsyncGenerator[Event, None]:
        """Read a turn, running or ended, after the number of the last event that is known (`Text.seq`).

        By default all of it. It begins with `Started` and ends with `Finished` even if there is no new text.
        """
        async with aclosing(self._follow(Reading(turn_id, after), None, _kinds(reasoning, include))) as events:
            async for event in events:
                yield event

    async def stop(self, turn: str) -> Message:
        """End a turn; returns the answer with its text so far. One that has ended stays as it is.

        `turn` is its id, or the `key` it began with: who waits in `send` does not know the id.
        """
        return parsed(await self._body("POST", f"/messages/{_part(turn)}/stop"), Message.of)

    async def message(self, message_id: str, *, include: Iterable[str] = ()) -> Message:
        """One message, with its parts of the kinds in `include`, such as "reasoning" and "tools"."""
        params = _params(",".join(include))
        return parsed(await self._body("GET", f"/messages/{_part(message_id)}", params=params), Message.of)

    async def rate(self, message_id: str, rating: int, remark: str = "") -> Message:
        """Thumbs up (1), down (-1) or neither (0) for an answer, and why."""
        rated = {"rating": rating, "remark": remark}
        return parsed(await self._body("POST", f"/messages/{_part(message_id)}/rating", json=rated), Message.of)

    async def chats(self, limit: int = 100) -> list[Chat]:
        """The pinned chats first, then the most recently used; `limit` at most."""
        chats: list[Chat] = []
        before: str | None = None
        while len(chats) < limit:
            page = _query(before=before, limit=min(limit - len(chats), PAGE))
            more, before = parsed(await self._body("GET", "/chats/", params=page), _chats)
            chats += more
            if before is None:
                break
        return chats

    async def chat(self, chat_id: str) -> Chat:
        return parsed(await self._body("GET", f"/chats/{_part(chat_id)}"), Chat.of)

    async def create_chat(self, title: str | None = None) -> Chat:
        """A chat without messages; without a title, it gets one from its first message."""
        return parsed(await self._body("POST", "/chats/", json={} if title is None else {"title": title}), Chat.of)

    async def set_chat(self, chat_id: str, /, **values: Any) -> Chat:
        """Set `title`, `pinned`, `model`, `system_prompt` or `temperature`; None gives the last three back to the app's
        default."""
        return parsed(await self._body("PATCH", f"/chats/{_part(chat_id)}", json=values), Chat.of)

    async def delete_chat(self, chat_id: str) -> None:
        """The chat and its messages, for good; what runs in it is stopped."""
        await self._body("DELETE", f"/chats/{_part(chat_id)}")

    async def search(self, words: str, limit: int = 30) -> list[Hit]:
        """Chats whose title has all the words, then messages, each the newest first."""
        return parsed(await self._body("GET", "/search/", params=_query(q=words, limit=limit)), _hits)

    async def welcome(self) -> list[str]:
        """What the app begins a chat with, if it has a brand of its own: name and welcome, suggestions, a last line.

        Raises ClientError: it has none ("not_found").
        """
        return parsed(await self._body("GET", "/brand/words"), _welcome)

    async def export_chat(self, chat_id: str) -> bytes:
        """The chat with all its versions as a file of JSON, which `import_chats` takes."""
        return (await self._body("GET", f"/chats/{_part(chat_id)}/export")).encode()

    async def export_markdown(self, chat_id: str, *, reasoning: bool = False) -> str:
        """The shown path as Markdown, on request with what the models thought."""
        params = {"format": "markdown"} | ({"reasoning": "true"} if reasoning else {})
        return await self._body("GET", f"/chats/{_part(chat_id)}/export", params=params)

    async def export_chats(self) -> AsyncGenerator[bytes, None]:
        """All chats as one file of JSON, in pieces, as `import_chats` takes it. It is not begun again."""
        try:
            async with self._open("GET", "/chats/export") as response:
                async for piece in response.aiter_bytes():
                    yield piece
        except TryAgain as again:
            raise again.error from again

    async def import_chats(self, file: bytes | AsyncIterator[bytes]) -> Imported:
        """New chats from an export of this app, of ChatGPT or of Open WebUI: all of them, or none. It is sent once: a
        second time the chats would come twice."""
        try:
            async with self._open("POST", "/chats/import", content=file, timeout=REPLY_S) as response:
                return parsed((await response.aread()).decode(errors="replace"), imported)
        except TryAgain as again:
            raise again.error from again

    async def _measured(self, begun: AsyncGenerator[Event, None], reading: Reading) -> AsyncGenerator[Event, None]:
        """The same events; how they came is reported when they end, or are left, where that is wanted."""
        measure = Measure(time.monotonic())
        try:
            async with aclosing(begun) as events:
                async for event in events:
                    measure.seen(event, reading, time.monotonic())
                    yield event
        finally:
            # Not streamed: nothing was read.
            report = measure.report(reading, self._session, whole=reading.started is None)
            if self._measures and report:
                with suppress(httpx.HTTPError):
                    await self._http.post("/measures/", json=report, timeout=REPORT_S)

    async def _follow(
        self, reading: Reading, first: dict[str, Any] | None, include: str
    ) -> AsyncGenerator[Event, None]:
        """The turn's events over as many connections as it takes; `first` is the request until the turn is known."""
        backoff = Backoff(self._reconnect_for)
        try:
            while True:
                request = first if first and not reading.turn_id else _get(reading, include)
                try:
                    async with aclosing(self._connection(reading, request)) as events:
                        async for event in events:
                            backoff.renew()
                            yield event
                            if isinstance(event, Finished):
                                return
                except TryAgain as again:
                    reading.breaks += 1
                    await backoff.wait(again.error)
        except ClientError as error:
            error.turn_id = error.turn_id or reading.turn_id or None
            error.text = error.text or reading.text
            raise

    async def _connection(self, reading: Reading, request: dict[str, Any]) -> AsyncGenerator[Event, None]:
        began = time.monotonic()
        async with self._open(**request) as response:
            reading.took = reading.took or time.monotonic() - began
            if response.status_code == httpx.codes.NO_CONTENT and not reading.whole:
                # It ended at or before what was read: a server that died had saved less. A replay tells how it ended.
                reading.whole = True
                return
            if (
                "text/event-stream" not in response.headers.get("Content-Type", "")
                or "X-Turn-Id" not in response.headers
            ):
                raise not_ours("no event stream", response.status_code)
            if started := reading.opened(response.headers):
                yield started
            async with aclosing(EventSource(response).aiter_sse()) as blocks:
                async for block in blocks:
                    if new := reading.event(response.headers, block.event, block.data, block.id):
                        yield new
        raise TryAgain(self._lost())

    async def _begin(
        self, path: str, request: dict[str, Any], reading: Reading, content: str | None, include: str
    ) -> AsyncGenerator[Event, None]:
        """The events of the turn that this request begins, below `/stream/`; of a whole reply where that is off."""
        after = reading.after
        asked = ",".join([*filter(None, [include]), *(["timing"] if self._measures else [])])
        post = {"method": "POST", "url": f"/stream/{path}", "params": _params(asked) | {"ids": "1"}, **request}
        try:
            async with aclosing(self._follow(reading, post, include)) as events:
                async for event in events:
                    yield event
            return
        except ClientError as error:
            if error.code != "streaming_off" or reading.started:
                raise
        for event in _whole(content, await self._reply(path, request), max(after, 0)):
            yield event

    async def _reply(self, path: str, request: dict[str, Any]) -> Message:
        url, timeout = f"/messages/{path}", httpx.Timeout(self._timeout, read=REPLY_S)
        message = parsed(await self._body("POST", url, **request, timeout=timeout), Message.of)
        if message.status == "interrupted":
            raise interrupted(message)
        return message

    async def _body(self, method: str, url: str, **request: Any) -> str:
        backoff = Backoff(self._reconnect_for)
        while True:
            try:
                async with self._open(method, url, **request) as response:
                    return (await response.aread()).decode(errors="replace")
            except TryAgain as again:
                await backoff.wait(again.error)

    @asynccontextmanager
    async def _open(self, method: str, url: str, **request: Any) -> AsyncIterator[httpx.Response]:
        """A response that is a success. Within the block too, what may be mended by a new request raises TryAgain."""
        try:
            async with self._http.stream(method, url, **request) as response:
                self._answered = True
                await _check(response)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # A server that has answered before is coming back; one that never has is not there.
            raise TryAgain(self._lost()) if self._answered else self._unreachable(error) from error
        except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError) as error:
            raise TryAgain(self._lost()) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._unreachable(error) from error

    def _lost(self) -> ClientError:
        return ClientError(
            "connection_lost",
            f"The connection to {shown(self._url)} was lost and did not come back within {self._reconnect_for:g} s. "
            "An answer that had begun goes on there.",
            retryable=True,
        )

    def _unreachable(self, error: Exception) -> ClientError:
        return ClientError(
            "unreachable",
            f"There is no server at {shown(self._url)} ({error}). Start one with `make run`, or give its address.",
            retryable=True,
        )


async def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    error = parse_error((await response.aread()).decode(errors="replace"), response.status_code)
    if error.code == "not_signed_in":
        raise unknown(error, with_key="Authorization" in response.request.headers)
    if error.code == "shutting_down" or (error.code == "bad_answer" and response.status_code in GATEWAY):
        raise TryAgain(error)
    raise error


def _ask(content: str, chat_id: str | None, key: str) -> dict[str, Any]:
    # ASCII, so that half a surrogate pair gets the server's sentence instead of an error of the encoder.
    body = json.dumps({"content": content, "chat_id": chat_id})
    return {"content": body, "headers": {"Content-Type": "application/json", "Idempotency-Key": key}}


def _get(reading: Reading, include: str) -> dict[str, Any]:
    """The request that goes on where reading stopped."""
    request = {"method": "GET", "url": f"/stream/{_part(reading.turn_id)}"}
    if reading.whole:
        return request | {"params": _params(include) | {"after": "0"}}
    known = {"Last-Event-ID": f"{reading.turn_id}:{reading.after}"} if reading.after >= 0 else {}
    return request | {"params": _params(include), "headers": known}


def _part(id: str) -> str:
    """Of a path."""
    return quote(id, safe="")


def _query(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _messages(page: dict[str, Any]) -> tuple[list[Message], str | None]:
    return [Message.of(value) for value in page["messages"]], page["next"]


def _chats(page: dict[str, Any]) -> tuple[list[Chat], str | None]:
    return [Chat.of(value) for value in page["chats"]], page["next"]


def _welcome(words: dict[str, Any]) -> list[str]:
    suggested = [f"  {text}" for text in words["suggestions"]]
    return [f"{words['name']}: {words['welcome']}", *suggested, *([words["footer"]] if words["footer"] else [])]


def _hits(found: dict[str, Any]) -> list[Hit]:
    return [Hit.of(value) for value in found["hits"]]


def _kinds(reasoning: bool, include: Iterable[str]) -> str:
    return ",".join([*(KNOWN if reasoning else ()), *include])


def _params(include: str) -> dict[str, str]:
    return {"include": include} if include else {}


def _whole(content: str | None, reply: Message, after: int) -> list[Event]:
    """The events of an answer that came whole, those after a number."""
    text = [Text(len(reply.content), reply.content[after:])] if reply.content[after:] else []
    finished = Finished(reply.finish_reason or reply.status, reply.usage)
    return [Started(reply.id, reply.chat_id, reply.id, content), *text, finished]
