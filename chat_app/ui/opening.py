"""What is loaded with an address of the page."""

from typing import Any

import reflex as rx

from chat_app.ui.chats import Chats
from chat_app.ui.composer import Composer
from chat_app.ui.costs import Costs
from chat_app.ui.events import arrived
from chat_app.ui.live import Live
from chat_app.ui.own import tab_here
from chat_app.ui.queue import Line
from chat_app.ui.session import Session
from chat_app.ui.settings import ChatSettings
from chat_app.ui.transcript import Transcript, shown_chat


class Opening(rx.State):
    @rx.event
    async def open(self) -> Any:
        """Show the chat that the address names. With each address Reflex ends what ran for the one before, this too."""
        arrived(tab_here())
        chat_id = shown_chat(self.router.url.path)
        rest = [Composer.load, ChatSettings.show, Costs.look, Chats.watch, Live.watch, Line.watch]
        if (await self.get_state(Transcript)).shows(chat_id):
            return rest
        (await self.get_state(Session)).begin()
        (await self.get_state(Line)).leave(chat_id)
        # Last, or a chat could count as shown before all of this is done.
        await (await self.get_state(Live)).open(chat_id)
        return rest
