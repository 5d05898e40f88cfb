"""The side bar: the list of chats, and what can be done with one."""

from datetime import datetime
from functools import partial
from typing import Any, TypedDict

import reflex as rx
from reflex.event import EventSpec

from chat_app.errors import NotFound
from chat_app.models import Chat
from chat_app.service import get_service
from chat_app.ui.dialogs import open_dialog, saved
from chat_app.ui.elements import Day, Disclosed, ImportChats, Link, TabTitle, TitleField
from chat_app.ui.icons import icon
from chat_app.ui.menu import menu, menu_item
from chat_app.ui.problems import complaint, until_read
from chat_app.ui.theme import NAME, theme_menu
from chat_app.ui.transcript import Transcript

# How many chats the list shows at first, more than most screens have room for, and how many more at a time: all are
# drawn when the page opens.
LISTED = 40
MORE = 80
UNDO_MS = 8_000
PINNED = "pinned"


class ChatRow(TypedDict):
    """A chat in the list. `moment` is the quarter of an hour in which it was used last (ISO 8601), or `PINNED`;
    `before` that of the one above.

    Which day that is only the browser knows, by the reader's clock, and midnight is at a quarter of an hour everywhere.
    A changed list is sent whole, so a row holds nothing that each question changes.
    """

    id: str
    title: str
    moment: str
    before: str
    pinned: bool


class Chats(rx.State):
    chats: list[ChatRow] = []
    # In which of all chats an answer grows.
    answering: list[str] = []
    older: bool = False
    # The list cannot be read just now.
    unread: bool = False
    renaming: str = ""
    # The chat that the reader was in when it was deleted.
    _left: str = ""
    _listed: int = LISTED

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """Keep the list as it is in the database, for as long as the tab is there."""
        service = get_service()
        async with self:
            listed = self._listed
        shown: tuple[list[ChatRow], list[str]] | None = None
        while True:
            version = service.turns.version
            chats = await until_read(partial(service.store.chats, listed + 1), self._say_unread, "the list of chats")
            rows, answering = chat_rows(list(chats)), sorted(await service.turns.answering())
            if (rows, answering) != shown or self.unread:
                async with self:
                    # What is as it was is not sent again.
                    if shown is None or rows != shown[0]:
                        self.chats, self.older = rows[:listed], len(rows) > listed
                    self.answering, self.unread = answering, False
                shown = rows, answering
            await service.turns.changed(version)

    async def _say_unread(self) -> None:
        async with self:
            self.unread = True

    @rx.event
    def more(self) -> Any:
        self._listed += MORE
        return Chats.watch

    @rx.event
    async def delete(self, chat_id: str, title: str) -> Any:
        """Into the trash; the toast takes it out again."""
        transcript = await self.get_state(Transcript)
        try:
            await get_service().trash_chat(chat_id)
        except NotFound as error:
            return complaint(error)
        undo = {"label": "Undo", "on_click": Chats.restore(chat_id)}
        events = [rx.toast(f"Deleted “{title}”.", action=undo, duration=UNDO_MS)]
        if transcript.open_chat == chat_id:
            # At once, not when the page at "/" loads: the next message must not go to the chat that is gone.
            self._left = chat_id
            await transcript.load("")
            events.append(rx.redirect("/"))
        return events

    @rx.event
    async def restore(self, chat_id: str) -> Any:
        try:
            await get_service().restore_chat(chat_id)
        except NotFound as error:
            return complaint(error)
        # Back to it, but not out of another one.
        reading = (await self.get_state(Transcript)).open_chat
        return rx.redirect(f"/c/{chat_id}") if self._left == chat_id and not reading else None

    @rx.event
    def begin_rename(self, chat_id: str) -> None:
        self.renaming = chat_id

    @rx.event
    def cancel_rename(self) -> None:
        self.renaming = ""

    @rx.event
    async def rename(self, chat_id: str, form: dict[str, Any]) -> Any:
        if title := str(form.get("title", "")).strip()[:200]:
            try:
                await get_service().rename_chat(chat_id, title)
            except Exception as error:
                return complaint(error)
        self.renaming = ""
        return saved("rename:" + chat_id)

    @rx.event
    async def pin(self, chat_id: str, pinned: bool) -> Any:
        try:
            await get_service().set_chat(chat_id, pinned=pinned)
        except NotFound as error:
            return complaint(error)
        return None


def chat_rows(chats: list[Chat]) -> list[ChatRow]:
    moments = [PINNED if chat.pinned else quarter(chat.updated_at) for chat in chats]
    return [
        ChatRow(
            id=chat.id,
            title=chat.title,
            moment=moment,
            before=before,
            pinned=chat.pinned,
        )
        for chat, moment, before in zip(chats, moments, ["", *moments], strict=False)
    ]


def quarter(moment: datetime) -> str:
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0).isoformat(timespec="seconds")


def sidebar() -> rx.Component:
    return rx.el.aside(
        TabTitle.create(chat_id=Transcript.open_chat, stored=Transcript.title, chats=Chats.chats, app=NAME),
        rx.el.div(Link.create(NAME, to="/", class_name="brand"), theme_menu(), class_name="side-head"),
        Link.create(
            icon("square-pen"),
            "New chat",
            to="/",
            class_name="side-button",
            custom_attrs={"data-key": "new", "aria-keyshortcuts": "Control+Shift+O"},
        ),
        side_button("search", "Search", "search", open_dialog("search", focus="input"), aria_keyshortcuts="Control+K"),
        rx.el.nav(
            rx.cond(
                Chats.unread,
                rx.el.p("The chats cannot be loaded just now. It is tried again.", role="alert", class_name="hint"),
            ),
            rx.el.ul(rx.foreach(Chats.chats, listed)),
            rx.cond(
                Chats.older,
                rx.el.button("Show more chats", type="button", class_name="quiet-text", on_click=Chats.more),
            ),
            aria_label="Chats",
            class_name="chats",
        ),
        rx.el.footer(
            ImportChats.create("Import chats", class_name="quiet-text"),
            rx.el.button(
                "Export all",
                type="button",
                class_name="quiet-text",
                aria_label="Export all chats",
                on_click=rx.download(url="/chats/export"),
            ),
            rx.el.button(
                "Shortcuts",
                type="button",
                class_name="quiet-text",
                on_click=open_dialog("help"),
                custom_attrs={"data-key": "help"},
            ),
            class_name="side-foot",
        ),
        class_name="sidebar",
        id="sidebar",
    )


def side_button(name: str, text: str, key: str, on_click: Any, **props: Any) -> rx.Component:
    return rx.el.button(
        icon(name),
        text,
        type="button",
        class_name="side-button",
        on_click=on_click,
        custom_attrs={"data-key": key},
        **props,
    )


def listed(chat: rx.Var[ChatRow]) -> rx.Component:
    return chat_item(
        chat_id=chat["id"],
        title=chat["title"],
        moment=chat["moment"],
        before=chat["before"],
        pinned=chat["pinned"],
        answering=Chats.answering.contains(chat["id"]),
        current=chat["id"] == Transcript.open_chat,
        renamed=chat["id"] == Chats.renaming,
        key=chat["id"],
    )


@rx.memo
def chat_item(
    chat_id: rx.Var[str],
    title: rx.Var[str],
    moment: rx.Var[str],
    before: rx.Var[str],
    pinned: rx.Var[bool],
    answering: rx.Var[bool],
    current: rx.Var[bool],
    renamed: rx.Var[bool],
    rest: rx.RestProp,
) -> rx.Component:
    """Not the row as one object: Reflex knows objects again by their place, and a chat that comes on top moves all."""
    return rx.el.li(
        rest,
        Day.create(moment=moment, before=before),
        Disclosed.create(
            chat_row(chat_id, title, pinned, answering, current),
            rename_form(chat_id, title),
            form="rename:" + chat_id,
            open=renamed,
        ),
    )


def chat_row(
    chat_id: rx.Var[str],
    title: rx.Var[str],
    pinned: rx.Var[bool],
    answering: rx.Var[bool],
    current: rx.Var[bool],
) -> rx.Component:
    return rx.el.div(
        Link.create(
            rx.el.span(title, dir="auto"),
            to="/c/" + chat_id,
            class_name="chat-link",
            custom_attrs={"aria-current": rx.cond(current, "page", "false"), "title": title},
        ),
        rx.cond(answering, rx.el.span(class_name="answering", role="img", aria_label="Being answered")),
        menu(
            icon("ellipsis"),
            menu_item(icon("pencil"), "Rename", Chats.begin_rename(chat_id)),
            rx.cond(
                pinned,
                menu_item(icon("pin-off"), "Unpin", Chats.pin(chat_id, False)),
                menu_item(icon("pin"), "Pin", Chats.pin(chat_id, True)),
            ),
            menu_item(icon("file-text"), "Export as Markdown", export(chat_id, "markdown")),
            menu_item(icon("file-json"), "Export as JSON", export(chat_id, "json")),
            menu_item(icon("trash-2"), "Delete", Chats.delete(chat_id, title)),
            label="Actions for " + title,
            class_name="chat-menu",
            # Beside the link, to which the arrow keys lead: see `keyboard.js`.
            custom_attrs={"tabIndex": -1},
        ),
        class_name="chat-row",
    )


def rename_form(chat_id: rx.Var[str], title: rx.Var[str]) -> rx.Component:
    return rx.el.form(
        TitleField.create(
            name="title",
            form="rename:" + chat_id,
            default_value=title,
            aria_label="Title",
            max_length=200,
            dir="auto",
            class_name="field",
            on_cancel=Chats.cancel_rename,
        ),
        on_submit=Chats.rename(chat_id),
        class_name="rename",
    )


def export(chat_id: rx.Var[str], format: str) -> EventSpec:
    return rx.download(url="/chats/" + chat_id + f"/export?format={format}")
