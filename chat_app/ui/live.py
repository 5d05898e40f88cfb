"""The growing answer: one background handler a tab follows the open chat's turns and sends what is new, only that."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from chat_app.backoff import Backoff
from chat_app.errors import NotFound
from chat_app.models import Status
from chat_app.parts import TEXT
from chat_app.service import get_service
from chat_app.turns.log import Delta, Ended, Event
from chat_app.turns.turn import Turn
from chat_app.ui.elements import LiveWindow
from chat_app.ui.reply_text import ReplyText, utf16_length
from chat_app.ui.session import Session
from chat_app.ui.transcript import Transcript, shown_chat

logger = logging.getLogger(__name__)

# One frame of a 60 Hz screen: a token that comes alone goes out at once, those that come faster go together.
FLUSH_S = 0.016
TYPING, THINKING = "Assistant is typing", "Assistant is thinking"


Window = tuple[str, int, str]
"""`(id, offset, text)`: from `offset` on, the text of `id` is `text`; `offset` in UTF-16 units, as JavaScript counts.

Without names, since it is sent for every few tokens: they were a seventh of what a frame has beside its text.
"""


class Live(rx.State):
    """Its own state class: each is a React context of its own, so nothing else renders when a window comes."""

    window: Window = ("", 0, "")
    announcement: str = ""
    # Which turn of which chat was followed to its end last: a new `watch` goes on there, also where the one before it
    # was ended in between.
    _chat: str = ""
    _followed: str = ""
    # The turn of which it was said that the assistant thinks: once is enough.
    _thinking: str = ""
    # The database failed while the chat was read: what is shown is not all.
    _stale: bool = False

    @rx.event
    async def open(self) -> Any:
        """Show the chat that the address names, and follow it."""
        chat_id = shown_chat(self.router.url.path)
        if chat_id != self._chat:
            # Before the chat is read: what ends from now on is followed.
            self.follow_from(chat_id, await _last_ended(chat_id))
        transcript = await self.get_state(Transcript)
        try:
            await transcript.load(chat_id)
        except Exception:
            logger.exception("a chat could not be opened; it is tried again")
            transcript.loading = transcript.unread = self._stale = True
        # Not a second handler of the page's `on_load`: a background handler does not wait for those before it.
        return Live.watch

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> AsyncGenerator[Any, None]:
        """Follow every turn of the open chat, whoever started it, for as long as the tab is there.

        Reflex ends this handler with the tab's connection, and a new one starts with the next load.
        """
        backoff = Backoff("the chat of a page could not be followed")
        while True:
            try:
                async for event in self._watch(backoff):
                    yield event
            except Exception:
                async with self:
                    (await self.get_state(Transcript)).unread = self._stale = True
                await backoff.failed()

    async def _watch(self, backoff: Backoff) -> AsyncGenerator[Any, None]:
        """The same, until the database fails."""
        turns = get_service().turns
        while True:
            version = turns.version
            async with self:
                transcript = await self.get_state(Transcript)
                if transcript.open_chat != self._chat:
                    self.follow_from(transcript.open_chat, await _last_ended(transcript.open_chat))
                if self._stale:
                    await transcript.reload()
                    self._stale = False
                chat_id, missing = self._chat, transcript.missing
                turn = await turns.next(chat_id, self._followed) if chat_id else None
            backoff.over()
            if turn is None:
                if chat_id and await _gone(chat_id) != missing:
                    # Another tab deleted it, or took it out of the trash again.
                    async with self:
                        if transcript.open_chat == chat_id:
                            await transcript.load(chat_id)
                await turns.changed(version)
                continue
            with get_service().reading():
                async for event in self._follow(turn):
                    yield event
                async with self:
                    self._followed = turn.id
                # By then what Reflex has queued for the connection is on its way.
                await asyncio.sleep(FLUSH_S)

    def follow_from(self, chat_id: str, turn_id: str = "") -> None:
        """Follow the turns of a chat that are newer than this one."""
        self._chat, self._followed = chat_id, turn_id

    @rx.event
    async def resend(self, window_id: str) -> None:
        """The page saw a gap: give it the whole text so far."""
        transcript = await self.get_state(Transcript)
        if transcript.running and _short(transcript.running) == window_id:
            turn = await get_service().turns.find(transcript.running)
            async for batch in turn.batches():
                self.window = (window_id, 0, ReplyText(turn.reply.content).added(batch))
                return

    async def _follow(self, turn: Turn) -> AsyncGenerator[Any, None]:
        window_id, offset, ended = _short(turn.id), 0, None
        async with self:
            transcript = await self.get_state(Transcript)
            await transcript.begin(turn)
            if self._thinking != turn.id:
                self.announcement = TYPING
            whole = (await self.get_state(Session)).whole_replies
        reply, held = ReplyText(turn.reply.content), ""
        async for batch in turn.batches():
            recast = _recasts(batch)
            text = held + reply.added(batch)
            ended = batch[-1] if isinstance(batch[-1], Ended) else None
            if whole and not ended:
                held = text
                continue
            async with self:
                if recast:
                    (await self.get_state(Transcript)).take_back(turn)
                if text:
                    self.window = (window_id, offset, text)
                self._announce(turn, batch[-1])
                if ended:
                    await self._end(ended)
            offset += utf16_length(text)
            if not ended:
                await asyncio.sleep(FLUSH_S)
        if ended and ended.status is Status.failed and ended.error:
            again = {"label": "Try again", "on_click": Transcript.regenerate(turn.id)}
            # Named: where another `watch` takes this one's place just now, it comes twice and is shown once.
            yield rx.toast.error(ended.error["message"], id=turn.id, action=again if ended.error["retryable"] else None)

    def _announce(self, turn: Turn, newest: Event) -> None:
        """Say what the assistant does, for those who do not see it."""
        if not isinstance(newest, Delta):
            return
        if newest.kind == TEXT:
            # Each time that it is set, it is sent.
            if self.announcement != TYPING:
                self.announcement = TYPING
        elif self._thinking != turn.id:
            self._thinking, self.announcement = turn.id, THINKING

    async def _end(self, ended: Ended) -> None:
        transcript = await self.get_state(Transcript)
        await transcript.end()
        self.announcement = "Answer complete" if ended.status is Status.complete else "Answer ended"


async def _gone(chat_id: str) -> bool:
    try:
        await get_service().store.chat(chat_id)
    except NotFound:
        return True
    return False


async def _last_ended(chat_id: str) -> str:
    """The newest turn of the chat that has ended: it is in the database, and what is shown may be an older version."""
    turns, last = get_service().turns, ""
    while (turn := await turns.next(chat_id, last)) and turn.ended_at is not None:
        last = turn.id
    return last


def _short(turn_id: str) -> str:
    return turn_id[-8:]


def _recasts(batch: list[Event]) -> bool:
    return any(isinstance(event, Delta) and event.recast is not None for event in batch)


def live() -> rx.Component:
    return rx.fragment(
        LiveWindow.create(value=Live.window, on_gap=Live.resend),
        rx.el.div(Live.announcement, role="status", class_name="visually-hidden"),
    )
