"""The keyboard: shortcuts and the list of them."""

import reflex as rx

from chat_app.ui.dialogs import dialog

# Plain DOM: the keys press the buttons that are on the page, so whatever those do, the keys do.
KEYS = """
addEventListener("keydown", (event) => {
  const dialog = document.querySelector("dialog[open]");
  const typing = event.target.closest?.("input, textarea, [contenteditable]");
  // Esc in a small form leaves that form only.
  const form = event.target.closest?.("form:not(.box)");
  const command = event.ctrlKey || event.metaKey;
  const press = (selector) => {
    const element = document.querySelector(selector);
    if (!element) return;
    event.preventDefault();
    element.click();
  };
  if (event.isComposing) return;
  if (command && !event.shiftKey && event.key.toLowerCase() === "k") press("[data-key=search]");
  else if (command && event.shiftKey && event.key.toLowerCase() === "o") press("[data-key=new]");
  else if (event.key === "Escape" && !dialog && !form) press("[data-key=stop]");
  else if (event.key === "?" && !typing && !dialog) press("[data-key=help]");
  else if (event.key === "/" && !typing && !dialog) {
    event.preventDefault();
    document.querySelector("textarea[name=message]")?.focus();
  }
});
"""

SHORTCUTS = [
    ("Send the message", "Enter"),
    ("Break the line", "Shift Enter"),
    ("Stop the answer", "Esc"),
    ("Search the chats", "Ctrl K"),
    ("New chat", "Ctrl Shift O"),
    ("Go to the message box", "/"),
    ("This list", "?"),
]


def shortcut_keys() -> rx.Component:
    return rx.el.script(KEYS)


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
