"""The side bar: the list of chats, and what can be done with one."""

from typing import Any, TypedDict

import reflex as rx
from reflex.event import EventSpec

from chat_app.backoff import Backoff
from chat_app.errors import NotFound
from chat_app.models import Chat
from chat_app.service import get_service
from chat_app.ui.dialogs import open_dialog
from chat_app.ui.elements import Day, ImportChats, Link, TabTitle
from chat_app.ui.icons import icon
from chat_app.ui.menu import menu, menu_item
from chat_app.ui.theme import NAME, theme_menu
from chat_app.ui.transcript import Transcript

# How many chats the list shows at first, more than most screens have room for, and how many more at a time: all are
# drawn when the page opens.
LISTED = 40
MORE = 80
UNDO_MS = 8_000
PINNED = "pinned"


class ChatRow(TypedDict):
    """A chat in the list. `moment` is when it was used last (ISO 8601), or `PINNED`; `before` that of the one above.

    Which day that is only the browser knows, by the reader's clock.
    """

    id: str
    title: str
    moment: str
    before: str
    pinned: bool


class Chats(rx.State):
    chats: list[ChatRow] = []
    older: bool = False
    renaming: str = ""
    _listed: int = LISTED

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """Keep the list as it is in the database, for as long as the tab is there."""
        service = get_service()
        async with self:
            listed = self._listed
        shown: list[ChatRow] | None = None
        backoff = Backoff("the list of chats could not be read")
        while True:
            version = service.turns.version
            try:
                rows = chat_rows(list(await service.store.chats(listed + 1)))
            except Exception:
                await backoff.failed()
                continue
            backoff.over()
            if rows != shown:
                async with self:
                    self.chats, self.older = rows[:listed], len(rows) > listed
                shown = rows
            await service.turns.changed(version)

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
            return rx.toast.error(error.message)
        undo = {"label": "Undo", "on_click": Chats.restore(chat_id)}
        events = [rx.toast(f"Deleted “{title}”.", action=undo, duration=UNDO_MS)]
        if transcript.open_chat == chat_id:
            # At once, not when the page at "/" loads: the next message must not go to the chat that is gone.
            await transcript.load("")
            events.append(rx.redirect("/"))
        return events

    @rx.event
    async def restore(self, chat_id: str) -> Any:
        try:
            await get_service().restore_chat(chat_id)
        except NotFound as error:
            return rx.toast.error(error.message)
        return rx.redirect(f"/c/{chat_id}")

    @rx.event
    def begin_rename(self, chat_id: str) -> None:
        self.renaming = chat_id

    @rx.event
    def cancel_rename(self) -> None:
        self.renaming = ""

    @rx.event
    async def rename(self, chat_id: str, form: dict[str, Any]) -> None:
        self.renaming = ""
        if title := str(form.get("title", "")).strip()[:200]:
            await get_service().rename_chat(chat_id, title)

    @rx.event
    async def pin(self, chat_id: str, pinned: bool) -> None:
        await get_service().set_chat(chat_id, pinned=pinned)


def chat_rows(chats: list[Chat]) -> list[ChatRow]:
    moments = [PINNED if chat.pinned else chat.updated_at.isoformat(timespec="seconds") for chat in chats]
    return [
        ChatRow(id=chat.id, title=chat.title, moment=moment, before=before, pinned=chat.pinned)
        for chat, moment, before in zip(chats, moments, ["", *moments], strict=False)
    ]


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
    current: rx.Var[bool],
    renamed: rx.Var[bool],
    rest: rx.RestProp,
) -> rx.Component:
    """Not the row as one object: Reflex knows objects again by their place, and a chat that comes on top moves all."""
    return rx.el.li(
        rest,
        Day.create(moment=moment, before=before),
        rx.cond(renamed, rename_form(chat_id, title), chat_row(chat_id, title, pinned, current)),
    )


def chat_row(chat_id: rx.Var[str], title: rx.Var[str], pinned: rx.Var[bool], current: rx.Var[bool]) -> rx.Component:
    return rx.el.div(
        Link.create(
            rx.el.span(title, dir="auto"),
            to="/c/" + chat_id,
            class_name="chat-link",
            custom_attrs={"aria-current": rx.cond(current, "page", "false"), "title": title},
        ),
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
        rx.el.input(
            name="title",
            default_value=title,
            aria_label="Title",
            auto_focus=True,
            max_length=200,
            dir="auto",
            class_name="field",
            on_blur=Chats.cancel_rename,
            on_key_down=cancel_on_escape,
        ),
        on_submit=Chats.rename(chat_id),
        class_name="rename",
    )


def cancel_on_escape(key: rx.Var[str]) -> Any:
    return rx.cond(key == "Escape", Chats.cancel_rename(), rx.noop())


def export(chat_id: rx.Var[str], format: str) -> EventSpec:
    return rx.download(url="/chats/" + chat_id + f"/export?format={format}")
