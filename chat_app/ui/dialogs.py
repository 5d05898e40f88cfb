"""Dialogs: the browser's own `<dialog>`, opened by its id without a round trip, so focus and Esc are the browser's."""

import json
from typing import Any

import reflex as rx
from reflex.event import EventSpec

from chat_app.ui.elements import Boundary
from chat_app.ui.icons import icon


def dialog(id: str, title: str, *children: rx.Component, **props: Any) -> rx.Component:
    return rx.el.dialog(
        rx.el.header(
            rx.el.h2(title, id=f"{id}-title"),
            rx.el.form(
                rx.el.button(icon("x"), aria_label="Close", class_name="quiet"),
                custom_attrs={"method": "dialog"},
            ),
        ),
        Boundary.create(*children, sentence="This dialog could not be shown. Close it, or try again."),
        id=id,
        aria_labelledby=f"{id}-title",
        class_name="dialog",
        # A click beside it closes it.
        custom_attrs={"closedby": "any"},
        **props,
    )


def open_dialog(id: str, focus: str = "button") -> EventSpec:
    """The focus goes to the first element in it that the selector `focus` names."""
    # Not by `autofocus`: React writes that only into the HTML of the first page, not where a chat's address was opened.
    return rx.call_script(
        f"{{ const dialog = document.getElementById('{id}'); dialog.showModal();"
        f" dialog.querySelector('{focus}').focus(); }}"
    )


def close_dialog(id: str) -> EventSpec:
    return rx.call_script(f"document.getElementById('{id}').close()")


def saved(form: str) -> EventSpec:
    """What was typed into the form of this name need not be kept any more (kept.js)."""
    return rx.call_script(f"window.dispatchEvent(new CustomEvent('chat:saved', {{detail: {json.dumps(form)}}}))")
