"""The growing answer: one background handler a tab follows the open chat's turns and sends what is new, only that."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import reflex as rx

from chat_app.backoff import Backoff
from chat_app.models import Status
from chat_app.parts import TEXT
from chat_app.service import get_service
from chat_app.turns.log import Delta, Ended, Event
from chat_app.turns.turn import Turn
from chat_app.ui.changes import Tab, get_changes
from chat_app.ui.costs import Costs
from chat_app.ui.elements import LiveWindow
from chat_app.ui.own import own_here, tab_here
from chat_app.ui.pace import Pace
from chat_app.ui.plain import plain
from chat_app.ui.queue import Line
from chat_app.ui.reply_text import ReplyText, utf16_length
from chat_app.ui.session import Session
from chat_app.ui.transcript import Transcript
from chat_app.ui.window import Piece, Window, WindowSender

logger = logging.getLogger(__name__)

# By then what Reflex has queued for a connection is on its way.
QUEUED_S = 0.01
TYPING, THINKING = "Assistant is typing", "Assistant is thinking"


class End(NamedTuple):
    """Of a turn that the page shows as ended: what is still to be said of it."""

    chat_id: str
    turn_id: str
    version: str
    error: dict[str, Any] | None
    told: bool = False
    """Whether its error was: told again, it would come back to somebody who has tried again by then."""


class Live(rx.State):
    announcement: str = ""
    # Which turn of which chat was followed to its end last: a new `watch` goes on there, also where the one before it
    # was ended in between.
    _chat: str = ""
    _followed: str = ""
    # The turn of which it was said that the assistant thinks: once is enough.
    _thinking: str = ""
    # Kept until it is said, for another `watch` may take this one's place as soon as the end is on the page.
    _end: End | None = None
    # The database failed while the chat was read: what is shown is not all.
    _stale: bool = False

    async def open(self, chat_id: str) -> None:
        """Show a chat, as it is stored; `watch` follows it."""
        if chat_id != self._chat:
            # Before the chat is read: what ends from now on is followed.
            self.follow_from(chat_id, await self._last_ended(chat_id))
        transcript = await self.get_state(Transcript)
        try:
            await transcript.load(chat_id)
        except Exception:
            logger.exception("a chat could not be opened; it is tried again")
            transcript.loading = transcript.unread = self._stale = True

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> AsyncGenerator[Any, None]:
        """Follow every turn of the open chat, whoever started it, for as long as the tab is there.

        Reflex ends this handler with the tab's connection, and a new one starts with the next load.
        """
        backoff = Backoff("the chat of a page could not be followed")
        with get_changes().tab(tab_here()) as tab:
            while True:
                try:
                    async for event in self._watch(tab, backoff):
                        yield event
                except Exception:
                    async with self:
                        (await self.get_state(Transcript)).unread = self._stale = True
                    await backoff.failed()

    async def _watch(self, tab: Tab, backoff: Backoff) -> AsyncGenerator[Any, None]:
        """The same, until the database fails."""
        while True:
            tab.bell.clear()
            async with self:
                here = plain(self)
                turn, end = await here._next(tab), here._end
            backoff.over()
            if end:
                if toast := _toast(end):
                    yield toast
                    async with self:
                        if self._end == end:
                            self._end = end = end._replace(told=True)
                # Here and not by an event of its own: the next address would end that one unseen.
                filled = await own_here().filled(end.chat_id)
                async with self:
                    here = plain(self)
                    # Not where the reader went to another chat meanwhile.
                    if here._end == end:
                        here._end = None
                        (await here.get_state(Costs)).fill(filled)
            if turn is None:
                await tab.bell.wait()
                continue
            with get_service().reading("page"):
                await self._follow(turn)
                await asyncio.sleep(QUEUED_S)

    async def _next(self, tab: Tab) -> Turn | None:
        """The turn that is followed next; it is on the page by then, below what is stored."""
        transcript, turns = await self.get_state(Transcript), own_here().turns
        if transcript.open_chat != self._chat:
            self.follow_from(transcript.open_chat, await self._last_ended(transcript.open_chat))
        if self._stale:
            await transcript.reload()
            self._stale = False
        if tab.chat_id == self._chat and tab.gone != transcript.missing:
            # Another tab deleted it, or took it out of the trash again.
            await transcript.load(self._chat)
        get_changes().show(tab, self._chat, transcript.missing)
        line = await self.get_state(Line)
        while turn := await turns.next(self._chat, self._followed) if self._chat else None:
            begun = await transcript.begin(turn)
            # Also where there is nothing to follow: it may have waited and ended before the page came to it.
            line.began(turn.reply.key)
            if begun:
                if self._thinking != turn.id:
                    self._say_typing()
                return turn
            if turn.ended_at is not None and self._end is None:
                # Before the page came to follow it, as where both of its buttons were pressed: it is told all the same.
                self._end = _end_of(turn, await turn.end(), transcript)
            self._went_on(turn)
        if line.questions:
            # Nothing runs, so it is held, or was asked while the page was read anew.
            await line.look(self._chat)
        if transcript.running:
            # It is known nowhere any more: the chat was deleted meanwhile, and taken out of the trash again.
            await transcript.reload()
        return None

    def _went_on(self, turn: Turn) -> None:
        # Not where the reader went to another chat.
        if self._chat == turn.chat_id:
            self._followed = turn.id

    def follow_from(self, chat_id: str, turn_id: str = "") -> None:
        """Follow the turns of a chat that are newer than this one."""
        self._chat, self._followed, self._end = chat_id, turn_id, None
        get_changes().ring(tab_here())

    def begin(self, chat_id: str) -> None:
        """A new chat, with its first question, is on the page."""
        self.follow_from(chat_id)
        self._say_typing()

    async def asked(self, turn: Turn) -> None:
        """A question was asked on the page: it is shown at once where it follows what is there and nothing has to be
        read for it; else `watch` shows it."""
        transcript = await self.get_state(Transcript)
        if turn.ended_at is None and transcript.leads_to(turn):
            await transcript.begin(turn)
            self._say_typing()

    @rx.event
    async def resend(self, window_id: str) -> Any:
        """The page saw a gap: it is followed anew, from the first window on. Nobody but the follower knows what it has
        sent, and how its string counts. Where the answer has ended meanwhile, it is stored."""
        transcript = await self.get_state(Transcript)
        if transcript.running and _short(transcript.running) == window_id:
            return Live.watch
        if any(_short(answer) == window_id for answer in transcript.followed):
            await transcript.reload()
        return None

    async def _follow(self, turn: Turn) -> None:
        window_id, offset, ended = _short(turn.id), 0, None
        async with self:
            here = plain(self)
            whole = (await here.get_state(Session)).whole_replies
            session = here.router.session
            sender = WindowSender(session.client_token, session.session_id)
        reply, held, kind, pace = ReplyText(turn.reply.content), "", "", Pace()
        async for batch in turn.batches(rest=pace.rest):
            recast = _recasts(batch)
            text = held + reply.added(batch)
            newest = batch[-1]
            ended = newest if isinstance(newest, Ended) else None
            if whole and not ended:
                held = text
                continue
            pace.begin()
            before, kind = kind, "" if isinstance(newest, Ended) else newest.kind
            if offset and not recast and kind == before:
                await sender.send(offset, text)
            else:
                # With the first window, and where more than its text changes.
                async with self:
                    here = plain(self)
                    transcript = await here.get_state(Transcript)
                    if transcript.open_chat != turn.chat_id:
                        # The reader went on; this handler is about to be ended.
                        return
                    if recast:
                        transcript.take_back(turn)
                    if text:
                        window = await here.get_state(Window)
                        window.of, window.w = window_id, Piece(offset, text)
                        if not offset:
                            held_ms = get_service().measures.held_ms(turn.id)
                            window.held = -1 if held_ms is None or turn.reply.content else held_ms
                    here._announce(turn, newest)
                    if ended:
                        await transcript.end(turn)
                        here._end = _end_of(turn, ended, transcript)
                        here.announcement = _said_of(ended)
                        here._went_on(turn)
            offset += utf16_length(text)
            pace.end()

    async def _last_ended(self, chat_id: str) -> str:
        """The newest turn of the chat that has ended: it is in the database, what is shown may be an older version."""
        turns, last = own_here().turns, ""
        while (turn := await turns.next(chat_id, last)) and turn.ended_at is not None:
            last = turn.id
        return last

    def _announce(self, turn: Turn, newest: Event) -> None:
        """Say what the assistant does, for those who do not see it."""
        if not isinstance(newest, Delta):
            return
        if newest.kind == TEXT:
            self._say_typing()
        elif self._thinking != turn.id:
            self._thinking, self.announcement = turn.id, THINKING

    def _say_typing(self) -> None:
        # Each time that it is set, it is sent.
        if self.announcement != TYPING:
            self.announcement = TYPING


def _said_of(ended: Ended) -> str:
    return "Answer complete" if ended.status is Status.complete else "Answer ended"


def _end_of(turn: Turn, ended: Ended, transcript: Transcript) -> End:
    error = ended.error if ended.status is Status.failed else None
    return End(turn.chat_id, turn.id, transcript.version(turn.id), error)


def _toast(end: End) -> Any:
    if not end.error or end.told:
        return None
    # As the button below the answer, so that both together ask once.
    again = {"label": "Try again", "on_click": Transcript.regenerate(end.turn_id, end.version)}
    # Named: said twice, where another `watch` came just after the first time, it is shown once.
    return rx.toast.error(end.error["message"], id=end.turn_id, action=again if end.error["retryable"] else None)


def _short(turn_id: str) -> str:
    return turn_id[-8:]


def _recasts(batch: list[Event]) -> bool:
    return any(isinstance(event, Delta) and event.recast is not None for event in batch)


def live() -> rx.Component:
    return rx.fragment(
        LiveWindow.create(state=Window.get_full_name(), on_gap=Live.resend),
        rx.el.div(Live.announcement, role="status", class_name="visually-hidden"),
    )
