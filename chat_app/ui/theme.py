"""Light, dark, system, and the name."""

from typing import Literal

import reflex as rx
from reflex.style import set_color_mode

from chat_app.ui.icons import icon
from chat_app.ui.menu import menu, menu_item

NAME = "Rill"


def favicon() -> rx.Component:
    return rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml")


def theme_menu() -> rx.Component:
    return menu(
        rx.color_mode_cond(light=icon("sun"), dark=icon("moon")),
        theme_item("sun", "Light", "light"),
        theme_item("moon", "Dark", "dark"),
        theme_item("monitor", "As the system", "system"),
        label="Theme",
    )


def theme_item(name: str, text: str, mode: Literal["light", "dark", "system"]) -> rx.Component:
    return menu_item(icon(name), text, set_color_mode(mode))
