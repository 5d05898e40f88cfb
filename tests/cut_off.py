"""Processes that use a database and are killed at a step; a step is a statement or a commit.

`CutOff` starts this program, which has loaded what is needed; each order is a line of JSON, done by a fork that kills
itself before that step. `{"url": …, "step": 3}` brings the schema up to date, with a `turn` beside it (the fields of
`Life`) the fork runs a turn from its start to its end. The answer says whether it was killed: false when there are
fewer steps.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import asdict, dataclass
from itertools import count
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from chat_app.config import ROOT
from chat_app.errors import ProviderBusy
from chat_app.parts import Part
from chat_app.reply import Piece
from chat_app.store.store import Store
from chat_app.turns import journal
from chat_app.turns.log import Delta
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn

LAST = "wörld 👋"
PIECES = [Piece(reasoning="So, "), "Hello ", Part("tool", data={"id": 1}), Piece(reasoning="hm"), LAST]
"""The answer of each turn; each piece is in the journal before the next one comes."""
PARTS = [("reasoning", "So, "), ("text", "Hello "), ("tool", {"id": 1}), ("reasoning", "hm"), ("text", LAST)]


@dataclass(frozen=True)
class Life:
    """A turn of a chat: how it begins (a method of `begin`), and how its answer ends."""

    how: str
    ends: str
    content: str
    key: str
    chat_id: str | None = None
    message_id: str = ""

    async def begin(self, turns: Turns) -> Turn:
        match self.how:
            case "regenerate":
                return await turns.regenerate(self.message_id, key=self.key)
            case "continue":
                return await turns.continue_reply(self.message_id, key=self.key)
            case "edit":
                return await turns.start(self.content, self.chat_id, self.key, edit_of=self.message_id)
        return await turns.start(self.content, self.chat_id, self.key)


class CutOff:
    """`cut_off.open(url, step)` opens the database in another process and kills that; `live` runs a turn there."""

    def __enter__(self) -> "CutOff":
        command = [sys.executable, "-m", "tests.cut_off"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    async def open(self, url: str, step: int) -> bool:
        """Whether it was killed."""
        return await asyncio.to_thread(self._order, {"url": url, "step": step})

    async def live(self, url: str, step: int, life: Life) -> bool:
        """The same; the steps are those of the turn alone."""
        return await asyncio.to_thread(self._order, {"url": url, "step": step, "turn": asdict(life)})

    async def recover(self, url: str, step: int) -> bool:
        """The same, of a server that starts and sees what an earlier one left."""
        return await asyncio.to_thread(self._order, {"url": url, "step": step, "recovers": True})

    def _order(self, order: dict[str, Any]) -> bool:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(order), file=self._process.stdin, flush=True)
        killed: bool = json.loads(self._process.stdout.readline())
        return killed


def main() -> None:
    asyncio.run(warm())
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(killed(**json.loads(line))), flush=True)


async def warm() -> None:
    """Load and compile once what each fork would: it takes longer than all else that one does."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/chat.db")
        await store.open()
        turns = Turns(store, MemoryBackplane(), Answer("complete"))
        await (await Life("new chat", "complete", "?", "key").begin(turns)).end()
        await turns.close()
        await store.interrupt_orphans()
        await store.close()


def killed(url: str, step: int, turn: dict[str, Any] | None = None, recovers: bool = False) -> bool:
    if not (pid := os.fork()):
        try:
            asyncio.run(_work(url, step, turn, recovers))
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), f"it ended with {code}"
    return code != 0


def _work(url: str, step: int, turn: dict[str, Any] | None, recovers: bool) -> Coroutine[Any, Any, None]:
    store = Store(url)
    if turn is not None:
        return live_until(store, step, Life(**turn))
    if recovers:
        return recover_until(store, step)
    die_at(step)
    return store.open()


def die_at(step: int) -> None:
    steps = count()

    def die_in_time(*_: object) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, die_in_time)


async def recover_until(store: Store, step: int) -> None:
    die_at(step)
    await store.interrupt_orphans()


async def live_until(store: Store, step: int, life: Life) -> None:
    journal.BEAT_S = 0.001
    die_at(step)
    turns = Turns(store, MemoryBackplane(), Answer(life.ends))
    turn = await life.begin(turns)
    if life.ends == "stopped":
        async for told in turn.events():
            if isinstance(told, Delta) and told.text.endswith(LAST):
                await turns.stop(turn.id)
    else:
        await turn.end()
    await turns.close()
    await store.close()


class Answer:
    """A reply source: `PIECES`, then one of the ends."""

    def __init__(self, ends: str) -> None:
        self._ends = ends
        self._commits = 0
        event.listen(Engine, "commit", self._committed)

    def _committed(self, _connection: object) -> None:
        self._commits += 1

    async def __call__(self, messages: object) -> AsyncGenerator[Piece | Part | str, None]:
        for piece in PIECES:
            before = self._commits
            yield piece
            while self._commits == before:
                await asyncio.sleep(0.001)
        if self._ends == "failed":
            raise ProviderBusy("Too many of them. Try again later.")
        if self._ends == "stopped":
            await asyncio.Event().wait()


if __name__ == "__main__":
    main()
