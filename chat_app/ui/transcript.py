"""The open chat's messages: the state that holds them and the components that show them.

The state holds the messages as they were loaded, and apart from them those since: a changed list is sent whole, so the
loaded ones must not change while the chat goes on. The text of a message that was followed live is never sent again.
"""

from typing import Any, TypedDict

import reflex as rx

from chat_app.errors import ChatError, Interrupted, NotFound
from chat_app.log import Ended
from chat_app.models import Message, Role, Status
from chat_app.service import get_service
from chat_app.turns import Turn
from chat_app.ui.elements import Answer


class Row(TypedDict):
    """A message as the page shows it; `figures` is its small print.

    `problem` is a sentence where it did not end well, and `cut` whether there is text to go on from.
    """

    id: str
    role: str
    content: str
    status: str
    problem: str
    figures: str
    cut: bool


class Transcript(rx.State):
    open_chat: str = ""
    loaded: list[Row] = []
    recent: list[Row] = []
    running: str = ""
    missing: bool = False

    @rx.event
    async def regenerate(self, reply_id: str) -> Any:
        return await self._again(reply_id, go_on=False)

    @rx.event
    async def go_on(self, reply_id: str) -> Any:
        return await self._again(reply_id, go_on=True)

    async def _again(self, reply_id: str, go_on: bool) -> Any:
        try:
            await get_service().turns.again(reply_id, go_on=go_on)
        except ChatError as error:
            return rx.toast.error(error.message)
        return None

    async def load(self, chat_id: str) -> None:
        """Show a chat as it is stored; what still runs counts as recent."""
        self.open_chat, self.loaded, self.recent = chat_id, [], []
        self.running, self.missing = "", False
        if not chat_id:
            return
        try:
            rows = [message_row(message) for message in await get_service().store.messages(chat_id)]
        except NotFound:
            self.missing = True
            return
        ended = next((i for i, row in enumerate(rows) if row["status"] == Status.streaming), len(rows))
        self.loaded, self.recent = rows[:ended], rows[ended:]

    def begin(self, turn: Turn) -> None:
        """Show a turn that starts to be followed."""
        self.running = turn.id
        reply = message_row(turn.reply)
        # A new version takes the place of the old one, and of all that came after it.
        if (end := _end_of(self.recent, turn.user.id)) is not None:
            self.recent = [*self.recent[:end], reply]
        elif (end := _end_of(self.loaded, turn.user.id)) is not None:
            if end < len(self.loaded):
                self.loaded = self.loaded[:end]
            self.recent = [reply]
        else:
            self.recent += [message_row(turn.user), reply]

    def end(self, reply: Message, ended: Ended) -> None:
        """Show how a followed turn ended; its text is on the page already."""
        self.running = ""
        row = Row(**message_row(reply) | {"content": ""})
        self.recent = [row if known["id"] == reply.id else known for known in self.recent]


def _end_of(rows: list[Row], message_id: str) -> int | None:
    """The index after the row of a message."""
    return next((i + 1 for i, row in enumerate(rows) if row["id"] == message_id), None)


def message_row(message: Message) -> Row:
    return Row(
        id=message.id,
        role=message.role,
        content=message.content,
        status=message.status,
        problem=_problem(message),
        figures=_figures(message),
        cut=bool(message.content) and message.status != Status.complete,
    )


def _problem(message: Message) -> str:
    if message.status == Status.stopped:
        return "Stopped"
    if message.status == Status.interrupted:
        return Interrupted().message
    if message.status == Status.failed:
        return (message.error or {}).get("message", "The answer failed. Try again.")
    return ""


def _figures(message: Message) -> str:
    """Model, time to first token, tokens a second."""
    if message.role != Role.assistant or message.first_token_ms is None:
        return ""
    parts = [message.model or "", f"first token {_duration(message.first_token_ms)}"]
    tokens = (message.usage or {}).get("completion_tokens")
    writing_ms = (message.duration_ms or 0) - message.first_token_ms
    if tokens and writing_ms > 0:
        parts.append(f"{tokens / writing_ms * 1000:.0f} tokens/s")
    return " · ".join(part for part in parts if part)


def _duration(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def transcript() -> rx.Component:
    # No live region: a screen reader is told where an answer begins and ends (`status`), not each token.
    return rx.el.div(
        rx.foreach(Transcript.loaded + Transcript.recent, lambda row: message(row=row, key=row["id"])),
        role="log",
        aria_label="Conversation",
        aria_live="off",
        class_name="transcript",
    )


@rx.memo
def message(row: rx.Var[Row], rest: rx.RestProp) -> rx.Component:
    return rx.el.div(rest, rx.cond(row["role"] == Role.user, question(row), answer(row)))


def question(row: rx.Var[Row]) -> rx.Component:
    return rx.el.article(
        rx.el.div(row["content"], class_name="bubble", dir="auto"),
        aria_label="You said",
        class_name="question",
    )


def answer(row: rx.Var[Row]) -> rx.Component:
    return rx.el.article(
        Answer.create(message_id=row["id"], stored=row["content"], streaming=row["status"] == Status.streaming),
        rx.cond(row["problem"], problem(row)),
        rx.el.footer(row["figures"], class_name="figures"),
        aria_label="Assistant said",
        class_name="answer",
    )


def problem(row: rx.Var[Row]) -> rx.Component:
    """How it ended, and what can be done about it."""
    return rx.el.div(
        rx.el.p(row["problem"], class_name="problem", custom_attrs={"data-status": row["status"]}),
        rx.el.span(
            rx.cond(row["cut"], text_button("Continue", Transcript.go_on(row["id"]))),
            text_button("Regenerate", Transcript.regenerate(row["id"])),
            class_name="choices",
        ),
        class_name="after",
    )


def text_button(text: str, on_click: Any) -> rx.Component:
    return rx.el.button(text, type="button", class_name="text-button", on_click=on_click)
