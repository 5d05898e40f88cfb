"""The journal: one writer for all running turns of a process. It adds what is new of all of them in one transaction, at
most every `BEAT_S`, sooner only where readers would have to wait for it. Nothing is written twice here.

What readers have seen is at most `AHEAD_S`, and `AHEAD_CHARS`, ahead of what is stored: more is shown once it is. The
provider is read on meanwhile, so rows grow with its speed. A database that fails or hangs holds nobody back for long.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic as _now
from typing import Any

from chat_app.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

BEAT_S = 0.2
# What is left of the second is for the way to the reader.
AHEAD_S = 0.75
AHEAD_CHARS = 2_000
# A commit rewrites whole pages of the database, however little is new in them. So what waits to be shown is written
# before the beat only once it is such a part of what there is: a long answer is some hundred rows, not thousands.
PART_OF_ALL = 32
# A database that does not even fail must not hold an answer back for good.
HOLD_S = 5.0
RETRY_S = 1.0

Row = dict[str, Any]
"""The columns of a `JournalRow`."""
Write = Callable[[Sequence[Row]], Awaitable[None]]
Show = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Fresh:
    """What no beat has taken yet of a part, up to the number `seq`."""

    seq: int
    part: int
    kind: str
    texts: list[str]

    def row(self, turn_id: str) -> Row:
        return {
            "turn_id": turn_id,
            "seq": self.seq,
            "part": self.part,
            "kind": self.kind,
            "text": "".join(self.texts),
        }


class Page:
    """What the journal keeps of one turn. `seq` is the number that its text has reached, `taken` how much of it went to
    be written, `saved` how much is stored. `show` is called when more of it may be shown, where some is `held` back.
    """

    __slots__ = (
        "_fresh",
        "_journal",
        "_rows",
        "closed",
        "fresh_since",
        "held",
        "saved",
        "seq",
        "show",
        "taken",
        "turn_id",
        "unsaved_since",
    )

    def __init__(self, journal: "Journal", turn_id: str, seq: int) -> None:
        self._journal = journal
        self.turn_id = turn_id
        self.seq = self.taken = self.saved = seq
        self.show: Show = _nothing
        self.held = self.closed = False
        # Since when there is text that is not stored, and text that no beat has taken.
        self.unsaved_since: float | None = None
        self.fresh_since: float | None = None
        self._fresh: list[Fresh] = []
        self._rows: list[Row] = []

    def add(self, part: int, kind: str, text: str, places: int) -> None:
        """The reply has grown; nothing is written yet."""
        self.seq += places
        if self._fresh and (last := self._fresh[-1]).part == part and last.kind == kind:
            last.texts.append(text)
            last.seq = self.seq
        else:
            self._fresh.append(Fresh(self.seq, part, kind, [text]))
        if self.fresh_since is None:
            self._journal.note(self)

    def late(self) -> bool:
        """Whether what was shown has waited too long to be stored."""
        return self.unsaved_since is not None and _now() - self.unsaved_since > AHEAD_S

    def far(self) -> bool:
        """Whether what has come is too far ahead of what is stored to be shown."""
        return self.seq - self.saved > AHEAD_CHARS

    def ripe(self) -> bool:
        """Whether there is enough of it for a commit of its own."""
        return self.seq - self.taken > max(AHEAD_CHARS, self.taken // PART_OF_ALL)

    def take(self) -> list[Row]:
        """What is not stored, as rows; they are given again until they are."""
        self._rows += [fresh.row(self.turn_id) for fresh in self._fresh]
        self._fresh, self.fresh_since, self.taken = [], None, self.seq
        return self._rows

    def stored(self) -> None:
        """All that was taken is."""
        self.saved = self.taken
        self._rows, self.unsaved_since = [], self.fresh_since


class Journal:
    """Of one process. `write` stores rows in one transaction. Times are in seconds."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._dirty: dict[str, Page] = {}
        self._urgent = asyncio.Event()
        self._written = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._holding = True

    def page(self, turn_id: str, seq: int = 0) -> Page:
        """For a turn that begins, with so much text that is stored already."""
        return Page(self, turn_id, seq)

    @property
    def unsaved_s(self) -> float:
        """How old the oldest text is that no beat has taken."""
        since = [page.fresh_since for page in self._dirty.values() if page.fresh_since is not None]
        return _now() - min(since) if since else 0.0

    def note(self, page: Page) -> None:
        """It has something new."""
        page.fresh_since = _now()
        page.unsaved_since = page.unsaved_since or page.fresh_since
        self._dirty[page.turn_id] = page
        if self._beating is None:
            self._beating = asyncio.create_task(self._beats(), name="journal")

    def reach(self, page: Page) -> float:
        """The number up to which a turn may be shown; beyond, its `show` is called."""
        page.held = self._holding and page.far()
        if page.held and page.ripe():
            self._urgent.set()
        return page.saved + AHEAD_CHARS if page.held else math.inf

    async def catch_up(self, page: Page) -> None:
        """Wait until more may be shown; where the database is away, go on without."""
        while self._holding and (page.far() or page.late()):
            self._urgent.set()
            await self._written.wait()

    async def finish(self, page: Page) -> None:
        """Take nothing more of a turn, and wait for what is being written: its end drops the rows, and comes after."""
        page.closed = True
        self._dirty.pop(page.turn_id, None)
        if self._writing:
            await asyncio.wait({self._writing})

    async def close(self) -> None:
        """After the last turn: nothing is left to be written, and no task."""
        if self._beating:
            self._urgent.set()
            await asyncio.wait({self._beating})

    async def _beats(self) -> None:
        """For as long as there is anything new: all of it at once, then a pause."""
        while self._dirty:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._urgent.wait()
            self._urgent.clear()
            # What there was may have ended meanwhile.
            if self._dirty and not await self._beat():
                await asyncio.sleep(RETRY_S)
        self._beating = None

    async def _beat(self) -> bool:
        pages, self._dirty = self._dirty, {}
        rows = [row for page in pages.values() for row in page.take()]
        self._writing = asyncio.ensure_future(self._write(rows))
        if not (await asyncio.wait({self._writing}, timeout=HOLD_S))[0]:
            logger.warning("the journal takes long; answers go on without")
            self._holding = False
            await self._tell((pages | self._dirty).values())
            await asyncio.wait({self._writing})
        writing, self._writing = self._writing, None
        try:
            writing.result()
        except Exception as problem:
            if not isinstance(problem, DatabaseUnavailable):
                logger.warning("the journal could not be written, will try again", exc_info=True)
            self._dirty = {id: page for id, page in pages.items() if not page.closed} | self._dirty
            self._holding = False
        else:
            for page in pages.values():
                page.stored()
            self._holding = True
        await self._tell((pages | self._dirty).values())
        return self._holding

    async def _tell(self, pages: Iterable[Page]) -> None:
        """More of them may be shown."""
        written, self._written = self._written, asyncio.Event()
        written.set()
        for shown in await asyncio.gather(*(page.show() for page in pages if page.held), return_exceptions=True):
            if isinstance(shown, Exception):
                logger.error("what is stored could not be shown", exc_info=shown)


async def _nothing() -> None:
    """Of a turn that nobody shows."""
