"""The side bar: the list of chats, and what can be done with one."""

from contextlib import aclosing
from typing import Any

import reflex as rx
from reflex.event import EventSpec

from chat_app.errors import NotFound
from chat_app.ui.changes import get_changes
from chat_app.ui.chat_rows import Change, ChatRow, Shown
from chat_app.ui.delta import DeltaSender
from chat_app.ui.dialogs import open_dialog, saved
from chat_app.ui.elements import CHAT_LIST, Day, Disclosed, ImportChats, Link, TabTitle, TitleField, function
from chat_app.ui.icons import icon
from chat_app.ui.menu import menu, menu_item
from chat_app.ui.own import own_here, tab_here
from chat_app.ui.plain import plain
from chat_app.ui.problems import complaint
from chat_app.ui.session import Session
from chat_app.ui.theme import NAME, named, theme_menu
from chat_app.ui.transcript import Transcript

# How many chats the list shows at first, more than most screens have room for, and how many more at a time: all are
# drawn when the page opens.
LISTED = 40
MORE = 80
UNDO_MS = 8_000
# A page of another origin could not send this header: see chat_app/people/entrance.py. The socket may end before the
# answer comes, which leads other pages to sign in again.
SIGN_OUT = """
window.rillSignsOut = true;
fetch("/logout", { method: "POST", headers: { "X-Requested-With": "rill" } })
  .then((answer) => location.assign(answer.url))
  .catch(() => { window.rillSignsOut = false });
"""


class Chats(rx.State):
    # The list as it was sent last, and what has changed since: whole, it is large.
    chats: list[ChatRow] = []
    changed: list[Change] = []
    older: bool = False
    # The list cannot be read just now.
    unread: bool = False
    renaming: str = ""
    # In which chat the reader was when it was deleted.
    _left: str = ""
    _count: int = LISTED
    _shown: Shown | None = None

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """Keep the list as it is in the database, for as long as the tab is there."""
        async with self:
            here = plain(self)
            count, shown = here._count, None if here.unread else here._shown
            sender = DeltaSender(Chats, tab_here(), here.router.session.session_id)
        news = get_changes()
        async with aclosing(news.chats(count)) as lists:
            async for new in lists:
                if new is None or shown is None:
                    async with news.telling, self:
                        plain(self)._show(new)
                elif new is not shown:
                    has_rest = new.whole is shown.whole
                    async with news.telling:
                        frame = await sender.put(_values(new), new.as_changes if has_rest else new.as_whole)
                    await sender.write(frame)
                shown = new

    def _show(self, new: Shown | None) -> None:
        self.unread = new is None
        if new is not None:
            for name, value in _values(new).items():
                setattr(self, name, value)

    @rx.event
    def more(self) -> Any:
        self._count += MORE
        return Chats.watch

    @rx.event
    async def delete(self, chat_id: str, title: str) -> Any:
        """Into the trash; the toast takes it out again."""
        transcript = await self.get_state(Transcript)
        try:
            await own_here().trash_chat(chat_id)
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
            await own_here().restore_chat(chat_id)
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
                await own_here().rename_chat(chat_id, title)
            except Exception as error:
                return complaint(error)
        self.renaming = ""
        return saved("rename:" + chat_id)

    @rx.event
    async def pin(self, chat_id: str, pinned: bool) -> Any:
        try:
            await own_here().set_chat(chat_id, pinned=pinned)
        except NotFound as error:
            return complaint(error)
        return None


def _values(shown: Shown) -> dict[str, Any]:
    """The vars of the state."""
    return {"chats": list(shown.whole), "changed": list(shown.changed), "older": shown.older, "_shown": shown}


def sidebar() -> rx.Component:
    return rx.el.aside(
        TabTitle.create(chat_id=Transcript.open_chat, stored=Transcript.title, chats=shown_chats(), app=NAME),
        rx.el.div(Link.create(named(), to="/", class_name="brand"), theme_menu(), class_name="side-head"),
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
            rx.el.ul(rx.foreach(shown_chats(), listed)),
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
            rx.cond(Session.runs_the_server, Link.create("Insights", to="/insights", class_name="quiet-text")),
            account(),
            class_name="side-foot",
        ),
        class_name="sidebar",
        id="sidebar",
    )


def account() -> rx.Component:
    """Who is signed in, where people have accounts."""
    return rx.cond(
        Session.person != "",
        rx.fragment(
            rx.el.a(
                Session.person, href="/account", aria_label="Account of " + Session.person, class_name="quiet-text"
            ),
            rx.cond(
                Session.leaves,
                rx.el.button("Sign out", type="button", class_name="quiet-text", on_click=rx.call_script(SIGN_OUT)),
            ),
        ),
    )


def shown_chats() -> rx.Var[list[ChatRow]]:
    return function(CHAT_LIST, "withChanges").call(Chats.chats, Chats.changed).to(list[ChatRow])


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
        answering=chat["answering"],
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
