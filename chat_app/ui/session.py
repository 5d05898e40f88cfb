"""This browser: a random key that lasts as long as its storage, and what the server has for whoever uses it."""

import reflex as rx

from chat_app.models import new_id
from chat_app.service import get_service
from chat_app.ui.own import caller_of_tab


class Session(rx.State):
    key: str = rx.LocalStorage("", name="session")
    whole_replies: bool = False
    measured: bool = False
    surveyed: bool = False
    # Whether it is shown what is about all people.
    runs_the_server: bool = False
    # Who is signed in, and whether by a session, which can be ended here; empty on a server without accounts.
    person: str = ""
    leaves: bool = False

    @rx.event
    def begin(self) -> None:
        if not self.key:
            self.key = new_id()
        settings = get_service().settings
        caller = caller_of_tab(self.router.session.client_token)
        self.person, self.runs_the_server = caller.name, caller.runs_the_server
        self.leaves = settings.auth in ("password", "oidc")
        self.whole_replies, self.measured = not settings.streams(self.key), settings.measures
        self.surveyed = settings.survey and settings.measures
