"""How a message looks, and what can be done with it."""

from typing import Any

import reflex as rx

from chat_app.models import MAX_REMARK_CHARS, Role, Status
from chat_app.ui.costs import Costs, cost_button
from chat_app.ui.elements import (
    KNOWN_ROWS,
    Answer,
    Boundary,
    CopyText,
    Disclosed,
    EditForm,
    Gap,
    Gradual,
    InlineField,
    Moment,
    OpenForm,
    PrintedEarlier,
    function,
)
from chat_app.ui.icons import icon
from chat_app.ui.rows import Row
from chat_app.ui.transcript import Transcript


def transcript(*after: rx.Component) -> rx.Component:
    """`after` shows what comes after the messages: what waits, and what is not with the server yet."""
    # No live region: a screen reader is told where an answer begins and ends (`status`), not each token.
    return rx.el.div(
        rx.foreach(shown_rows(), shown),
        *after,
        role="log",
        aria_label="Conversation",
        aria_live="off",
        class_name="transcript",
    )


def shown_rows() -> rx.Var[list[Row]]:
    earlier = Transcript.earlier[Transcript.earlier_from : Transcript.earlier_to]
    rows = earlier + Transcript.loaded + Transcript.settled + Transcript.recent
    return function(KNOWN_ROWS, "knownRows").call(rows).to(list[Row])


def shown(row: rx.Var[Row]) -> rx.Component:
    feedback = Transcript.feedback[row["id"]]
    return rx.fragment(
        rx.cond((Transcript.gap > 0) & (row["id"] == Transcript.loaded[0]["id"]), gap()),
        message(
            row=row,
            rating=feedback["rating"],
            remark=feedback["remark"],
            remarked=Transcript.remarking == row["id"],
            bill=Costs.of[row["id"]],
        ),
        key=row["id"],
    )


def gap() -> rx.Component:
    """In the place of the messages between those around an older one and the newest."""
    return Gap.create(
        PrintedEarlier.create(chat_id=Transcript.open_chat, hidden=Transcript.gap, before=Transcript.loaded[0]["id"]),
        count=Transcript.gap,
        on_later=Transcript.show_later,
    )


@rx.memo
def message(
    row: rx.Var[Row],
    rating: rx.Var[int],
    remark: rx.Var[str],
    remarked: rx.Var[bool],
    bill: rx.Var[str],
    rest: rx.RestProp,
) -> rx.Component:
    """`rating` and `remark` are undefined where there is none; `remarked`: the form for it is open; `bill`: what it
    cost, where somebody asked."""
    form = Disclosed.create(rx.fragment(), remark_form(row, rating, remark), form="remark:" + row["id"], open=remarked)
    return rx.el.div(
        rest,
        Boundary.create(
            rx.cond(
                row["role"] == Role.user,
                Disclosed.create(question(row), edit_form(row), form="edit:" + row["id"]),
                answer(row, feedback(row, rating, remark, remarked), cost_button(row["id"], bill), form),
            ),
            sentence="This message could not be shown as usual. Here is its text.",
            text=row["content"],
        ),
        class_name="message",
    )


def question(row: rx.Var[Row]) -> rx.Component:
    return rx.el.article(
        Gradual.create(
            rx.el.div(row["content"], class_name="bubble", dir="auto"),
            rx.el.footer(
                Moment.create(iso=row["time"]),
                versions(row),
                CopyText.create(message_id=row["id"], stored=row["content"]),
                OpenForm.create(
                    icon("pencil"),
                    form="edit:" + row["id"],
                    text=row["content"],
                    aria_label="Edit message",
                    class_name="tool",
                    id="edit-" + row["id"],
                ),
                class_name="tools",
            ),
            text=row["content"],
            class_name="bubble",
        ),
        aria_label="You said",
        class_name="question",
        id=row["id"],
    )


def edit_form(row: rx.Var[Row]) -> rx.Component:
    return EditForm.create(
        InlineField.create(
            name="content",
            form="edit:" + row["id"],
            default_value=row["content"],
            aria_label="Edit your message",
            back_to="edit-" + row["id"],
            class_name="field",
        ),
        choices("Send"),
        message_id=row["id"],
        class_name="edit",
    )


def choices(submit: str) -> rx.Component:
    """Below the field of a small form: to give up, or to `submit`."""
    return rx.el.div(
        rx.el.button("Cancel", type="button", class_name="text-button", custom_attrs={"data-cancel": ""}),
        rx.el.button(submit, type="submit", class_name="button"),
        class_name="choices",
    )


def answer(row: rx.Var[Row], feedback: rx.Component, cost: rx.Component, form: rx.Component) -> rx.Component:
    growing = row["status"] == Status.streaming
    return rx.el.article(
        Gradual.create(
            Answer.create(
                message_id=row["id"],
                asked=row["key"],
                stored=row["content"],
                layout=row["parts"],
                streaming=growing,
            ),
            rx.cond(row["problem"], problem(row)),
            rx.cond(growing, rx.fragment(), answer_tools(row, feedback, cost)),
            form,
            now=growing,
            text=row["content"],
        ),
        aria_label="Assistant said",
        class_name="answer",
        id=row["id"],
    )


def answer_tools(row: rx.Var[Row], feedback: rx.Component, cost: rx.Component) -> rx.Component:
    return rx.el.footer(
        versions(row),
        CopyText.create(message_id=row["id"], stored=row["content"]),
        tool("rotate-ccw", "Regenerate", Transcript.regenerate(row["id"], row["version"])),
        feedback,
        rx.el.span(row["figures"], class_name="figures"),
        cost,
        Moment.create(iso=row["time"]),
        class_name="tools",
    )


def versions(row: rx.Var[Row]) -> rx.Component:
    return rx.cond(
        row["version"],
        rx.el.span(
            tool("chevron-left", "Previous version", Transcript.show(row["previous"]), disabled=row["previous"] == ""),
            rx.el.span(row["version"], class_name="version"),
            tool("chevron-right", "Next version", Transcript.show(row["next"]), disabled=row["next"] == ""),
            class_name="versions",
        ),
    )


def feedback(row: rx.Var[Row], rating: rx.Var[int], remark: rx.Var[str], remarked: rx.Var[bool]) -> rx.Component:
    return rx.fragment(
        thumb(row, rating, 1, "thumbs-up", "Good answer"),
        thumb(row, rating, -1, "thumbs-down", "Bad answer"),
        rx.cond(
            rating,
            tool(
                "message-square-text",
                rx.cond(remark, "Edit remark", "Add a remark"),
                rx.cond(remarked, Transcript.close_remark(), Transcript.open_remark(row["id"])),
                id="remark-" + row["id"],
                aria_expanded=remarked,
                title=remark,
                custom_attrs={"data-given": rx.cond(remark, "true", "false")},
            ),
        ),
    )


def remark_form(row: rx.Var[Row], rating: rx.Var[int], remark: rx.Var[str]) -> rx.Component:
    question = rx.cond(rating == 1, "What was good about it? (optional)", "What was wrong with it? (optional)")
    return rx.el.form(
        InlineField.create(
            name="remark",
            form="remark:" + row["id"],
            default_value=remark,
            aria_label="Remark",
            placeholder=question,
            rows=1,
            max_length=MAX_REMARK_CHARS,
            on_cancel=Transcript.close_remark,
            back_to="remark-" + row["id"],
            class_name="field",
        ),
        choices("Save"),
        on_submit=Transcript.remark(row["id"]),
        class_name="remark",
    )


def thumb(row: rx.Var[Row], given: rx.Var[int], rating: int, name: str, label: str) -> rx.Component:
    pressed = given == rating
    return rx.el.button(
        icon(name),
        type="button",
        aria_label=label,
        aria_pressed=pressed,
        class_name="tool",
        on_click=Transcript.rate(row["id"], rx.cond(pressed, 0, rating)),
    )


def tool(name: str, label: Any, on_click: Any, **props: Any) -> rx.Component:
    return rx.el.button(icon(name), type="button", aria_label=label, class_name="tool", on_click=on_click, **props)


def problem(row: rx.Var[Row]) -> rx.Component:
    """How it ended, and what can be done about it."""
    return rx.el.div(
        rx.el.p(row["problem"], class_name="problem", custom_attrs={"data-status": row["status"]}),
        rx.el.span(
            rx.cond(row["cut"], text_button("Continue", Transcript.continue_reply(row["id"], row["version"]))),
            text_button("Try again", Transcript.regenerate(row["id"], row["version"])),
            class_name="choices",
        ),
        class_name="after",
    )


def text_button(text: str, on_click: Any) -> rx.Component:
    return rx.el.button(text, type="button", class_name="text-button", on_click=on_click)
