"""The pages, as lists of named views, and what each loads."""

import reflex as rx

from chat_app.ui.chats import Chats, sidebar
from chat_app.ui.composer import Composer, composer, notice
from chat_app.ui.elements import Fonts, Link, PrintedEarlier, Scroller, SkipLink
from chat_app.ui.icons import icon
from chat_app.ui.live import Live, live
from chat_app.ui.loading import skeleton
from chat_app.ui.messages import transcript
from chat_app.ui.search import search_dialog
from chat_app.ui.session import Session
from chat_app.ui.settings import ChatSettings, settings_dialog
from chat_app.ui.shortcuts import shortcut_list
from chat_app.ui.theme import NAME
from chat_app.ui.transcript import Transcript

SUGGESTIONS = [
    "Why is the sky blue?",
    "Write a short poem about rain.",
    "Explain photosynthesis to a child.",
    "Give me three tips for a good night's sleep.",
]


# `/` and `/c/<id>`: one route, for a page of another route would be built anew, and what is being typed lost with it.
ROUTE = "/[[place]]/[[chat_id]]"


def add_pages(app: rx.App) -> None:
    app.add_page(
        page,
        route=ROUTE,
        title=NAME,
        image="/favicon.svg",
        on_load=[Session.begin, Composer.load, Chats.watch, Live.open, ChatSettings.show],
    )


def page() -> rx.Component:
    return rx.el.div(
        Fonts.create(),
        SkipLink.create("Skip to the conversation"),
        sidebar(),
        rx.el.div(class_name="scrim"),
        rx.el.main(
            top_bar(),
            rx.cond(Transcript.loading, skeleton()),
            rx.cond(Transcript.missing, missing(), conversation()),
            live(),
            class_name="main",
            id="main",
            tab_index=-1,
            custom_attrs={
                "data-empty": rx.cond(Transcript.open_chat == "", "true", "false"),
                "data-loading": rx.cond(Transcript.loading, "true", "false"),
            },
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
        rx.el.span(NAME, class_name="brand"),
        Link.create(icon("square-pen"), to="/", class_name="quiet", custom_attrs={"aria-label": "New chat"}),
        class_name="top-bar",
    )


def conversation() -> rx.Component:
    """The box stays the same element from the empty page to the full one; only its place changes."""
    return rx.fragment(
        rx.cond(Transcript.open_chat == "", welcome(), opened()),
        rx.el.div(
            composer(),
            rx.cond(Transcript.open_chat == "", suggestions()),
            notice(),
            class_name="dock",
        ),
    )


def opened() -> rx.Component:
    return rx.fragment(
        rx.el.h1("Conversation", class_name="visually-hidden"),
        PrintedEarlier.create(chat_id=Transcript.open_chat, hidden=Transcript.hidden),
        Scroller.create(
            transcript(),
            chat_id=Transcript.open_chat,
            hidden=Transcript.hidden,
            on_earlier=Transcript.show_earlier,
            on_named=Transcript.show_named,
        ),
    )


def welcome() -> rx.Component:
    return rx.el.div(
        rx.el.h1(NAME),
        rx.el.p("Ask something. The answer flows in as it is written, and stays.", class_name="lead"),
        class_name="welcome",
    )


def suggestions() -> rx.Component:
    return rx.el.div(*[suggestion(text) for text in SUGGESTIONS], class_name="suggestions")


def suggestion(text: str) -> rx.Component:
    return rx.el.button(text, type="button", class_name="suggestion", on_click=Composer.suggest(text))


def missing() -> rx.Component:
    return rx.el.div(
        rx.el.h1("This chat is not here"),
        rx.el.p("It may have been deleted, or the address is mistyped.", class_name="lead"),
        Link.create("Begin a new chat", to="/", class_name="button"),
        class_name="welcome missing",
    )
