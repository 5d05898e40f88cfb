"""Light, dark, system, and the name."""

from typing import Literal

import reflex as rx
from reflex.style import set_color_mode

from chat_app.brand import brand
from chat_app.ui.icons import icon
from chat_app.ui.menu import menu, menu_item

NAME = brand().name
ICON = "/brand/icon" if brand().icon else "/favicon.svg"


def favicon() -> rx.Component:
    return rx.el.link(rel="icon", href=ICON, **({} if brand().icon else {"type": "image/svg+xml"}))


def brand_head() -> list[rx.Component]:
    """What BRAND adds to the head of the page."""
    language = brand().language
    return [
        *([rx.el.link(rel="stylesheet", href="/brand/colours.css")] if brand().file else []),
        *([rx.el.meta(name="language", content=language)] if language else []),
    ]


def named() -> rx.Component:
    """The logo, if there is one, and the name."""
    if not brand().logo:
        return rx.fragment(NAME)
    return rx.fragment(rx.el.img(src="/brand/logo", alt="", class_name="logo"), NAME)


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
