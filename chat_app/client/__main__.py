"""`python -m chat_app.client "question"`: a chat in the terminal. Answers go to stdout, all else to stderr."""

import argparse
import asyncio
import io
import logging
import os
import shlex
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, NoReturn

from . import prompt
from .address import URL
from .chat_client import ChatClient
from .events import ClientError, Event, Finished, Part, Reasoning, Started, Text
from .prompt import Questions
from .screen import Cleaner, clean, dim, part_line

FAILED, INTERRUPTED = 1, 130
PROGRAM = f"python -m {__package__}"
STOP_S = 5.0
HELP = "An empty line or Ctrl+D ends the chat, Ctrl+C stops an answer."
CONTINUE = "/continue"
NOTES = {"stopped": "Stopped; the text so far is kept.", "length": "The answer was cut off at the model's limit."}


class Chat:
    """One conversation; each question is read in a task of its own, which Ctrl+C does not reach."""

    def __init__(self, client: ChatClient, chat_id: str | None, interactive: bool) -> None:
        self.client = client
        self.chat_id = chat_id
        self._interactive = interactive
        self._turn: asyncio.Future[str]
        self._key = ""
        self._wrote = False
        # What is on the screen last: text, thoughts, another part, or nothing.
        self._last: type[Text | Reasoning | Part] | None = None

    async def ask(self, question: str) -> int:
        """Write the answer as it grows. The exit code: 0, FAILED, or INTERRUPTED after Ctrl+C."""
        key = uuid.uuid4().hex
        return await self._answer(key, self.client.stream(question, self.chat_id, key=key, reasoning=shows_thoughts()))

    async def continue_answer(self) -> int:
        """Write what follows the last answer, that one left out. The exit code as of `ask`."""
        key = uuid.uuid4().hex
        return await self._answer(key, self._continuation(key))

    async def _answer(self, key: str, events: AsyncGenerator[Event, None]) -> int:
        self._turn = asyncio.get_running_loop().create_future()
        self._key = key
        self._wrote, self._last = False, None
        reading = asyncio.create_task(self._read(events))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            # That is what asyncio makes of the first Ctrl+C. A second one leaves at once: a KeyboardInterrupt could
            # come at any point, also while a connection is being closed.
            before = signal.signal(signal.SIGINT, _leave)
            try:
                await self._stop(reading)
            finally:
                signal.signal(signal.SIGINT, before)
            return INTERRUPTED

    async def _continuation(self, key: str) -> AsyncGenerator[Event, None]:
        last = (await self.client.history(self.chat_id))[-1:] if self.chat_id else []
        if not last or last[0].role != "assistant" or not last[0].content:
            raise ClientError("no_answer", "There is no answer to go on with. Ask something first, or give --chat ID.")
        events = self.client.continue_(last[0].id, len(last[0].content), key=key, reasoning=shows_thoughts())
        async with aclosing(events):
            async for event in events:
                yield event

    async def _read(self, events: AsyncGenerator[Event, None]) -> int:
        try:
            async with aclosing(events):
                async for event in events:
                    self._show(event)
        except ClientError as error:
            self._end_line()
            say(error.message)
            return FAILED
        return 0

    def _show(self, event: Event) -> None:
        match event:
            case Started(turn_id, chat_id):
                self.chat_id = chat_id
                self._turn.set_result(turn_id)
            case Text(_, text):
                self._begin(Text)
                self._wrote = True
                write(text)
            case Reasoning(_, text):
                self._begin(Reasoning)
                write(text, dimmed=True)
            case Part(_, kind, data):
                if line := part_line(kind, data):
                    self._begin(Part)
                    write(line, dimmed=True)
            case Finished(reason):
                write("\n")
                if reason in NOTES:
                    say(f"{NOTES[reason]} {self._how_to_continue()}" if self._wrote else NOTES[reason])
                self._wrote, self._last = False, None

    def _begin(self, kind: type[Text | Reasoning | Part]) -> None:
        """A line between thoughts and text; other parts have one each."""
        if self._last not in (None, kind):
            write("\n\n")
        elif self._last is kind is Part:
            write("\n")
        self._last = kind

    async def _stop(self, reading: asyncio.Task[int]) -> None:
        """Stop the turn at the server, and read what it wrote until then."""
        if not self._turn.done():
            say("Waiting for the server, to stop what it may have begun. Ctrl+C again leaves it alone.")
        try:
            async with asyncio.timeout(STOP_S):
                if not self._turn.done():
                    await self._stop_unnamed()
                began: set[asyncio.Future[Any]] = {reading, self._turn}
                await asyncio.wait(began, return_when=asyncio.FIRST_COMPLETED)
                if self._turn.done():
                    await self.client.stop(self._turn.result())
                await reading
        except (TimeoutError, ClientError) as error:
            reading.cancel()
            self._end_line()
            say(str(error) or "The server does not answer. If it has begun the answer, that goes on there.")

    async def _stop_unnamed(self) -> None:
        """A whole answer names its turn only at its end; the question's key does before, once it is with the server."""
        with suppress(ClientError):
            await self.client.stop(self._key)

    def _how_to_continue(self) -> str:
        how = CONTINUE if self._interactive else f"--chat {shlex.quote(self.chat_id or '')} --continue"
        return f"To go on with it: {how}"

    def _end_line(self) -> None:
        if self._last:
            write("\n")


cleaned = Cleaner()


def shows_thoughts() -> bool:
    """Only to people: what reads a pipe wants the answer."""
    return sys.stdout.isatty()


def write(text: str, dimmed: bool = False) -> None:
    """To stdout, at once; a file or a pipe gets exactly the text."""
    if sys.stdout.isatty():
        text = dim(cleaned(text)) if dimmed else cleaned(text)
    sys.stdout.write(text)
    sys.stdout.flush()


def say(note: str) -> None:
    sys.stderr.write(f"{clean(note)}\n")
    sys.stderr.flush()


class CleanFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


async def welcome(client: ChatClient) -> None:
    """What the app is called and what it begins with, if it has a brand of its own (BRAND)."""
    with suppress(ClientError):
        for line in await client.welcome():
            say(line)


def converse(runner: asyncio.Runner, chat: Chat) -> int:
    runner.run(welcome(chat.client))
    say(HELP)
    questions = Questions()
    try:
        while question := questions.next():
            runner.run(chat.continue_answer() if question == CONTINUE else chat.ask(question))
    finally:
        questions.close()
    return 0


def _leave(_signal: int, _frame: object) -> NoReturn:
    os._exit(INTERRUPTED)


def ask_once(runner: asyncio.Runner, chat: Chat, question: str) -> int:
    if not question:
        say("There is no question. Give one as an argument, or on stdin.")
        return FAILED
    return runner.run(chat.ask(question))


def run(options: argparse.Namespace) -> int:
    """The whole program, once its arguments are known; returns the exit code."""
    client = ChatClient(options.url)
    interactive = options.question is None and not options.go_on and sys.stdin.isatty()
    chat = Chat(client, options.chat, interactive)
    with asyncio.Runner() as runner:
        try:
            if interactive:
                code = converse(runner, chat)
            elif options.go_on:
                code = runner.run(chat.continue_answer())
            else:
                code = ask_once(runner, chat, (options.question or sys.stdin.read().removeprefix("\ufeff")).strip())
        finally:
            runner.run(client.aclose())
    if chat.chat_id and sys.stderr.isatty():
        say(f"To go on in this chat: --chat {shlex.quote(chat.chat_id)}")
    return code


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    options = parser(program).parse_args(arguments)
    prepare()
    try:
        return run(options)
    except ClientError as error:
        say(error.message)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Such as `| head`; without this, Python complains when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Chat with a Rill server.")
    parser.add_argument("question", nargs="?", help="without one, stdin is it; on a terminal, a chat begins")
    parser.add_argument("--url", default=URL, help="the server's address (default: %(default)s)")
    parser.add_argument("--chat", metavar="ID", help="go on in this chat")
    parser.add_argument(
        "--continue",
        dest="go_on",
        action="store_true",
        help="go on with the last answer of the chat, which was cut off",
    )
    return parser


def prepare() -> None:
    notes = logging.StreamHandler()
    notes.setFormatter(CleanFormatter("\n[%(message)s]"))
    logging.basicConfig(handlers=[notes])
    prompt.prepare()
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show, or a file holds by mistake, must not end the program.
            stream.reconfigure(errors="replace")
            if not stream.isatty():
                # Windows has other ideas of what is in a pipe.
                stream.reconfigure(encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(newline="")


if __name__ == "__main__":
    sys.exit(main())
