"""Icons from lucide, sized by their place and hidden from screen readers: the button's name speaks."""

import reflex as rx


def icon(name: str) -> rx.Component:
    return rx.icon(name, size=18, aria_hidden=True, custom_attrs={"focusable": "false"})
