"""This browser: a random key that lasts as long as its storage, and whether its answers stream and are measured."""

import reflex as rx

from chat_app.models import new_id
from chat_app.service import get_service


class Session(rx.State):
    key: str = rx.LocalStorage("", name="session")
    whole_replies: bool = False
    measured: bool = False

    @rx.event
    def begin(self) -> None:
        if not self.key:
            self.key = new_id()
        settings = get_service().settings
        self.whole_replies, self.measured = not settings.streams(self.key), settings.measures
