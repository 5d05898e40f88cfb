"""The open chat's messages: the state that holds them.

The state holds the newest messages as they were loaded, and apart from them those since, and the older ones that the
reader asked for: a changed list is sent whole, so the loaded ones must not change while the chat goes on. The text of a
message that was followed live is never sent again. The components that show them are in `messages.py`.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

import reflex as rx

from chat_app.errors import NotFound
from chat_app.models import Role, Status
from chat_app.service import PathItem
from chat_app.turns.turn import Turn
from chat_app.ui.dialogs import saved
from chat_app.ui.own import own_here
from chat_app.ui.problems import complaint
from chat_app.ui.rows import Feedback, Row, Rows, followed_row, message_row, path_feedback, path_rows
from chat_app.ui.session import Session

# How many messages a chat shows at first, and how many more at a time: all come in one step of the browser's, which
# must not take long while somebody scrolls.
FIRST = 50
MORE = 20
# How many of the messages that came since a chat was loaded are in the list that is sent with each turn.
RECENT = 8


class Stored(NamedTuple):
    """What a chat has: its newest messages, how many come before them, and the turn that runs."""

    title: str = ""
    hidden: int = 0
    path: Sequence[PathItem] = ()
    running: str = ""


class Transcript(rx.State):
    """The page shows `earlier` from `earlier_from` to `earlier_to`, then `loaded`, `settled`, and `recent`.

    What came since the chat was loaded begins in `recent`, and goes into `settled` several at a time: a list is sent
    whole when anything in it changes. They are tuples: Reflex has a proxy for each row of a list that is read.
    `hidden` messages come before them, and `gap` between `earlier` and `loaded`.
    """

    open_chat: str = ""
    title: str = ""
    hidden: int = 0
    earlier: Rows = ()
    earlier_from: int = 0
    earlier_to: int = 0
    gap: int = 0
    loaded: Rows = ()
    settled: Rows = ()
    recent: Rows = ()
    # By message, apart from the rows: a thumb would send its whole list again.
    feedback: dict[str, Feedback] = {}
    running: str = ""
    missing: bool = False
    # Its messages cannot be read just now.
    unread: bool = False
    loading: bool = True
    remarking: str = ""
    # In which connection of the tab a chat was loaded last.
    _connection: str = ""
    # The turn that has made the shown path longer: it is no version of what was there before.
    _added: str = ""

    @rx.event
    async def regenerate(self, reply_id: str, version: str = "") -> Any:
        """`version` is the one that the page shows, as in its row: pressed twice there, a button asks once."""
        key = f"again {reply_id} {version}"
        return await self._begun(own_here().turns.regenerate(reply_id, key=key))

    @rx.event
    async def continue_reply(self, reply_id: str, version: str = "") -> Any:
        key = f"go on {reply_id} {version}"
        return await self._begun(own_here().turns.continue_reply(reply_id, key=key))

    @rx.event
    async def show(self, message_id: str) -> None:
        """Another version, with what follows from it."""
        await own_here().choose(message_id)
        self.remarking = ""
        await self.reload()
        await self._show_around(message_id)

    @rx.event
    async def show_earlier(self, message_id: str) -> None:
        """Some older messages, or this one and those around it."""
        if message_id:
            await self._show_around(message_id)
        else:
            await self._show_from(self.hidden - MORE)

    @rx.event
    async def show_later(self) -> None:
        """Some messages of the gap, from its top."""
        if not self.gap:
            return
        if self.earlier_to + min(MORE, self.gap) > len(self.earlier) and not await self._fetch_later():
            # Another tab shows another version by now.
            await self.reload()
            return
        count = min(MORE, self.gap, len(self.earlier) - self.earlier_to)
        self.earlier_to += count
        self.gap -= count

    @rx.event
    async def show_named(self, message_id: str) -> None:
        """What the address names, which is not on the page: an older message, or another version."""
        library = own_here().library
        message = await library.message(message_id)
        if message is None or message.chat_id != self.open_chat:
            return
        if not await library.is_shown(message_id):
            await self.show(message_id)
        await self._show_around(message_id)

    @rx.event
    async def rate(self, message_id: str, rating: int) -> Any:
        """A thumb; the field for a remark comes with it. Taken back, it takes the remark along."""
        remark = self.feedback[message_id]["remark"] if rating and message_id in self.feedback else ""
        if problem := await self._rate(message_id, rating, remark):
            return problem
        self.remarking = message_id if rating else ""
        return None

    @rx.event
    async def remark(self, message_id: str, form: dict[str, Any]) -> Any:
        if message_id not in self.feedback:
            return None
        if problem := await self._rate(message_id, self.feedback[message_id]["rating"], str(form.get("remark", ""))):
            return problem
        self.remarking = ""
        return [saved("remark:" + message_id), rx.toast("Your remark is saved.")]

    @rx.event
    def open_remark(self, message_id: str) -> None:
        self.remarking = message_id

    @rx.event
    def close_remark(self) -> None:
        self.remarking = ""

    async def _rate(self, message_id: str, rating: int, remark: str) -> Any:
        try:
            await own_here().rate(message_id, rating, remark)
        except Exception as error:
            return complaint(error)
        self.feedback.pop(message_id, None)
        if rating:
            self.feedback[message_id] = Feedback(rating=rating, remark=remark.strip())
        return None

    async def _begun(self, beginning: Awaitable[Turn]) -> Any:
        try:
            turn = await beginning
        except Exception as error:
            return complaint(error)
        if turn.ended_at is not None:
            # It was asked for before, perhaps in another tab, and is not what this page shows.
            await self.show(turn.id)
        return None

    def shows(self, chat_id: str) -> bool:
        """Whether the chat is on the page, as it was loaded in this connection and followed since."""
        here = (self.open_chat, self._connection) == (chat_id, self.router.session.session_id)
        return here and not (self.loading or self.missing or self.unread)

    async def reload(self) -> None:
        """What is shown as it is stored by now; only the newest messages where the rest has become much more."""
        hidden, shown = self.hidden, self.earlier_to - self.earlier_from + len(self._newest)
        await self.load(self.open_chat)
        if self.hidden - hidden <= shown:
            await self._show_from(hidden)

    async def load(self, chat_id: str) -> None:
        """The newest messages of a chat, as it is stored; what runs counts as recent."""
        try:
            stored = await self._stored(chat_id)
            whole = (await self.get_state(Session)).whole_replies
        except Exception:
            self._show_nothing_of(chat_id)
            raise
        # Whoever calls this may be ended where it waits: from here on it does not, and what is shown is whole.
        self._show_nothing_of(chat_id)
        self.missing, self.loading, self.unread = stored is None, False, False
        self.running = stored.running if stored else ""
        if stored is None:
            return
        self.title, self.hidden, self.feedback = stored.title, stored.hidden, path_feedback(stored.path)
        rows = path_rows(stored.path)
        ended = next((i for i, row in enumerate(rows) if row["status"] == Status.streaming), len(rows))
        self.loaded, self.recent = rows[:ended], rows[ended:]
        if whole:
            # A growing answer is saved again and again, and shown when it is whole.
            self.recent = tuple(_anew(row, "") for row in self.recent)

    async def _stored(self, chat_id: str) -> Stored | None:
        """None where there is no such chat."""
        running, library = await own_here().turns.running(chat_id), own_here().library
        if not chat_id:
            return Stored()
        try:
            hidden, path = await library.path_end(chat_id, FIRST)
            title = (await library.chat(chat_id)).title
        except NotFound:
            return None
        return Stored(title, hidden, path, running.id if running else "")

    def _show_nothing_of(self, chat_id: str) -> None:
        """The chat is open, with no message."""
        connection = self.router.session.session_id
        if (chat_id, connection) != (self.open_chat, self._connection):
            # Not where a new chat only gets its address: a form may be open by then.
            self.remarking = ""
        self._connection = connection
        self.open_chat, self.title, self.feedback = chat_id, "", {}
        self._show_nothing()

    async def begin(self, turn: Turn) -> bool:
        """Show a turn that starts to be followed; what it is another version of gives way, with all that came after.

        Returns:
            False where there is nothing to follow: it ended before the page was loaded, or gave way to another version.
        """
        if (status := self._status(turn.id)) not in (None, Status.streaming):
            self.running = ""
            return False
        if status is None and turn.ended_at is not None and not await own_here().library.is_shown(turn.id):
            await self.reload()
            return False
        # What is set is sent, and drawn, also where it is as it was.
        if self.running != turn.id:
            self.running = turn.id
        if status is not None:
            # Loaded in mid-answer: what is saved so far stays on the page until there is more.
            return True
        new = [message_row(turn.reply)]
        self._added = turn.id if self._last == turn.user.parent_id else ""
        if not self._cut_after(turn.user.id):
            new = [message_row(turn.user), *new]
            if turn.user.parent_id is None:
                self._show_nothing()
            elif not self._cut_after(turn.user.parent_id):
                # It follows a message that is not on the page.
                await self.reload()
                return self._status(turn.id) in (None, Status.streaming)
        if len(self.recent) >= RECENT and all(row["status"] != Status.streaming for row in self.recent):
            self.settled, self.recent = (*self.settled, *self.recent), ()
        self.recent = (*self.recent, *new)
        return True

    def leads_to(self, turn: Turn) -> bool:
        """Whether nothing runs here, and the turn's question follows the last message."""
        return self.shows(turn.chat_id) and not self.running and self._last == turn.user.parent_id is not None

    def take_back(self, turn: Turn) -> None:
        """What was stored of a turn's text, when it was loaded in mid-answer, was reasoning."""
        self.recent = tuple(_anew(row, turn.reply.content) if row["id"] == turn.id else row for row in self.recent)

    async def end(self, turn: Turn) -> None:
        """Show how a followed turn ended; its text is on the page already."""
        self.running = ""
        new = await self._ended_rows(turn.id)
        if turn.id in new:
            self.recent = tuple(followed_row(row, new.get(row["id"], row)) for row in self.recent)
        else:
            # It was deleted meanwhile, or another version is shown by now.
            await self.reload()

    async def _ended_rows(self, turn_id: str) -> dict[str, Row]:
        """What has changed of the newest messages since a turn began, by id: of one that only came after them, nothing
        but its answer."""
        library = own_here().library
        if turn_id == self._added and (ended := await library.path_end_at(turn_id)):
            return {turn_id: message_row(ended)}
        try:
            path = (await library.path_page(self.open_chat, limit=max(len(self.recent), 1))).items
        except NotFound:
            return {}
        return {row["id"]: row for row in path_rows(path)}

    @property
    def followed(self) -> list[str]:
        """Answers that have ended since the chat was loaded: their rows are without the text that came in windows."""
        ended = [row for row in (*self.settled, *self.recent) if row["status"] != Status.streaming]
        return [row["id"] for row in ended if row["role"] == Role.assistant]

    @property
    def _newest(self) -> Rows:
        return (*self.loaded, *self.settled, *self.recent)

    @property
    def _last(self) -> str | None:
        """The id of the last message on the page."""
        return next((rows[-1]["id"] for rows in (self.recent, self.settled, self.loaded) if rows), None)

    def _status(self, message_id: str) -> str | None:
        """That of a message on the page."""
        return next((row["status"] for row in self._newest if row["id"] == message_id), None)

    def version(self, reply_id: str) -> str:
        """Of one of the newest answers, as its row says it."""
        return next((row["version"] for row in self._newest if row["id"] == reply_id), "")

    async def _show_around(self, message_id: str) -> None:
        """Show a message that is on the path; far from the others it comes with its neighbours only."""
        library = own_here().library
        if not await library.is_shown(message_id):
            return
        position, shown_to = await library.position(message_id), self.hidden + self.earlier_to - self.earlier_from
        newest_from = shown_to + self.gap
        start = max(position - MORE // 2, 0)
        if self.hidden <= position < shown_to or position >= newest_from:
            return
        if self.hidden - FIRST <= start < self.hidden:
            await self._show_from(start)
            return
        page = await library.path_around(message_id, position - start, FIRST - MORE)
        path = page.items[: newest_from - start]
        self.earlier, self.earlier_from, self.earlier_to = path_rows(path), 0, len(path)
        self.feedback |= path_feedback(path)
        self.hidden, self.gap = start, newest_from - start - len(path)

    async def _show_from(self, start: int) -> None:
        """Show the path from its message number `start` on, counted from 0, if that is more than now."""
        start = max(start, 0)
        if start >= self.hidden:
            return
        if start < self.hidden - self.earlier_from and not await self._fetch_earlier(start):
            # Another tab shows another version by now.
            await self.reload()
            return
        self.earlier_from -= self.hidden - start
        self.hidden = start

    async def _fetch_earlier(self, start: int) -> bool:
        """Have the path from `start` on in `earlier`; False where what is on the page is not on it any more."""
        library, after = own_here().library, (*self.earlier, *self._newest)[0]["id"]
        if not await library.is_shown(after):
            return False
        # The list is sent whole: were it a few rows longer each time, what is sent would grow with the square.
        sent_from = self.hidden - self.earlier_from
        count = sent_from - max(min(start, sent_from - len(self.earlier)), 0)
        path = await library.path_before(self.open_chat, after, count)
        self.earlier = (*path_rows(path), *self.earlier)
        self.feedback |= path_feedback(path)
        self.earlier_from += len(path)
        self.earlier_to += len(path)
        return True

    async def _fetch_later(self) -> bool:
        """The same of what comes after `earlier`, for at most the gap."""
        library, before = own_here().library, self.earlier[-1]["id"]
        if not await library.is_shown(before):
            return False
        count = min(self.gap - len(self.earlier) + self.earlier_to, max(len(self.earlier), MORE))
        path = (await library.path_around(before, 0, count)).items[1:]
        self.earlier = (*self.earlier, *path_rows(path))
        self.feedback |= path_feedback(path)
        return bool(path)

    def _show_nothing(self) -> None:
        self.hidden = self.earlier_from = self.earlier_to = self.gap = 0
        self.earlier = self.loaded = self.settled = self.recent = ()

    def _cut_after(self, message_id: str | None) -> bool:
        """Take away what comes after a message; False where it is not shown."""
        if (end := _end_of(self.recent, message_id)) is not None:
            self.recent = self.recent[:end]
        elif (end := _end_of(self.settled, message_id)) is not None:
            self.settled, self.recent = self.settled[:end], ()
        elif (end := _end_of(self.loaded, message_id)) is not None:
            if end < len(self.loaded):
                self.loaded = self.loaded[:end]
            self.settled = self.recent = ()
        elif (end := _end_of(self.earlier[: self.earlier_to], message_id)) is not None:
            self.earlier, self.earlier_to, self.gap = self.earlier[:end], end, 0
            self.loaded = self.settled = self.recent = ()
        return end is not None


def newest_rows() -> Any:
    """Among them is what was just asked."""
    return Transcript.loaded[-2:] + Transcript.settled[-2:] + Transcript.recent


def shown_chat(path: str) -> str:
    """The id of the chat that an address of the page names, "" for a new one."""
    return path.strip("/").removeprefix("c/")


def _anew(row: Row, content: str) -> Row:
    """It has nothing but this text so far."""
    return Row(**row | {"content": content, "parts": ""})


def _end_of(rows: Rows, message_id: str | None) -> int | None:
    """The index after the row of a message."""
    return next((i + 1 for i, row in enumerate(rows) if row["id"] == message_id), None)
