"""Light, dark, and the name."""

import reflex as rx

from chat_app.ui.icons import icon

NAME = "Rill"


def favicon() -> rx.Component:
    return rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml")


def theme_button() -> rx.Component:
    return rx.el.button(
        rx.color_mode_cond(light=icon("moon"), dark=icon("sun")),
        type="button",
        aria_label="Switch between light and dark",
        class_name="quiet",
        on_click=rx.toggle_color_mode,
    )
