"""What is loaded with an address of the page."""

from typing import Any

import reflex as rx

from chat_app.ui.chats import Chats
from chat_app.ui.composer import Composer
from chat_app.ui.costs import Costs
from chat_app.ui.live import Live
from chat_app.ui.queue import Line
from chat_app.ui.session import Session
from chat_app.ui.settings import ChatSettings
from chat_app.ui.transcript import Transcript, shown_chat


class Opening(rx.State):
    # The chat of the address before; "" is a new one.
    _before: str | None = None

    @rx.event
    async def open(self) -> Any:
        """Show the chat that the address names. With each address Reflex ends what ran for the one before, this too."""
        watched = [Chats.watch, Live.watch, Line.watch]
        chat_id = shown_chat(self.router.url.path)
        before, self._before = self._before, chat_id
        rest = [Composer.load, ChatSettings.show, Costs.look, *watched]
        if (await self.get_state(Transcript)).shows(chat_id):
            # A new chat that only gets its address: all is there, unless "New chat" ended what was still loading it.
            return watched if before == "" and (await self.get_state(Composer)).model else rest
        (await self.get_state(Session)).begin()
        (await self.get_state(Line)).leave(chat_id)
        # Last, or a chat could count as shown before all of this is done.
        await (await self.get_state(Live)).open(chat_id)
        return rest
