"""What answers cost, where somebody asks for it, and how full the model's context is."""

import reflex as rx

from chat_app.bills import Bill
from chat_app.ui.icons import icon
from chat_app.ui.insight_tables import money
from chat_app.ui.own import own_here
from chat_app.ui.transcript import Transcript

GAUGE_FROM = 50
"""Percent of the context; below it nobody needs to know."""


class Costs(rx.State):
    # By message, of those that somebody asked for.
    of: dict[str, str] = {}
    percent: int = 0

    @rx.event(background=True)
    async def show(self, message_id: str) -> None:
        """Show what an answer took, or hide it again."""
        if message_id in self.of:
            async with self:
                self.of.pop(message_id, None)
            return
        bill = await own_here().bill_of_answer(message_id)
        async with self:
            self.of[message_id] = said(bill)

    @rx.event(background=True, supersedes=True)
    async def look(self) -> None:
        """How full the context of the open chat is."""
        async with self:
            chat_id = (await self.get_state(Transcript)).open_chat
        filled = await own_here().filled(chat_id) if chat_id else None
        async with self:
            self.fill(filled)

    def fill(self, share: float | None) -> None:
        """Show how full the context is, 0 to 1; None where nobody knows."""
        percent = min(round((share or 0) * 100), 100)
        # Each time that it is set, it is sent.
        if percent != self.percent:
            self.percent = percent


def said(bill: Bill | None) -> str:
    if bill is None:
        return "The provider gave no count of tokens."
    tokens = f"{bill.read:,} tokens read, {bill.written:,} written"
    if bill.dollars is None:
        return f"{tokens}; the price is not known"
    return f"{tokens} · {'over ' if bill.partly else ''}{money(bill.dollars)}"


def cost_button(message_id: rx.Var[str], bill: rx.Var[str]) -> rx.Component:
    """`bill` is empty until somebody asks."""
    return rx.fragment(
        rx.el.button(
            icon("coins"),
            type="button",
            aria_label="Tokens and cost",
            aria_expanded=rx.cond(bill, True, False),
            class_name="tool",
            on_click=Costs.show(message_id),
        ),
        rx.cond(bill, rx.el.span(bill, role="status", class_name="figures bill")),
    )


def gauge() -> rx.Component:
    """In the message box, once it is worth a look."""
    text = "This chat fills " + Costs.percent.to_string() + "% of the model's context"
    return rx.cond(
        Costs.percent > GAUGE_FROM,
        rx.el.span(
            rx.el.meter(value=Costs.percent, min=0, max=100, high=85, aria_label="Context in use"),
            rx.el.span(text, class_name="visually-hidden"),
            title=text,
            class_name="gauge",
        ),
    )
