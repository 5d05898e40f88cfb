"""The side bar: the list of chats, new chat, delete."""

from datetime import datetime
from typing import Any, TypedDict

import reflex as rx
from reflex.event import EventSpec

from chat_app.errors import NotFound
from chat_app.models import Chat
from chat_app.service import get_service
from chat_app.ui.elements import Link
from chat_app.ui.icons import icon
from chat_app.ui.theme import NAME, theme_button
from chat_app.ui.transcript import Transcript

LISTED = 200


class ChatRow(TypedDict):
    """A chat in the list; `day` is set on the first of its day."""

    id: str
    title: str
    day: str


class Chats(rx.State):
    chats: list[ChatRow] = []

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """Keep the list as it is in the database, for as long as the tab is there."""
        service = get_service()
        shown: list[ChatRow] | None = None
        while True:
            version = service.turns.version
            rows = chat_rows(list(await service.store.chats(LISTED)))
            if rows != shown:
                async with self:
                    self.chats = rows
                shown = rows
            await service.turns.changed(version)

    @rx.event
    async def delete(self, chat_id: str) -> Any:
        transcript = await self.get_state(Transcript)
        try:
            await get_service().delete_chat(chat_id)
        except NotFound as error:
            return rx.toast.error(error.message)
        if transcript.open_chat != chat_id:
            return None
        # At once, not when the page at "/" loads: the next message must not go to the chat that is gone.
        await transcript.load("")
        return rx.redirect("/")


def chat_rows(chats: list[Chat]) -> list[ChatRow]:
    rows: list[ChatRow] = []
    last = ""
    for chat in chats:
        day = day_name(chat.updated_at)
        rows.append(ChatRow(id=chat.id, title=chat.title, day=day if day != last else ""))
        last = day
    return rows


def day_name(moment: datetime) -> str:
    """`Today`, `Yesterday`, `Previous 7 days`, or the month, in the server's time zone."""
    local = moment.astimezone()
    age = (datetime.now().astimezone().date() - local.date()).days
    if age <= 0:
        return "Today"
    if age == 1:
        return "Yesterday"
    return "Previous 7 days" if age <= 7 else local.strftime("%B %Y")


def sidebar() -> rx.Component:
    return rx.el.aside(
        rx.el.div(
            Link.create(NAME, to="/", class_name="brand"),
            theme_button(),
            class_name="side-head",
        ),
        Link.create(icon("square-pen"), "New chat", to="/", class_name="new-chat", on_click=close_drawer()),
        rx.el.nav(
            rx.el.ul(rx.foreach(Chats.chats, listed)),
            aria_label="Chats",
            class_name="chats",
        ),
        class_name="sidebar",
        id="sidebar",
    )


def listed(chat: rx.Var[ChatRow]) -> rx.Component:
    return chat_item(chat=chat, open_chat=Transcript.open_chat, key=chat["id"])


@rx.memo
def chat_item(chat: rx.Var[ChatRow], open_chat: rx.Var[str], rest: rx.RestProp) -> rx.Component:
    return rx.el.li(
        rest,
        rx.cond(chat["day"], rx.el.h2(chat["day"], class_name="day")),
        rx.el.div(
            Link.create(
                chat["title"],
                to="/c/" + chat["id"],
                class_name="chat-link",
                title=chat["title"],
                on_click=close_drawer(),
                custom_attrs={"aria-current": rx.cond(chat["id"] == open_chat, "page", "false")},
            ),
            rx.el.button(
                icon("trash-2"),
                type="button",
                aria_label="Delete chat " + chat["title"],
                class_name="quiet chat-delete",
                on_click=Chats.delete(chat["id"]),
            ),
            class_name="chat-row",
        ),
    )


def open_drawer() -> EventSpec:
    return rx.call_script("document.documentElement.setAttribute('data-drawer', '')")


def close_drawer() -> EventSpec:
    return rx.call_script("document.documentElement.removeAttribute('data-drawer')")
