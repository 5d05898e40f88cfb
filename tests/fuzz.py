"""Sends odd requests to a running app and judges the answers. `python -m tests.fuzz --seed 7 --seconds 60` by hand."""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import h11
import httpx

from tests.forked import Api
from tests.odd import Names, OddRequest, odd_frames, odd_message, odd_request
from tests.ws_client import Closed, Socket

PATIENCE_S = 20.0
AT_ONCE = 8
MESSAGES_PER_SOCKET = 10
SENTINEL = "Are you still there?"


class Fault(Exception):
    """What no client may be able to cause."""


@dataclass
class Report:
    """How often each status came, and what went wrong."""

    statuses: Counter[int] = field(default_factory=Counter)
    sockets: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What came back; `status` is 0 where the server just closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def ours(self) -> bool:
        """Whether the app answered, not the HTTP server below it, which knows no JSON."""
        return "x-content-type-options" in self.headers


async def names_of(url: str) -> Names:
    """A chat with a message and its reply, and one that is empty."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        reply = (await client.post("/messages/", json={"content": "Say hello"})).raise_for_status().json()
        empty = (await client.post("/chats/")).raise_for_status().json()
    return {"chat_id": reply["chat_id"], "turn_id": reply["id"], "message_id": reply["id"], "doomed_id": empty["id"]}


async def fuzz(url: str, seed: int, numbers: Iterator[int]) -> Report:
    """Send what these numbers stand for: requests, and every tenth a socket with messages."""
    names = await names_of(url)
    report = Report()

    async def work() -> None:
        for number in numbers:
            random = Random(f"{seed}:{number}")
            try:
                if number % MESSAGES_PER_SOCKET:
                    report.statuses[await one_request(url, random, names)] += 1
                else:
                    await one_socket(url, random, names)
                    report.sockets += 1
            except Fault as fault:
                report.faults.append(f"seed {seed}, number {number}: {fault}")

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(work())
    return report


# Requests


async def one_request(url: str, random: Random, names: Names) -> int:
    odd = odd_request(random, names)
    try:
        async with asyncio.timeout(PATIENCE_S):
            answer = await exchanged(url, odd)
    except TimeoutError:
        raise Fault(f"no answer to {odd.data[:600]!r} within {PATIENCE_S} s") from None
    if problem := judged(answer, odd):
        raise Fault(f"{problem}\n{odd.data[:2_000]!r}\n{answer.status} {answer.headers}\n{answer.body[:600]!r}")
    return answer.status


async def exchanged(url: str, odd: OddRequest) -> Answer:
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    # Sent beside the reading: the server may answer, and close, before it has all.
    sending = asyncio.create_task(_send(writer, odd))
    try:
        return await _answer(reader, odd.head)
    finally:
        sending.cancel()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, odd: OddRequest) -> None:
    with suppress(OSError):
        writer.write(odd.data)
        await writer.drain()
        if odd.cut:
            writer.write_eof()


async def _answer(reader: asyncio.StreamReader, head: bool) -> Answer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    connection.send(h11.Request(method="HEAD" if head else "GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    status, headers, body, whole = 0, {}, b"", False
    with suppress(ConnectionError, h11.RemoteProtocolError):
        while not whole:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if not (data := await reader.read(65_536)) and not status:
                    break
                connection.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                whole = True
    return Answer(status, headers, body, whole)


def judged(answer: Answer, odd: OddRequest) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if answer.status >= 500:
        return "a fault of the server's"
    if not answer.whole and not odd.cut:
        return "no whole answer to a request that was sent whole"
    if answer.status < 400:
        return ""
    kind = answer.headers.get("content-type", "")
    if not answer.ours:
        return "" if not answer.body or kind.startswith("text/plain") else "a refusal of the HTTP server's with a body"
    if kind != "application/json":
        # Of a page, to a range that it does not have.
        return "" if kind.startswith("text/plain") and b" /embed" in odd.data else "a refusal that is no JSON"
    return "" if odd.head else misshapen(answer.body)


def misshapen(body: bytes) -> str:
    """What is wrong with the body of an error."""
    try:
        error = json.loads(body)["error"]
        sentence = error["message"]
        fine = isinstance(error["code"], str) and isinstance(error["retryable"], bool)
        fine = fine and sentence[-1] in ".!?" and " " in sentence and len(sentence) < 1_000
    except (ValueError, KeyError, TypeError, IndexError):
        fine = False
    return "" if fine else "an error without its shape"


# Messages


async def one_socket(url: str, random: Random, names: Names) -> None:
    """A few odd messages on one socket, and then one that is none: its answer must come, after all the others."""
    if random.random() < 0.3:
        return await one_broken_socket(url, odd_frames(random))
    sent: list[str | bytes] = []
    try:
        async with asyncio.timeout(PATIENCE_S), Socket(url.replace("http", "ws", 1) + "/stream/ws") as socket:
            for _ in range(MESSAGES_PER_SOCKET):
                sent.append(odd_message(random, names))
                await socket.send(sent[-1])
            await socket.send({"content": SENTINEL})
            await until_answered(socket)
    except (TimeoutError, Closed, Fault) as problem:
        shown = [message[:300] for message in sent]
        raise Fault(f"{problem or 'no answer in time'} on a socket after {shown!r}") from problem


async def one_broken_socket(url: str, frames: bytes) -> None:
    """The server must close it, whatever came."""
    with suppress(Closed, ConnectionError):
        try:
            async with asyncio.timeout(PATIENCE_S), Socket(url.replace("http", "ws", 1) + "/stream/ws") as socket:
                await socket.break_off(frames)
                while True:
                    await socket.receive_text()
        except TimeoutError:
            raise Fault(f"a socket stays open after {frames!r}") from None


async def until_answered(socket: Socket) -> None:
    turn = None
    while True:
        received = await socket.receive()
        if "error" in received and (problem := misshapen(json.dumps(received).encode())):
            raise Fault(f"{problem}: {received}")
        if received.get("error", {}).get("code") == "internal_error":
            raise Fault(f"a fault of the server's: {received}")
        if received.get("delta") == SENTINEL:
            turn = received["turn_id"]
        if "finish_reason" in received and received["turn_id"] == turn:
            return


# By hand


def numbers_for(seconds: float) -> Iterator[int]:
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        yield number
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Api(Path(folder), replies="tests.at_once:reply") as api:
        report = asyncio.run(fuzz(api.url, options.seed, numbers_for(options.seconds)))
        print(*report.faults, sep="\n\n")
        print(f"seed {options.seed}: {report.statuses.total()} requests, {report.sockets} sockets,", end=" ")
        print(f"{len(report.faults)} faults, {dict(report.statuses.most_common())}")
        assert "Traceback" not in api.logged(), api.logged()


if __name__ == "__main__":
    main()
