"""A page at /ask: the chat without a side bar, which goes on in the whole app.

PAGES=tests.examples.ask_page:add
"""

import reflex as rx

from rill.pages import StreamChat


class Asked(rx.State):
    chat_id: str = ""

    @rx.event
    def open(self, chat_id: str) -> None:
        self.chat_id = chat_id


def ask_page() -> rx.Component:
    return rx.el.main(
        rx.el.h1("Ask the handbook", class_name="brand"),
        rx.el.div(
            StreamChat.create(greeting="What is the rule for …?", on_chat=Asked.open),
            class_name="h-[30rem] rounded-xl border border-border overflow-hidden",
        ),
        rx.cond(
            Asked.chat_id,
            rx.el.a("Go on in the chat", href=f"/c/{Asked.chat_id}", class_name="button"),
        ),
        class_name="mx-auto max-w-3xl p-8 flex flex-col gap-4",
    )


def add(app: rx.App) -> None:
    app.add_page(ask_page, route="/ask", title="Ask")
