"""A page at /usage: turns, tokens and the wait for the first token, per day and model.

PAGES=tests.examples.usage_page:add
"""

import reflex as rx

from chat_app.models import Role
from rill.pages import own
from tests.examples.usage import COLUMNS, usage_rows


class Usage(rx.State):
    rows: list[list[str]] = []

    @rx.event
    async def load(self) -> None:
        library = own(self).library
        messages = [message for chat in await library.chats(1_000) for message in await library.messages(chat.id)]
        self.rows = usage_rows([message for message in messages if message.role == Role.assistant])


def usage_page() -> rx.Component:
    head = rx.el.tr(*[rx.el.th(name, scope="col", class_name="px-3 py-2 text-left") for name in COLUMNS])
    cell = lambda value: rx.el.td(value, class_name="px-3 py-2 border-t border-border")  # noqa: E731
    body = rx.foreach(Usage.rows, lambda row: rx.el.tr(rx.foreach(row, cell)))
    return rx.el.main(
        rx.el.h1("Usage", class_name="brand"),
        rx.el.table(rx.el.thead(head), rx.el.tbody(body), aria_label="Usage by day and model"),
        rx.cond(Usage.rows, rx.fragment(), rx.el.p("Nothing was asked yet.", class_name="lead")),
        rx.el.a("Back to the chats", href="/", class_name="button"),
        class_name="mx-auto max-w-4xl p-8 flex flex-col gap-4 overflow-x-auto",
    )


def add(app: rx.App) -> None:
    app.add_page(usage_page, route="/usage", title="Usage", on_load=Usage.load)
