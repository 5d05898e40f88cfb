"""The pages, as lists of named views, and what each loads."""

import re

import reflex as rx

from chat_app.brand import brand
from chat_app.ui.chats import sidebar
from chat_app.ui.composer import composer, notice, outbox
from chat_app.ui.elements import (
    Fonts,
    Link,
    Main,
    PrintedEarlier,
    Scroller,
    SkipLink,
    Suggestion,
    TakeAlong,
    Views,
)
from chat_app.ui.icons import icon
from chat_app.ui.insights import Insights, insights_page
from chat_app.ui.live import live
from chat_app.ui.loading import skeleton
from chat_app.ui.messages import transcript
from chat_app.ui.opening import Opening
from chat_app.ui.queue import waiting
from chat_app.ui.search import search_dialog
from chat_app.ui.settings import settings_dialog
from chat_app.ui.shortcuts import shortcut_list
from chat_app.ui.survey import survey
from chat_app.ui.theme import ICON, NAME, named
from chat_app.ui.transcript import Transcript

# `/` and `/c/<id>`: one route, for a page of another route would be built anew, and what is being typed lost with it.
ROUTE = "/[[place]]/[[chat_id]]"


def add_pages(app: rx.App) -> None:
    app.add_page(
        page,
        route=ROUTE,
        title=NAME,
        image=ICON,
        on_load=Opening.open,
    )
    app.add_page(insights_page, route="/insights", title=f"Insights · {NAME}", image=ICON, on_load=Insights.load)
    app.add_page(unknown_address, route="404", title=f"There is no such page · {NAME}", image=ICON)


def has_page(app: rx.App, path: str) -> bool:
    """Whether an address leads to a page: ours, or one that PAGES has added. Ours would match any other, too."""
    if (route := app.router(path)) is None or route.strip("/") == "404":
        return False
    return route.strip("/") != ROUTE.strip("/") or re.fullmatch(r"/|/c/[^/]+/?", path) is not None


def unknown_address() -> rx.Component:
    return rx.el.main(
        Fonts.create(),
        rx.el.div(
            rx.el.h1("There is no such page"),
            rx.el.p("The address is mistyped, or what was there is gone.", class_name="lead"),
            rx.el.a("To the chats", href="/", class_name="button"),
            class_name="welcome missing",
        ),
        class_name="main",
        custom_attrs={"data-empty": "true"},
    )


def page() -> rx.Component:
    return rx.el.div(
        Fonts.create(),
        SkipLink.create("Skip to the conversation"),
        sidebar(),
        rx.el.div(class_name="scrim"),
        Main.create(
            top_bar(),
            rx.cond(Transcript.loading, skeleton()),
            rx.cond(Transcript.missing, missing(), conversation()),
            live(),
            chat_id=Transcript.open_chat,
            loading=Transcript.loading,
            class_name="main",
            id="main",
            tab_index=-1,
        ),
        search_dialog(),
        settings_dialog(),
        shortcut_list(),
        class_name="app",
    )


def top_bar() -> rx.Component:
    """On a phone only: the way to the chats."""
    return rx.el.header(
        rx.el.button(
            icon("menu"),
            type="button",
            aria_label="Show chats",
            aria_expanded=False,
            aria_controls="sidebar",
            class_name="quiet",
            custom_attrs={"data-key": "drawer"},
        ),
        rx.el.span(named(), class_name="brand"),
        Link.create(icon("square-pen"), to="/", class_name="quiet", custom_attrs={"aria-label": "New chat"}),
        class_name="top-bar",
    )


def conversation() -> rx.Component:
    """The box stays the same element from the empty page to the full one; only its place changes."""
    return rx.fragment(
        Views.create(welcome(), opened(), chat_id=Transcript.open_chat),
        rx.el.div(
            survey(),
            composer(),
            Views.create(suggestions(), rx.fragment(), chat_id=Transcript.open_chat),
            notice(),
            class_name="dock",
        ),
    )


def opened() -> rx.Component:
    return rx.fragment(
        rx.el.h1("Conversation", class_name="visually-hidden"),
        PrintedEarlier.create(chat_id=Transcript.open_chat, hidden=Transcript.hidden),
        rx.cond(
            Transcript.unread,
            rx.el.p("The messages cannot be loaded just now. It is tried again.", role="alert", class_name="unread"),
        ),
        Scroller.create(
            transcript(waiting(), outbox()),
            chat_id=Transcript.open_chat,
            hidden=Transcript.hidden,
            gap=Transcript.gap,
            on_earlier=Transcript.show_earlier,
            on_later=Transcript.show_later,
            on_named=Transcript.show_named,
        ),
    )


def welcome() -> rx.Component:
    return rx.el.div(
        rx.el.h1(NAME),
        rx.el.p(brand().welcome, class_name="lead"),
        class_name="welcome",
    )


def suggestions() -> rx.Component:
    return rx.el.div(*[suggestion(text) for text in brand().suggestions], class_name="suggestions")


def suggestion(text: str) -> rx.Component:
    return Suggestion.create(text=text, class_name="suggestion")


def missing() -> rx.Component:
    return rx.el.div(
        rx.el.h1("This chat is not here"),
        rx.el.p("It may have been deleted, or the address is mistyped.", class_name="lead"),
        # With what was typed or sent for it.
        TakeAlong.create("Begin a new chat", class_name="button"),
        class_name="welcome missing",
    )
