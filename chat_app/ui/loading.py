"""What stands where a chat will be, until it is loaded."""

import reflex as rx

# Before the first paint: only the browser knows yet whether a chat or the empty page was asked for.
PLACE = 'document.documentElement.dataset.place = location.pathname.startsWith("/c/") ? "chat" : "home";'


def place_script() -> rx.Component:
    return rx.el.script(PLACE)


def skeleton() -> rx.Component:
    return rx.el.div(
        rx.el.div(*[rx.el.span() for _ in range(5)], class_name="column"),
        aria_hidden=True,
        class_name="skeleton",
    )
