"""How a message looks, and what can be done with it."""

from typing import Any

import reflex as rx

from chat_app.models import Role, Status
from chat_app.ui.elements import Answer, CopyText, Moment
from chat_app.ui.icons import icon
from chat_app.ui.transcript import Row, Transcript


def transcript() -> rx.Component:
    # No live region: a screen reader is told where an answer begins and ends (`status`), not each token.
    return rx.el.div(
        rx.foreach(Transcript.loaded + Transcript.recent, shown),
        role="log",
        aria_label="Conversation",
        aria_live="off",
        class_name="transcript",
    )


def shown(row: rx.Var[Row]) -> rx.Component:
    return message(row=row, edited=Transcript.editing == row["id"], key=row["id"])


@rx.memo
def message(row: rx.Var[Row], edited: rx.Var[bool], rest: rx.RestProp) -> rx.Component:
    return rx.el.div(
        rest,
        rx.cond(row["role"] == Role.user, rx.cond(edited, edit_form(row), question(row)), answer(row)),
        class_name="message",
    )


def question(row: rx.Var[Row]) -> rx.Component:
    return rx.el.article(
        rx.el.div(row["content"], class_name="bubble", dir="auto"),
        rx.el.footer(
            Moment.create(iso=row["time"]),
            versions(row),
            CopyText.create(message_id=row["id"], stored=row["content"]),
            tool("pencil", "Edit message", Transcript.edit(row["id"])),
            class_name="tools",
        ),
        aria_label="You said",
        class_name="question",
        id=row["id"],
    )


def edit_form(row: rx.Var[Row]) -> rx.Component:
    return rx.el.form(
        rx.el.textarea(
            name="content",
            default_value=row["content"],
            aria_label="Edit your message",
            auto_focus=True,
            enter_key_submit=True,
            class_name="field",
        ),
        rx.el.div(
            text_button("Cancel", Transcript.cancel_edit),
            rx.el.button("Send", type="submit", class_name="button"),
            class_name="choices",
        ),
        on_submit=Transcript.resend(row["id"]),
        class_name="edit",
    )


def answer(row: rx.Var[Row]) -> rx.Component:
    return rx.el.article(
        Answer.create(message_id=row["id"], stored=row["content"], streaming=row["status"] == Status.streaming),
        rx.cond(row["problem"], problem(row)),
        rx.cond(row["status"] == Status.streaming, rx.fragment(), answer_tools(row)),
        aria_label="Assistant said",
        class_name="answer",
        id=row["id"],
    )


def answer_tools(row: rx.Var[Row]) -> rx.Component:
    return rx.el.footer(
        versions(row),
        CopyText.create(message_id=row["id"], stored=row["content"]),
        tool("rotate-ccw", "Regenerate", Transcript.regenerate(row["id"])),
        thumb(row, 1, "thumbs-up", "Good answer"),
        thumb(row, -1, "thumbs-down", "Bad answer"),
        rx.el.span(row["figures"], class_name="figures"),
        Moment.create(iso=row["time"]),
        class_name="tools",
    )


def versions(row: rx.Var[Row]) -> rx.Component:
    return rx.cond(
        row["version"],
        rx.el.span(
            tool("chevron-left", "Previous version", Transcript.show(row["previous"]), row["previous"] == ""),
            rx.el.span(row["version"], class_name="version"),
            tool("chevron-right", "Next version", Transcript.show(row["next"]), row["next"] == ""),
            class_name="versions",
        ),
    )


def thumb(row: rx.Var[Row], rating: int, name: str, label: str) -> rx.Component:
    given = row["rating"] == rating
    return rx.el.button(
        icon(name),
        type="button",
        aria_label=label,
        aria_pressed=given,
        class_name="tool",
        on_click=Transcript.rate(row["id"], rx.cond(given, 0, rating)),
    )


def tool(name: str, label: str, on_click: Any, disabled: Any = False) -> rx.Component:
    return rx.el.button(
        icon(name), type="button", aria_label=label, class_name="tool", on_click=on_click, disabled=disabled
    )


def problem(row: rx.Var[Row]) -> rx.Component:
    """How it ended, and what can be done about it."""
    return rx.el.div(
        rx.el.p(row["problem"], class_name="problem", custom_attrs={"data-status": row["status"]}),
        rx.el.span(
            rx.cond(row["cut"], text_button("Continue", Transcript.go_on(row["id"]))),
            text_button("Try again", Transcript.regenerate(row["id"])),
            class_name="choices",
        ),
        class_name="after",
    )


def text_button(text: str, on_click: Any) -> rx.Component:
    return rx.el.button(text, type="button", class_name="text-button", on_click=on_click)
