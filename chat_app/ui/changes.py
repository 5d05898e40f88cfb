"""What the tabs of this process are told of changes: read once for all of an owner's, at most every `PAUSE_S`.

A tab hears of its chat by the bell of its `Tab`, and of the side bar's list from `Changes.chats`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chat_app.backoff import Backoff
from chat_app.own_chats import OwnChats
from chat_app.service import Service, get_service
from chat_app.turns.turn import Turn
from chat_app.ui.chat_rows import Listing, Shown, chat_rows
from chat_app.ui.own import own_here

# Changes of the same tenth of a second go together. The first waits for the others too: to read the list takes as long
# as all that comes before an answer's first token, which would wait for it.
PAUSE_S = 0.1
# Each change is a frame to each page. With more pages than these it waits longer, so that answers do not wait for it.
PAGES_A_PAUSE = 20
# So many of them are told at once. The others wait: to tell a hundred takes the loop a tenth of a second, and answers
# come in between.
TOLD_AT_ONCE = 2


@dataclass(slots=True, eq=False)
class Tab:
    """A page that is open: the chat that it shows, and whether that is gone. Where it is to look, the bell rings."""

    chat_id: str = ""
    gone: bool = False
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class Changes:
    """Of one owner's chats; they are read while somebody reads the list. `pages` is how many all owners have open, and
    `telling` is held by a page of any owner while it is told."""

    def __init__(self, own: OwnChats, service: Service, pages: Callable[[], int], telling: asyncio.Semaphore) -> None:
        self._own = own
        self.telling = telling
        self._service = service
        self._pages = pages
        self._tabs: dict[str, Tab] = {}
        # How many chats each reader of the list wants.
        self._wanted: dict[object, int] = {}
        self._listing: Listing | None = None
        # By how many chats a page shows. It stays when nobody reads the list: a page has it that goes to another chat.
        self._shown: dict[int, Shown] = {}
        self._read_to = 0
        self._news = asyncio.Event()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        """How many read the list."""
        return len(self._wanted)

    @property
    def in_use(self) -> bool:
        return bool(self._tabs or self._wanted)

    @contextmanager
    def tab(self, token: str) -> Iterator[Tab]:
        """For as long as a page is followed; `token` is Reflex's name of it."""
        tab = self._tabs[token] = Tab()
        try:
            yield tab
        finally:
            # A newer handler of the same page may have taken its place.
            if self._tabs.get(token) is tab:
                del self._tabs[token]

    def follows(self, token: str) -> bool:
        """Whether a page is followed."""
        return token in self._tabs

    def show(self, tab: Tab, chat_id: str, gone: bool) -> None:
        """The tab shows this chat now, as one that is there or gone."""
        if (tab.chat_id, tab.gone) != (chat_id, gone):
            tab.chat_id, tab.gone = chat_id, gone
            # It may have been deleted since the tab read it.
            self._asked.set()

    def ring(self, token: str) -> None:
        """What the tab is to show has changed."""
        if tab := self._tabs.get(token):
            tab.bell.set()

    async def chats(self, count: int) -> AsyncGenerator[Shown | None, None]:
        """The first `count` chats, and again whenever the list has changed; None while it cannot be read."""
        reader = object()
        # One more, to know whether there are more.
        self._wanted[reader] = wanted = count + 1
        self._task = self._task or asyncio.create_task(self._read_on(), name="changes")
        try:
            while wanted > self._read_to:
                self._asked.set()
                await self._news.wait()
                if self._listing is None:
                    break
            while True:
                news = self._news
                yield self._show_first(count)
                await news.wait()
        finally:
            self._left(reader)

    def _show_first(self, count: int) -> Shown | None:
        if self._listing is None:
            return None
        shown = self._shown[count] = Shown.of(self._listing, count, self._shown.get(count))
        return shown

    def _left(self, reader: object) -> None:
        del self._wanted[reader]
        if not self._wanted and self._task:
            self._task.cancel()
            self._task, self._read_to = None, 0

    def started(self, turn: Turn) -> None:
        for tab in self._tabs.values():
            if tab.chat_id == turn.chat_id:
                tab.bell.set()

    async def _read_on(self) -> None:
        backoff = Backoff("the list of chats could not be read")
        while True:
            version = self._own.turns.version()
            self._asked.clear()
            try:
                await self._read()
            except Exception:
                self._tell(None, 0)
                await backoff.failed()
                continue
            backoff.over()
            read = asyncio.get_running_loop().time()
            await self._changed(version)
            pause = pause_s(self._pages())
            # Whoever has just opened a page does not wait, unless many do.
            await asyncio.sleep(read + pause - asyncio.get_running_loop().time() if self._asked.is_set() else pause)

    async def _changed(self, version: int) -> None:
        waits = [asyncio.ensure_future(self._own.turns.changed(version)), asyncio.ensure_future(self._asked.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _read(self) -> None:
        shown = {tab: tab.chat_id for tab in self._tabs.values() if tab.chat_id}
        count = max(self._wanted.values())
        answering = await self._service.turns.answering()
        rows = chat_rows(await self._own.library.chats(count), answering)
        if rows != self._listing or count > self._read_to:
            self._tell(rows, count)
        there = {row["id"] for row in rows}
        if unlisted := set(shown.values()) - there:
            there |= await self._own.library.existing(unlisted)
        for tab, chat_id in shown.items():
            if tab.chat_id == chat_id and (tab.gone == (chat_id in there) or chat_id in answering):
                tab.gone = chat_id not in there
                tab.bell.set()

    def _tell(self, listing: Listing | None, read_to: int) -> None:
        self._listing, self._read_to = listing, read_to
        self._news.set()
        self._news = asyncio.Event()


def pause_s(pages: int) -> float:
    """How long a change waits for others, with so many pages to tell."""
    return PAUSE_S * max(1.0, pages / PAGES_A_PAUSE)


class AllChanges:
    """Of one service: those of each owner who has a page open."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._by_owner: dict[str, Changes] = {}
        self._telling = asyncio.Semaphore(TOLD_AT_ONCE)
        service.turns.on_start(self._started)

    def of(self, own: OwnChats) -> Changes:
        owner = own.caller.owner
        if owner not in self._by_owner:
            # Only then: those whose pages are all closed leave here.
            self._by_owner = {name: changes for name, changes in self._by_owner.items() if changes.in_use}
            self._by_owner[owner] = Changes(own, self.service, self._pages, self._telling)
        return self._by_owner[owner]

    def _pages(self) -> int:
        return sum(changes.readers for changes in self._by_owner.values())

    def _started(self, turn: Turn) -> None:
        if changes := self._by_owner.get(turn.caller.owner):
            changes.started(turn)


_changes: AllChanges | None = None


def get_changes() -> Changes:
    """Those of the one whose tab's handler this is. Raises NotSignedIn."""
    global _changes
    service = get_service()
    if _changes is None or _changes.service is not service:
        _changes = AllChanges(service)
    return _changes.of(own_here())
