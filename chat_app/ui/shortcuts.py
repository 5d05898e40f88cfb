"""The list of the keyboard's shortcuts; what they do is in `keyboard.js`."""

import reflex as rx

from chat_app.ui.dialogs import dialog

SHORTCUTS = [
    ("Send the message", "Enter"),
    ("Break the line", "Shift Enter"),
    ("Stop the answer", "Esc"),
    ("Search the chats", "Ctrl K"),
    ("New chat", "Ctrl Shift O"),
    ("Go to the message box", "/"),
    ("This list", "?"),
]


def shortcut_list() -> rx.Component:
    return dialog(
        "help",
        "Keyboard shortcuts",
        rx.el.dl(
            *[
                rx.el.div(rx.el.dt(what), rx.el.dd(*[rx.el.kbd(key) for key in keys.split()]))
                for what, keys in SHORTCUTS
            ],
            class_name="shortcuts",
        ),
        rx.el.p("On a Mac, ⌘ takes the place of Ctrl.", class_name="hint"),
    )
