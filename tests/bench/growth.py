"""What grows with an answer, and with a chat: ten times the text should cost ten times as much, and a chat of a
thousand times the messages no more to open.

A websocket client that speaks the page's protocol reads it; what a browser draws of it is in `drawing`.
"""

import time
from collections.abc import Sequence

from tests import process
from tests.app import App
from tests.bench.pages import TimedPage, cpu_s
from tests.bench.records import Column, Plot, Table
from tests.e2e.chat import import_turns
from tests.provider_client import Provider, script

TOKENS = [1_000, 10_000, 100_000]
MESSAGES = [10, 1_000, 10_000]
ROUNDS = 5
MAX_ANSWER_CHARS = "20000000"
ANSWERS = Table(
    "answers",
    "What a long answer costs",
    [
        Column("seconds", "from its first token to its last, s", 2),
        Column("cpu", "server CPU a token, µs"),
        Column("payload", "payload ÷ text", 2),
        Column("memory", "server memory, MB", 0),
    ],
    "Written by the provider as fast as it is taken, and read by one page.",
    Plot(["cpu"], "server CPU a token, µs", "lines"),
)
CHATS = Table(
    "chats",
    "What a long chat costs",
    [
        Column("open", "to open it, ms"),
        Column("kilobytes", "sent for that, KB"),
        Column("first", "Enter to first token, ms"),
        Column("cpu", "server CPU an answer, ms"),
    ],
    f"The best of {ROUNDS}: a page opens a chat of so many messages, half of them of 200 characters, and asks for five "
    "tokens in it.",
    Plot(["open", "first"], "milliseconds", "lines"),
)


async def run(app: App, provider: Provider, tokens: Sequence[int], messages: Sequence[int]) -> list[Table]:
    """The app takes answers of MAX_ANSWER_CHARS."""
    for count in tokens:
        await _answer(app, provider, count)
    for count in messages:
        await _chat(app, count)
    return [ANSWERS, CHATS]


async def _answer(app: App, provider: Provider, tokens: int) -> None:
    provider.clear()
    page = TimedPage(app.url)
    await page.load()
    await page.until(lambda: page.loaded)
    page.frames.clear()
    cpu = cpu_s(app)
    await page.ask(script(tokens=tokens, interval_ms=0, stamp=True))
    await page.until(lambda: page.path != "/" and page.ended and len(page.arrivals) == tokens)
    used = cpu_s(app) - cpu
    text = sum(len(f"tok{number} ") for number in range(tokens))
    ANSWERS.add(
        f"{tokens:,} tokens",
        seconds=(page.arrivals[-1] - page.arrivals[0]) / 1000,
        cpu=used * 1e6 / tokens if process.AVAILABLE else None,
        payload=sum(map(len, page.frames)) / text,
        memory=process.memory_mb(app.pid) if process.AVAILABLE else None,
    )
    await page.leave()


async def _chat(app: App, messages: int) -> None:
    turns = [(f"Question {number}?", f"Answer {number}. " * 13) for number in range(messages // 2)]
    chat_id = import_turns(app, turns, f"{messages} messages")
    opened, sent, first, cpu = [], [], [], []
    for _ in range(ROUNDS):
        page = TimedPage(app.url)
        began = time.monotonic()
        await page.load(f"/c/{chat_id}")
        await page.until(lambda page=page: page.loaded)
        opened.append((time.monotonic() - began) * 1000)
        sent.append(sum(map(len, page.frames)) / 1000)
        used = cpu_s(app)
        await page.ask(script(tokens=5, interval_ms=5, stamp=True))
        await page.until(lambda page=page: len(page.arrivals) == 5 and page.ended)
        cpu.append((cpu_s(app) - used) * 1000)
        first.append(page.arrivals[0] - page.asked_at)
        await page.leave()
    CHATS.add(
        f"{messages:,} messages",
        open=min(opened),
        kilobytes=min(sent),
        first=min(first),
        cpu=min(cpu) if process.AVAILABLE else None,
    )
