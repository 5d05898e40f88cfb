"""The backplane of one process: nothing to install, and gone with the process. The database has the text."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from chat_app.turns.backplane import Entry
from chat_app.turns.log import Event, MemoryLog

LINGER_S = 60.0
"""How long a turn that has ended is kept; after that it is read from the database."""


class MemoryBackplane:
    """A `Backplane`."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        # By owner. A bell is there while somebody waits for it.
        self._versions: Counter[str] = Counter()
        self._bells: dict[str, asyncio.Event] = {}
        self._entries: dict[str, Entry] = {}
        # The ids of those of each chat: what a question costs is not to grow with the questions of others.
        self._by_chat: dict[str, set[str]] = {}
        self._stops: dict[str, Callable[[], None]] = {}
        self._beginning: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def beginning(self) -> AsyncIterator[None]:
        done = asyncio.get_running_loop().create_future()
        self._beginning.add(done)
        try:
            yield
        finally:
            self._beginning.discard(done)
            done.set_result(None)

    async def begun(self) -> None:
        if self._beginning:
            await asyncio.wait(self._beginning)

    async def add(self, entry: Entry, stop: Callable[[], None]) -> None:
        await self.log.create(entry.turn_id)
        self._entries[entry.turn_id] = entry
        self._by_chat.setdefault(entry.chat_id, set()).add(entry.turn_id)
        self._stops[entry.turn_id] = stop

    async def end(self, turn_id: str, events: Sequence[Event]) -> None:
        self._stops.pop(turn_id, None)
        if entry := self._entries.get(turn_id):
            self._entries[turn_id] = replace(entry, ended_at=events[-1].seq)
        await self.log.end(turn_id, events)
        asyncio.get_running_loop().call_later(LINGER_S, self._drop, turn_id)

    async def forget(self, chat_id: str) -> None:
        for turn_id in self._by_chat.pop(chat_id, ()):
            del self._entries[turn_id]

    async def turn(self, turn_id: str) -> Entry | None:
        return self._entries.get(turn_id)

    async def of_chat(self, chat_id: str) -> list[Entry]:
        return [self._entries[turn_id] for turn_id in sorted(self._by_chat.get(chat_id, ()))]

    async def owner(self, turn_id: str) -> str | None:
        entry = self._entries.get(turn_id)
        return entry.owner if entry and entry.ended_at is None else None

    async def answering(self) -> set[str]:
        return {entry.chat_id for entry in self._entries.values() if entry.ended_at is None}

    async def stop(self, turn_id: str) -> None:
        if stop := self._stops.get(turn_id):
            stop()

    def version(self, owner: str = "") -> int:
        return self._versions[owner]

    async def announce(self, owner: str = "") -> None:
        self._versions[owner] += 1
        if bell := self._bells.pop(owner, None):
            bell.set()

    async def changed(self, since: int, owner: str = "") -> int:
        while self._versions[owner] == since:
            await self._bells.setdefault(owner, asyncio.Event()).wait()
        return self._versions[owner]

    def _drop(self, turn_id: str) -> None:
        if entry := self._entries.pop(turn_id, None):
            of_chat = self._by_chat[entry.chat_id]
            of_chat.discard(turn_id)
            if not of_chat:
                del self._by_chat[entry.chat_id]
        self.log.drop(turn_id)
