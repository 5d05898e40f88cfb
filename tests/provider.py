"""An OpenAI-compatible provider that misbehaves on demand: the test double, run as its own process.

`python -m tests.provider [--port N]` prints `{"base_url": …}` once it accepts connections and ends when its stdin
does. What it answers is scripted by the request: a last user message whose last line holds `SCRIPT {json}`; the keys
are the fields of `Script`. `tests.provider_client` starts it from a test.

It speaks HTTP/1.1 by hand because no framework lets a handler reset a connection in mid-chunk, split a character
over two writes, or see at once that its client has gone. One file, so that it runs and reads as one program:
the script and its texts (pure) come first, then the requests on record, then the wire.
"""

import argparse
import asyncio
import itertools
import json
import keyword
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from http import HTTPStatus
from json.encoder import encode_basestring  # what json.dumps uses when ensure_ascii is off
from typing import Any

MODEL = "bench"
SEPARATORS = "one\u2028two\u2029three\u0085four "
EMOJI = "👋 "
BATCH = 16  # tokens to a write when flat out: a system call each would make this double the bottleneck
KINDS = "content", "reasoning_content"
DEFAULT_TOKENS, DEFAULT_MARKDOWN_TOKENS = 12, 500

MARKDOWN = """\
## Section {n}: streaming in practice

A reply arrives in **small pieces**, and each of them may end in the *middle* of a word, a `code span`, or a
[link](https://example.com/{n}). The page must not flicker while the text is still growing.

1. Read the next delta from the provider.
2. Append it to the log, so that a late reader can replay it.
3. Send only what is new:
   - the offset of the first new character
   - the text from there on

```python
def running_total(values: list[float]) -> list[float]:
    \"\"\"Each element is the sum of all before it and itself.\"\"\"
    total, result = 0.0, []
    for value in values:
        total += value
        result.append(total)
    return result
```

| Reader | Lag (ms) | Note |
|:-------|---------:|------|
| page   | 5.2      | flushed each frame |
| stream | 1.1      | as it comes |

> What is measured here is the time from the write to the paint.

"""


# The script


class BadScript(ValueError):
    """The message asks for something that this double cannot do; the text is for the test's author."""


@dataclass(frozen=True, slots=True)
class Script:
    """What to answer and how to fail. `*_after` counts answer tokens, those of `reasoning` left out."""

    tokens: int | None = None  # words `tok<N> `; -1: endless
    text: str | None = None  # exactly this, split on word boundaries
    pieces: list[str] | None = None  # exactly these
    markdown: bool = False  # DEFAULT_MARKDOWN_TOKENS tokens of MARKDOWN unless `tokens` says otherwise
    stamp: bool = False  # keep the time of each token's write; words are `tok<N>`, in markdown too
    big: int = 0  # one token of that many bytes, before the answer
    separators: bool = False  # U+2028, U+2029, U+0085 as they are: a token of them first, unless the text has some
    split_emoji: bool = False  # characters of four bytes in two writes: a token first, unless the text has some
    split_ms: float = 50.0  # from the first of them to the second
    reasoning: list[str] = field(default_factory=list)
    think_every: int = 0  # so many of the answer's tokens are text, as many reasoning, and so on by turns
    deltas: list[dict[str, Any]] = field(default_factory=list)  # exactly these, before the answer's tokens
    call: dict[str, Any] | None = None  # a tool's `name` and `arguments`: asked for first; what it gave gets the answer
    interval_ms: float = 5.0  # token N is due N intervals after the first, so lateness does not add up; 0: flat out
    burst: int = 0  # so many tokens come with the first, the next one interval later
    first_ms: float = 0.0  # from the role chunk to the first token
    headers_ms: float = 0.0  # silence before the response's very first byte
    finish_reason: str = "stop"
    empty_choices: bool = False
    null_content: bool = False
    no_done: bool = False
    no_usage: bool = False
    status: int | None = None
    retry_after: float | None = None
    context_limit: int | None = None  # characters in all messages together
    reset_after: int | None = None
    drop_after: int | None = None
    stall_after: int | None = None
    hold: list[int] = field(default_factory=list)  # waits for a `POST /_go` after so many tokens, each time
    error_after: int | None = None
    malformed_after: int | None = None
    raw: list[str] | None = None  # exactly these bytes as the body, a write each, instead of all above
    raw_times: int = 1  # the last of them is written so often
    raw_status: int = 200
    raw_headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    refusals: list[dict[str, Any]] = field(default_factory=list)  # see `Refusal`; the first that fits is sent

    def after(self, messages: list[dict[str, Any]]) -> "Script":
        """What to answer to these, as long as no tool was called."""
        if self.call is None or messages[-1].get("role") == "tool":
            return self
        tool = {"index": 0, "id": "call_0", "type": "function", "function": self.call}
        return replace(self, deltas=[{"tool_calls": [tool]}], text="", finish_reason="tool_calls")

    @property
    def failure(self) -> tuple[int, str] | None:
        """The first thing that ends this answer early: after how many tokens, and how."""
        afters = self.reset_after, self.drop_after, self.stall_after, self.error_after
        ways = zip(afters, ("reset", "drop", "stall", "error"), strict=True)
        return min(((after, way) for after, way in ways if after is not None), default=None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What requests get that have `part`, a parameter or `system` for the role, or more than so many `messages`."""

    body: str
    status: int = 400
    part: str = ""
    messages: int = 0
    type: str = "application/json"

    def fits(self, request: dict[str, Any]) -> bool:
        if self.messages:
            return len(request["messages"]) > self.messages
        if self.part == "system":
            return any(message["role"] == "system" for message in request["messages"])
        return bool(self.part in request and request[self.part] is not False)


def parse_script(message: str) -> Script:
    """The script on the last line of a user's message; the default one if there is none."""
    _, mark, source = message.rstrip().rsplit("\n", 1)[-1].partition("SCRIPT {")
    if not mark:
        return Script()
    try:
        keys, _ = json.JSONDecoder().raw_decode("{" + source)
    except ValueError as error:
        raise BadScript(f"SCRIPT is not followed by JSON: {error}") from error
    known = {one.name for one in fields(Script)}
    if unknown := keys.keys() - known:
        raise BadScript(f"SCRIPT has unknown keys {sorted(unknown)}; known are {sorted(known)}")
    return Script(**keys)


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def answer_tokens(script: Script, question: str) -> Iterator[str]:
    """The answer's tokens, numbered from 0 with those that open it, so that `tok<N>` is always token N."""
    opening = list(_opening(script))
    body = _body(script, question, len(opening))
    return itertools.chain(opening, body)


def token_kind(script: Script, number: int) -> str:
    """The field of the delta in which the answer's token of that number comes."""
    return KINDS[number // script.think_every % 2] if script.think_every else "content"


def _opening(script: Script) -> Iterator[str]:
    given = "".join(script.pieces or [script.text or ""])
    if script.separators and not re.search("[\u2028\u2029\u0085]", given):
        yield SEPARATORS
    if script.split_emoji and max(given, default="") < "\U00010000":
        yield EMOJI
    if script.big:
        yield "x" * script.big


def _body(script: Script, question: str, start: int) -> Iterator[str]:
    if script.pieces is not None:
        return iter(script.pieces)
    if script.text is not None:
        return iter(words(script.text))
    if script.markdown:
        return _counted(_markdown(script, start), script.tokens, DEFAULT_MARKDOWN_TOKENS)
    if script.tokens is not None or script.stamp:
        return _counted((f"tok{n} " for n in itertools.count(start)), script.tokens, DEFAULT_TOKENS)
    if script.big or script.separators or script.split_emoji or script.deltas:
        return iter(())
    return iter(words("This is a short answer to: " + " ".join(question.split()[:6])))


def _counted(tokens: Iterator[str], count: int | None, default: int) -> Iterator[str]:
    count = default if count is None else count
    return tokens if count < 0 else itertools.islice(tokens, count)


def _markdown(script: Script, start: int) -> Iterator[str]:
    sections = (words(MARKDOWN.replace("{n}", str(n))) for n in itertools.count(1))
    tokens = itertools.chain.from_iterable(sections)
    return map(_numbered, itertools.count(start), tokens) if script.stamp else tokens


def _numbered(n: int, token: str) -> str:
    """The token with its word replaced by `tok<n>`. Marks, fences and keywords stay, or it would render otherwise."""
    word = re.search("[A-Za-z_]+", token)
    if not word or "`" in token or "](" in token or keyword.iskeyword(word[0]):
        return token
    return token[: word.start()] + f"tok{n}" + token[word.end() :]


def message_text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def last_user_text(messages: list[dict[str, Any]]) -> str:
    return next((message_text(one) for one in reversed(messages) if one.get("role") == "user"), "")


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# What was received


@dataclass(slots=True)
class Exchange:
    """A request and what became of it. Either `closed_by_client` or `finished` is set in the end, never both."""

    id: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    started: float
    closed_by_client: float | None = None
    finished: float | None = None
    tokens_sent: int = 0
    stamps: list[float] = field(default_factory=list)
    go: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def asks(self, word: str) -> bool:
        """Whether it asks for an answer, with that word in what it says."""
        return self.method == "POST" and word in json.dumps(self.body)

    def public(self) -> dict[str, Any]:
        """All but the stamps, which can be many."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("stamps", "go")}


class Record:
    """Every request to /v1 since the last clear."""

    def __init__(self) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self._numbers = itertools.count(1)

    def open(self, request: "Request") -> Exchange:
        name = f"chatcmpl-{next(self._numbers)}"
        exchange = Exchange(name, request.method, request.path, request.headers, request.json(), time.time())
        self.exchanges[name] = exchange
        return exchange


# The wire


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.content) if self.content else None
        except ValueError:
            return None


class Reader(asyncio.StreamReader):
    """A reader that tells at once that its peer has gone, also while nobody reads."""

    gone = False
    on_gone: Callable[[], None] | None = None

    def feed_eof(self) -> None:
        super().feed_eof()
        self._tell()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._tell()

    def _tell(self) -> None:
        self.gone = True
        if self.on_gone:
            self.on_gone()


class Wire:
    """One connection: requests in, bytes out, and every way to break it."""

    def __init__(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self) -> Request | None:
        """The next request, or None when the client has closed."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
            content = await self.reader.readexactly(int(headers.get("content-length", 0)))
        except asyncio.IncompleteReadError:
            return None
        method, path, _ = line.split(" ", 2)
        return Request(method, path.partition("?")[0], headers, content)

    def send(self, data: bytes) -> None:
        """Hand bytes to the kernel now. uvloop's own write waits for the end of the loop's round: with hundreds of
        streams, milliseconds after the token was stamped."""
        transport = self.writer.transport
        if transport.is_closing():
            raise ConnectionResetError
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.write(self._socket.fileno(), data)
            except BlockingIOError:
                pass
        if sent < len(data):
            self.writer.write(data[sent:])

    async def drain(self) -> None:
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN: the kernel sends one when it closes a socket that may not linger."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


def http_head(status: int, headers: dict[str, str]) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def json_response(status: int, body: bytes, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_head(status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **named}) + body


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def sse(data: str) -> bytes:
    return http_chunk(f"data: {data}\n\n".encode())


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    return dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


STATUS_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
MIDSTREAM_ERROR = error_body("The server had an error while processing your request.", "server_error", "server_error")


# The answers


class Reply:
    """One answer to one chat request, streamed or whole."""

    def __init__(self, wire: Wire, exchange: Exchange, script: Script) -> None:
        self.wire, self.exchange, self.script = wire, exchange, script
        body = exchange.body
        self.messages: list[dict[str, Any]] = body["messages"]
        self.usage_asked = bool((body.get("stream_options") or {}).get("include_usage")) and not script.no_usage
        self.base = {"created": int(exchange.started), "model": body.get("model", MODEL), "system_fingerprint": None}
        self.tokens = answer_tokens(script, last_user_text(self.messages))
        self._around = {kind: self._chunk({kind: "\0"}).split('"\\u0000"') for kind in KINDS}
        self._failure = script.failure
        self._queue: list[bytes] = []
        self._queued_tokens = 0
        self._first_due = 0.0

    async def run(self) -> None:
        await asyncio.sleep(self.script.headers_ms / 1000)
        refusals = (Refusal(**one) for one in self.script.refusals)
        if refused := next((one for one in refusals if one.fits(self.exchange.body)), None):
            await self._raw([refused.body], refused.status, {"Content-Type": refused.type})
        elif self.script.raw is not None:
            pieces = [*self.script.raw, *self.script.raw[-1:] * (self.script.raw_times - 1)]
            await self._raw(pieces, self.script.raw_status, self.script.raw_headers)
        elif refusal := self._refusal():
            self.wire.send(refusal)
        elif self.exchange.body.get("stream"):
            await self._stream()
        else:
            await self._whole()

    def _refusal(self) -> bytes | None:
        """The response of a request that gets no answer."""
        script, size = self.script, sum(len(message_text(one)) for one in self.messages)
        headers = {} if script.retry_after is None else {"Retry_After": f"{script.retry_after:g}"}
        if script.status:
            kind, code = STATUS_ERRORS.get(script.status, ("server_error", None))
            body = error_body(f"Scripted status {script.status}.", kind, code)
            return json_response(script.status, body, **headers)
        if script.context_limit is not None and size > script.context_limit:
            text = f"The maximum context length is {script.context_limit} characters; the messages have {size}."
            body = error_body(text, "invalid_request_error", "context_length_exceeded", "messages")
            return json_response(400, body)
        return None

    async def _raw(self, pieces: list[str], status: int, headers: dict[str, str]) -> None:
        """Bytes stand as Latin-1 where a piece begins with `bytes:`, else they are UTF-8."""
        self.wire.send(http_head(status, headers | ({"Transfer-Encoding": "chunked"} if status != 204 else {})))
        for piece in pieces:
            data = piece[6:].encode("latin-1") if piece.startswith("bytes:") else piece.encode()
            if data:
                self.wire.send(http_chunk(data))
                await self.wire.drain()
                # A read of its own for each, or nearly.
                await asyncio.sleep(0.001)
        if status != 204:
            self.wire.send(b"0\r\n\r\n")

    async def _stream(self) -> None:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
        headers |= {"Cache-Control": "no-cache", "X-Request-Id": self.exchange.id}
        role = sse(self._chunk({"role": "assistant", "content": "", "refusal": None}))
        self.wire.send(http_head(200, headers) + role)
        await asyncio.sleep(self.script.first_ms / 1000)
        await self._think()
        if await self._speak():
            self._finish()
            await self.wire.drain()

    async def _think(self) -> None:
        for piece in self.script.reasoning:
            self.wire.send(sse(self._chunk({"reasoning_content": piece})))
            await asyncio.sleep(self.script.interval_ms / 1000)
        for delta in self.script.deltas:
            self.wire.send(sse(self._chunk(delta)))

    async def _speak(self) -> bool:
        """Send the tokens; False if the script broke the answer off."""
        paced = self.script.interval_ms > 0
        self._first_due = time.perf_counter()
        for sent, token in enumerate(self.tokens):  # `sent` tokens have gone before this one
            if sent in self.script.hold:
                await self._held()
            if paced:
                await self._until_due(sent)
            if await self._broken_off(sent):
                return False
            await self._say(token, token_kind(self.script, sent))
            if paced or sent % BATCH == 0:
                await self._flush()
        await self._flush()
        return not await self._broken_off(self.exchange.tokens_sent)

    async def _held(self) -> None:
        await self._flush()
        began = time.perf_counter()
        await self.exchange.go.acquire()
        self._first_due += time.perf_counter() - began

    async def _until_due(self, number: int) -> None:
        due = self._first_due + max(0, number - self.script.burst) * self.script.interval_ms / 1000
        await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _say(self, token: str, kind: str) -> None:
        if self.script.empty_choices:
            self._queue.append(sse(self._chunk(None)))
        if self.script.null_content:
            self._queue.append(sse(self._chunk({"content": None})))
        before, after = self._around[kind]
        event = sse(before + encode_basestring(token) + after)
        if self.script.split_emoji and max(token, default="") >= "\U00010000":
            event = await self._first_half(event)
        self._queue.append(event)
        self._queued_tokens += 1

    async def _first_half(self, event: bytes) -> bytes:
        """Send up to the middle of the first four-byte character; what is left is returned."""
        middle = next(at for at, byte in enumerate(event) if byte >= 0xF0) + 2
        await self._flush()
        self.wire.send(event[:middle])
        await asyncio.sleep(self.script.split_ms / 1000)
        return event[middle:]

    async def _flush(self) -> None:
        if not self._queue:
            return
        data, count = b"".join(self._queue), self._queued_tokens
        self._queue.clear()
        self._queued_tokens = 0
        self.exchange.tokens_sent += count
        if self.script.stamp:  # as late as it can be
            self.exchange.stamps += [time.time() * 1000] * count
        self.wire.send(data)
        await self.wire.drain()
        if not self.script.interval_ms:
            await asyncio.sleep(0)  # drain alone does not let the loop see that the client has gone

    async def _broken_off(self, sent: int) -> bool:
        """Do what the script has in store after `sent` tokens; True if that ends the answer."""
        if sent == self.script.malformed_after:
            self._queue.append(http_chunk(b'data: {"choi\n\n'))
        if self._failure is None or sent != self._failure[0]:
            return False
        await self._flush()
        unfinished = http_chunk(f"data: {self._around['content'][0]}".encode() + b" " * 64)[:-40]
        await self._fail(self._failure[1], unfinished)
        return True

    async def _fail(self, way: str, unfinished: bytes) -> None:
        if way == "stall":
            await asyncio.Event().wait()
        elif way == "error":
            done = b"" if self.script.no_done else sse("[DONE]")
            self.wire.send(sse(MIDSTREAM_ERROR.decode()) + done + b"0\r\n\r\n")
        elif way == "drop":
            self.wire.close()
        else:
            self.wire.send(unfinished)
            self.wire.reset()

    def _finish(self) -> None:
        """The end in one write: a client that closes at [DONE] has then been told everything."""
        self._queue.append(sse(self._chunk({}, self.script.finish_reason)))
        if self.usage_asked:
            self._queue.append(sse(self._chunk(None, usage=self._usage(self.exchange.tokens_sent))))
        if not self.script.no_done:
            self._queue.append(sse("[DONE]"))
        self.wire.send(b"".join(self._queue) + b"0\r\n\r\n")

    async def _whole(self) -> None:
        if self.script.tokens == -1 and self.script.text is None and self.script.pieces is None:
            await asyncio.Event().wait()
        tokens = list(self.tokens)
        after, way = self._failure or (len(tokens) + 1, "")
        pause = self.script.first_ms + self.script.interval_ms * (min(after, len(tokens)) + len(self.script.reasoning))
        await asyncio.sleep(pause / 1000)
        for _ in self.script.hold:
            await self.exchange.go.acquire()
        response = self._whole_response(tokens)
        if after > len(tokens):
            self.exchange.tokens_sent = len(tokens)
            self.wire.send(response)
            await self.wire.drain()
        elif way == "error":
            self.wire.send(json_response(500, MIDSTREAM_ERROR))
        else:
            if way == "drop":
                self.wire.send(response[:-40])
            await self._fail(way, response[:-40])

    def _whole_response(self, tokens: list[str]) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "refusal": None} | {
            kind: "".join(token for number, token in enumerate(tokens) if token_kind(self.script, number) == kind)
            for kind in (KINDS if self.script.think_every else KINDS[:1])
        }
        if self.script.reasoning:
            message["reasoning_content"] = "".join(self.script.reasoning)
        for delta in self.script.deltas:
            message |= delta
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.script.finish_reason}
        reply = {"id": self.exchange.id, "object": "chat.completion", **self.base, "choices": [choice]}
        if not self.script.no_usage:
            reply["usage"] = self._usage(len(tokens))
        body = '{"choi' if self.script.malformed_after is not None else dumps(reply)
        return json_response(200, body.encode(), X_Request_Id=self.exchange.id)

    def _chunk(
        self, delta: dict[str, Any] | None, finish_reason: str | None = None, usage: dict[str, Any] | None = None
    ) -> str:
        """One chunk as JSON; without a delta, one without choices."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk: dict[str, Any] = {"id": self.exchange.id, "object": "chat.completion.chunk", **self.base}
        chunk["choices"] = [] if delta is None else [choice]
        if self.usage_asked:  # OpenAI then sends null in all chunks but the last
            chunk["usage"] = usage
        return dumps(chunk)

    def _usage(self, spoken: int) -> dict[str, Any]:
        """A word is a token here."""
        prompt = sum(len(message_text(one).split()) for one in self.messages)
        thought = len(self.script.reasoning)
        completion = spoken + thought
        details = {"reasoning_tokens": thought}
        total = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return {**total, "completion_tokens_details": details}


class Connection:
    """Answers the requests of one client, one after the other."""

    def __init__(self, reader: Reader, writer: asyncio.StreamWriter, record: Record) -> None:
        self.reader, self.record, self.wire = reader, record, Wire(reader, writer)
        self._exchange: Exchange | None = None  # the one under way
        self._task: asyncio.Task[Any] | None = None

    async def serve(self) -> None:
        self._task = asyncio.current_task()
        self.reader.on_gone = self._cancel
        try:
            while request := await self.wire.read():
                await self._handle(request)
                if request.headers.get("connection", "").lower() == "close":
                    break
        except ConnectionError:  # found by writing, before the loop told the reader
            self._client_closed()
        except asyncio.CancelledError:
            if not self.reader.gone:
                raise  # the loop is ending
        finally:
            self.wire.close()

    def _cancel(self) -> None:
        if self._exchange and self._task:
            self._client_closed()
            self._task.cancel()

    def _client_closed(self) -> None:
        if self._exchange:
            self._exchange.closed_by_client = time.time()
            self._exchange = None

    async def _handle(self, request: Request) -> None:
        if not request.path.startswith("/v1/"):
            self.wire.send(self._control(request))
            return await self.wire.drain()
        exchange = self._exchange = self.record.open(request)
        if self.reader.gone:
            raise ConnectionResetError
        await self._provide(request, exchange)
        exchange.finished = time.time()
        self._exchange = None

    async def _provide(self, request: Request, exchange: Exchange) -> None:
        match request.method, request.path:
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}
                self.wire.send(json_response(200, dumps({"object": "list", "data": [model]}).encode()))
            case "POST", "/v1/chat/completions":
                await self._chat(exchange)
            case method, path:
                body = error_body(f"Unknown request URL: {method} {path}.", "invalid_request_error", "unknown_url")
                self.wire.send(json_response(404, body))

    async def _chat(self, exchange: Exchange) -> None:
        try:
            messages = exchange.body["messages"]
            script = parse_script(last_user_text(messages)).after(messages)
        except (BadScript, KeyError, TypeError, AttributeError) as error:
            text = str(error) if isinstance(error, BadScript) else "The body is not JSON with a list of messages."
            self.wire.send(json_response(400, error_body(text, "invalid_request_error", "bad_script")))
        else:
            await Reply(self.wire, exchange, script).run()

    def _control(self, request: Request) -> bytes:
        """What a test asks of the double itself."""
        exchanges = self.record.exchanges
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["_requests"]:
                return json_response(200, dumps([one.public() for one in exchanges.values()]).encode())
            case "DELETE", ["_requests"]:
                exchanges.clear()
                return json_response(200, b"[]")
            case "POST", ["_go", *of] if asked := [one for one in exchanges.values() if one.asks("".join(of))]:
                asked[-1].go.release()
                return json_response(200, b"{}")
            case "GET", ["_stamps", name] if name in exchanges:
                return json_response(200, dumps(exchanges[name].stamps).encode())
        return json_response(404, error_body(f"Nothing at {request.path}.", "invalid_request_error"))


def end_with_stdin() -> None:
    """End this process when its parent has gone. A thread, because no loop can watch every kind of stdin."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


async def serve(port: int) -> None:
    loop, record = asyncio.get_running_loop(), Record()

    def connection() -> asyncio.StreamReaderProtocol:
        reader = Reader(limit=1 << 20, loop=loop)

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
            return Connection(reader, writer, record).serve()

        return asyncio.StreamReaderProtocol(reader, connected, loop=loop)

    server = await loop.create_server(connection, "127.0.0.1", port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{port}/v1"}), flush=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    await server.serve_forever()


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.provider", description="A provider that misbehaves on demand."
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
