"""The search over all chats: Ctrl+K opens it, a result leads to its message."""

import re
from collections.abc import Sequence
from functools import partial
from typing import TypedDict

import reflex as rx

from chat_app.service import Hit
from chat_app.ui.dialogs import close_dialog, dialog
from chat_app.ui.elements import Link
from chat_app.ui.own import own_here
from chat_app.ui.problems import until_read

# Of headings, emphasis and code; an asterisk between spaces or letters is none. A part may begin or end with a match.
MARKS = re.compile(r"(?<!\S)#{1,6}\s|\*\*|`+|(?<!\S)\*(?=\w|$)|(?:(?<=\w)|^)\*(?!\w)")


class Part(TypedDict):
    text: str
    match: bool


class Result(TypedDict):
    """A hit; `to` is its address, `title` that of its chat: empty where `parts` are the title itself."""

    to: str
    title: str
    parts: list[Part]


class Search(rx.State):
    query: str = ""
    results: list[Result] = []
    unread: bool = False

    @rx.event(background=True, supersedes=True)
    async def find(self, query: str) -> None:
        query = query.strip()
        hits = (
            await until_read(partial(own_here().library.search, query), self._say_unread, "the search") if query else []
        )
        async with self:
            self.query, self.unread = query, False
            self.results = _results(hits)

    async def _say_unread(self) -> None:
        async with self:
            self.results, self.unread = [], True


def _results(hits: Sequence[Hit]) -> list[Result]:
    return [
        Result(
            to=f"/c/{hit.chat_id}" + (f"#{hit.message_id}" if hit.message_id else ""),
            title=hit.title if hit.message_id else "",
            parts=[Part(text=_plain(text) if hit.message_id else text, match=match) for text, match in hit.snippet],
        )
        for hit in hits
    ]


def _plain(markdown: str) -> str:
    """Without the marks that are most in the way of reading a line of it."""
    return MARKS.sub("", markdown)


def search_dialog() -> rx.Component:
    return dialog(
        "search",
        "Search chats",
        rx.el.input(
            # Not of the type "search": in such a field Esc empties it instead of closing the dialog.
            type="text",
            role="searchbox",
            placeholder="Words in titles and messages",
            aria_label="Search",
            aria_controls="results",
            auto_complete="off",
            dir="auto",
            # No more than a socket's frame takes.
            max_length=1_000,
            class_name="field",
            on_change=Search.find.debounce(150),
        ),
        rx.el.ul(
            rx.foreach(Search.results, lambda result: found(result=result)),
            id="results",
            aria_label="Results",
            # What they are of, for the Enter key not to open those of fewer letters.
            custom_attrs={"data-query": Search.query},
            class_name="results",
        ),
        rx.el.p(
            rx.cond(
                Search.unread,
                "The search does not work just now. It is tried again.",
                "",
            ),
            rx.cond(
                (Search.query != "") & (Search.results.length() == 0) & ~Search.unread,
                "Nothing found. Try fewer or other words.",
                "",
            ),
            role="status",
            class_name="hint",
        ),
    )


@rx.memo
def found(result: rx.Var[Result], rest: rx.RestProp) -> rx.Component:
    parts = rx.el.span(rx.foreach(result["parts"].to(list[Part]), part))
    return rx.el.li(
        rest,
        Link.create(
            rx.cond(result["title"], rx.fragment(rx.el.strong(result["title"]), parts), rx.el.strong(parts)),
            to=result["to"],
            on_click=close_dialog("search"),
        ),
    )


def part(piece: rx.Var[Part]) -> rx.Component:
    return rx.cond(piece["match"], rx.el.mark(piece["text"]), rx.el.span(piece["text"]))
