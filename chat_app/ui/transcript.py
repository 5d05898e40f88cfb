"""The open chat's messages: the state that holds them.

The state holds the messages as they were loaded, and apart from them those since: a changed list is sent whole, so the
loaded ones must not change while the chat goes on. The text of a message that was followed live is never sent again.
The components that show them are in `messages.py`.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import reflex as rx

from chat_app.errors import ChatError, Interrupted, NotFound
from chat_app.models import Message, Role, Status
from chat_app.service import get_service
from chat_app.tree import PathItem
from chat_app.turn import Turn

# As after any message that is sent; not on a phone, where the keyboard would come unasked.
FOCUS_BOX = "matchMedia('(hover: hover)').matches && document.querySelector('textarea[name=message]').focus()"


class Row(TypedDict):
    """A message as the page shows it; `figures` is its small print, `time` ISO 8601 in UTC.

    `problem` is a sentence where it did not end well, and `cut` whether there is text to go on from. `version` is
    `2 / 3` where there are several, `previous` and `next` the ids of those beside it.
    """

    id: str
    role: str
    content: str
    status: str
    problem: str
    figures: str
    time: str
    cut: bool
    version: str
    previous: str
    next: str


class Opinion(TypedDict):
    """What a person thinks of an answer: `rating` is 1 or -1, `remark` perhaps why."""

    rating: int
    remark: str


class Transcript(rx.State):
    open_chat: str = ""
    loaded: list[Row] = []
    recent: list[Row] = []
    # By message, apart from the rows: a thumb would send its whole list again.
    opinions: dict[str, Opinion] = {}
    running: str = ""
    missing: bool = False
    loading: bool = True
    editing: str = ""
    remarking: str = ""

    @rx.event
    async def regenerate(self, reply_id: str) -> Any:
        return await self._again(reply_id, go_on=False)

    @rx.event
    async def go_on(self, reply_id: str) -> Any:
        return await self._again(reply_id, go_on=True)

    @rx.event
    def edit(self, message_id: str) -> None:
        self.editing = message_id

    @rx.event
    def cancel_edit(self) -> None:
        self.editing = ""

    @rx.event
    async def resend(self, message_id: str, form: dict[str, Any]) -> Any:
        """Ask an edited question: a new version of it, beside the old one."""
        try:
            await get_service().turns.start(str(form.get("content", "")), self.open_chat, edit_of=message_id)
        except ChatError as error:
            return rx.toast.error(error.message)
        self.editing = ""
        return rx.call_script(FOCUS_BOX)

    @rx.event
    async def show(self, message_id: str) -> None:
        """Another version, with what follows from it."""
        await get_service().choose(message_id)
        await self.load(self.open_chat)

    @rx.event
    async def rate(self, message_id: str, rating: int) -> Any:
        """A thumb; the field for a remark comes with it. Taken back, it takes the remark along."""
        remark = self.opinions[message_id]["remark"] if rating and message_id in self.opinions else ""
        if problem := await self._rate(message_id, rating, remark):
            return problem
        self.remarking = message_id if rating else ""
        return None

    @rx.event
    async def remark(self, message_id: str, form: dict[str, Any]) -> Any:
        if message_id not in self.opinions:
            return None
        if problem := await self._rate(message_id, self.opinions[message_id]["rating"], str(form.get("remark", ""))):
            return problem
        self.remarking = ""
        return rx.toast("Your remark is saved.")

    @rx.event
    def open_remark(self, message_id: str) -> None:
        self.remarking = message_id

    @rx.event
    def close_remark(self) -> None:
        self.remarking = ""

    async def _rate(self, message_id: str, rating: int, remark: str) -> Any:
        try:
            await get_service().rate(message_id, rating, remark)
        except ChatError as error:
            return rx.toast.error(error.message)
        self.opinions.pop(message_id, None)
        if rating:
            self.opinions[message_id] = Opinion(rating=rating, remark=remark.strip())
        return None

    async def _again(self, reply_id: str, go_on: bool) -> Any:
        try:
            await get_service().turns.again(reply_id, go_on=go_on)
        except ChatError as error:
            return rx.toast.error(error.message)
        return None

    async def load(self, chat_id: str) -> None:
        """Show a chat as it is stored; what still runs counts as recent."""
        self.open_chat, self.loaded, self.recent, self.opinions = chat_id, [], [], {}
        self.editing = self.remarking = ""
        self.missing = self.loading = False
        running = get_service().turns.running(chat_id)
        self.running = running.id if running else ""
        if not chat_id:
            return
        try:
            path = await get_service().store.path(chat_id)
        except NotFound:
            self.missing = True
            return
        rows = _rows(path)
        self.opinions = _opinions(path)
        ended = next((i for i, row in enumerate(rows) if row["status"] == Status.streaming), len(rows))
        self.loaded, self.recent = rows[:ended], rows[ended:]

    def begin(self, turn: Turn) -> None:
        """Show a turn that starts to be followed; what it is another version of gives way, with all that came after."""
        self.running = turn.id
        new = [message_row(turn.reply)]
        if not self._cut_after(turn.user.id):
            new = [message_row(turn.user), *new]
            if not self._cut_after(turn.user.parent_id):
                self.loaded, self.recent = [], []
        self.recent = [*self.recent, *new]

    async def end(self) -> None:
        """Show how a followed turn ended; its text is on the page already."""
        self.running = ""
        new = {row["id"]: row for row in _rows(await get_service().store.path(self.open_chat))}
        self.recent = [_without_text(new.get(row["id"], row), row) for row in self.recent]

    def _cut_after(self, message_id: str | None) -> bool:
        """Take away what comes after a message; False where it is not shown."""
        if (end := _end_of(self.recent, message_id)) is not None:
            self.recent = self.recent[:end]
        elif (end := _end_of(self.loaded, message_id)) is not None:
            if end < len(self.loaded):
                self.loaded = self.loaded[:end]
            self.recent = []
        return end is not None


def _rows(path: Sequence[PathItem]) -> list[Row]:
    rows = []
    for item in path:
        row = message_row(item.message)
        if item.of > 1:
            row["version"] = f"{item.number} / {item.of}"
            row["previous"], row["next"] = item.previous_id or "", item.next_id or ""
        rows.append(row)
    return rows


def _opinions(path: Sequence[PathItem]) -> dict[str, Opinion]:
    rated = (item.message for item in path if item.message.rating)
    return {message.id: Opinion(rating=message.rating, remark=message.remark) for message in rated}


def _without_text(row: Row, shown: Row) -> Row:
    return Row(**row | {"content": shown["content"]})


def _end_of(rows: list[Row], message_id: str | None) -> int | None:
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
        time=message.created_at.isoformat(timespec="seconds"),
        cut=bool(message.content) and message.status != Status.complete,
        version="",
        previous="",
        next="",
    )


def _problem(message: Message) -> str:
    if message.status == Status.stopped:
        return "Stopped"
    if message.status == Status.interrupted:
        return Interrupted().message
    if message.status == Status.failed:
        return str((message.error or {}).get("message", "The answer failed. Try again."))
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
