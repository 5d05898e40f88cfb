"""The connection, as a chip: live, reconnecting, or whole replies."""

import reflex as rx
from reflex_components_core.core.banner import has_connection_errors

from chat_app.ui.session import Session


def connection_chip() -> rx.Component:
    return rx.cond(
        has_connection_errors,
        chip("reconnecting", "Connection lost. Reconnecting …"),
        rx.cond(Session.whole_replies, chip("whole", "Whole replies"), chip("live", "Live")),
    )


def chip(state: str, text: str) -> rx.Component:
    return rx.el.span(text, class_name="chip", custom_attrs={"data-connection": state})
