"""A page at /chart: how many answers each of the newest chats has, in the colours of the theme.

PAGES=tests.examples.chart_page:add
"""

from typing import Any

import reflex as rx

from rill.pages import Fonts, own, token


class Chart(rx.State):
    bars: list[dict[str, Any]] = []

    @rx.event
    async def load(self) -> None:
        library = own(self).library
        chats = await library.chats(10)
        self.bars = [{"chat": chat.title, "answers": len(await library.messages(chat.id)) // 2} for chat in chats]


def chart_page() -> rx.Component:
    return rx.el.main(
        Fonts.create(),
        rx.el.h1("Answers", class_name="brand"),
        rx.recharts.bar_chart(
            rx.recharts.bar(data_key="answers", fill=token("primary"), is_animation_active=False),
            rx.recharts.x_axis(data_key="chat", stroke=token("muted-foreground")),
            data=Chart.bars,
            width="100%",
            height=300,
        ),
        class_name="mx-auto max-w-3xl p-8 flex flex-col gap-4",
    )


def add(app: rx.App) -> None:
    app.add_page(chart_page, route="/chart", title="Answers", on_load=Chart.load)
