"""The chat on `useStream()` as a Reflex component: for a page that talks to an app of ours on another address."""

from typing import Any

import reflex as rx

from chat_app.ui.elements import STREAMDOWN
from chat_app.ui.embed_build import EVENTSOURCE_PARSER
from chat_app.ui.short_stack import in_short_stack


def _linked() -> str:
    rx.asset("stream_chat.css", shared=True)
    return rx.asset("stream_chat.jsx", shared=True).importable_path


STREAM_CHAT = in_short_stack(_linked)


class StreamChat(rx.Component):
    """A chat of one column over the event stream, with its own connection and no state of ours; it fills its parent.

    `base_url` is the address of the app ("" is the page's own), `headers` go along with every request, and `on_chat`
    gets the id of the open chat, "" for a new one. `storage`, such as `rx.Var("sessionStorage")`, keeps what is
    typed and what is not sent yet.
    """

    library = STREAM_CHAT
    tag = "StreamChat"
    lib_dependencies: list[str] = [*STREAMDOWN, EVENTSOURCE_PARSER]

    base_url: rx.Var[str]
    chat_id: rx.Var[str]
    greeting: rx.Var[str]
    headers: rx.Var[dict[str, str]]
    storage: rx.Var[Any]
    on_chat: rx.EventHandler[rx.event.passthrough_event_spec(str)]
