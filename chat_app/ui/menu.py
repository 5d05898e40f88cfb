"""A menu behind a button, from Radix's primitives: arrow keys, type-ahead, Esc and focus come with it."""

from typing import Any

import reflex as rx

LIBRARY = "@radix-ui/react-dropdown-menu@2.2.1"


class MenuRoot(rx.Component):
    library = LIBRARY
    tag = "Root"
    alias = "MenuRoot"

    modal: rx.Var[bool]


class MenuTrigger(rx.Component):
    library = LIBRARY
    tag = "Trigger"
    alias = "MenuTrigger"


class MenuPortal(rx.Component):
    library = LIBRARY
    tag = "Portal"
    alias = "MenuPortal"


class MenuContent(rx.Component):
    library = LIBRARY
    tag = "Content"
    alias = "MenuContent"

    align: rx.Var[str]
    side_offset: rx.Var[int]


class MenuItem(rx.Component):
    library = LIBRARY
    tag = "Item"
    alias = "MenuItem"

    on_select: rx.EventHandler[rx.event.no_args_event_spec]


def menu(trigger: rx.Component, *items: rx.Component, label: Any, class_name: str = "", **props: Any) -> rx.Component:
    """`label` names the button, `props` are its others; `items` are of `menu_item`."""
    return MenuRoot.create(
        MenuTrigger.create(trigger, aria_label=label, class_name=f"quiet {class_name}", **props),
        MenuPortal.create(MenuContent.create(*items, class_name="menu", align="end", side_offset=4)),
        modal=False,
    )


def menu_item(icon: rx.Component, text: Any, on_select: Any) -> rx.Component:
    return MenuItem.create(icon, text, on_select=on_select, class_name="menu-item")
