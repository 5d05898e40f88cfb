"""The wrapped JavaScript components: where Python cannot reach, as thin as they can be."""

from typing import Any

import reflex as rx
from reflex.vars import VarData
from reflex.vars.function import FunctionStringVar
from reflex_base.utils.imports import ImportVar
from reflex_components_core.el.elements.base import BaseHTML

from chat_app.ui.rows import Row
from chat_app.ui.short_stack import in_short_stack

STREAMDOWN = [
    "streamdown@2.7.1",
    "remend@1.4.0",
    "@streamdown/code@2.0.0",
    "hast-util-raw@9.2.0",
    "hast-util-sanitize@5.0.2",
    "hast-util-to-jsx-runtime@2.3.7",
    "katex@0.16.27",
    "mdast-util-from-markdown@2.1.0",
    "mdast-util-gfm@3.1.0",
    "mdast-util-to-hast@13.2.2",
    "mermaid@11.17.2",
    "micromark@4.0.3",
    "micromark-core-commonmark@2.0.4",
    "micromark-extension-cjk-friendly@2.0.2",
    "micromark-extension-cjk-friendly-gfm-strikethrough@2.0.1",
    "micromark-extension-gfm@3.0.0",
    "micromark-util-character@2.1.1",
    "micromark-util-subtokenize@2.1.0",
    "unified@11.0.5",
]
TOASTS = ["sonner@2.0.8"]
# Each has a component here, or a function that Python calls.
_IMPORTED = [
    "answer.jsx",
    "markdown.jsx",
    "printing.jsx",
    "page.jsx",
    "scroller.jsx",
    "unloaded.jsx",
    "files.jsx",
    "fields.jsx",
    "boundary.jsx",
    "gradual.jsx",
    "forms.jsx",
    "chat_list.js",
    "known_rows.js",
    "outbox.jsx",
    "connection.jsx",
    "queue.jsx",
    "survey.jsx",
]
# What these and stream_chat.jsx import.
_MARKDOWN = [
    "reply.jsx",
    "waiting.jsx",
    "reply_blocks.js",
    "steps.jsx",
    "reply_text.js",
    "thoughts.jsx",
    "answer_blocks.js",
    "answer_tree.js",
    "address_syntax.js",
    "bounded_syntax.js",
    "formula_syntax.js",
    "html_syntax.js",
    "plain_growth.js",
    "unfinished.js",
    "code.jsx",
    "colours.js",
    "highlighter.js",
    "diagram.jsx",
    "formula.jsx",
    "katex.js",
    "wide.js",
]
_BROWSER = [
    "appended",
    "browser",
    "clipboard",
    "drawer",
    "focus",
    "keyboard",
    "kept",
    "measures",
    "outbox",
    "say",
    "slices",
    "tooltips",
    "touch",
    "translation",
    "upload",
    "viewport",
    "windows",
]


def _linked(*files: str) -> dict[str, str]:
    """Where scripts of the page import these files from, which lie beside this module."""
    return {file: rx.asset(file, shared=True).importable_path for file in files}


_PATHS = in_short_stack(_linked, *_IMPORTED, *_MARKDOWN, *(f"{name}.js" for name in _BROWSER))
ANSWER = _PATHS["answer.jsx"]
MARKDOWN = _PATHS["markdown.jsx"]
PRINTING = _PATHS["printing.jsx"]
PAGE = _PATHS["page.jsx"]
SCROLLER = _PATHS["scroller.jsx"]
UNLOADED = _PATHS["unloaded.jsx"]
FILES = _PATHS["files.jsx"]
FIELDS = _PATHS["fields.jsx"]
BOUNDARY = _PATHS["boundary.jsx"]
GRADUAL = _PATHS["gradual.jsx"]
FORMS = _PATHS["forms.jsx"]
CHAT_LIST = _PATHS["chat_list.js"]
KNOWN_ROWS = _PATHS["known_rows.js"]
OUTBOX = _PATHS["outbox.jsx"]
CONNECTION = _PATHS["connection.jsx"]
QUEUE = _PATHS["queue.jsx"]
SURVEY = _PATHS["survey.jsx"]


def function(library: str, name: str) -> FunctionStringVar[Any]:
    """One of JavaScript's, to be called with variables."""
    imported = VarData(imports={library: [ImportVar(tag=name)]})
    return FunctionStringVar.create(name, _var_data=imported)


class LiveWindow(rx.Component):
    """Takes the windows of the growing answer from the state of this name; `on_gap` asks for the whole text, with the
    answer's id."""

    library = ANSWER
    tag = "LiveWindow"
    lib_dependencies: list[str] = STREAMDOWN

    state: rx.Var[str]
    on_gap: rx.EventHandler[rx.event.passthrough_event_spec(str)]


class Answer(rx.Component):
    """An assistant's message, its text as markdown: the live one where it is followed, else what is `stored`, in the
    order of `layout`; `asked` is the key that it was asked with."""

    library = ANSWER
    tag = "Answer"
    lib_dependencies: list[str] = STREAMDOWN

    message_id: rx.Var[str]
    asked: rx.Var[str]
    stored: rx.Var[str]
    layout: rx.Var[str]
    streaming: rx.Var[bool]


class SurveyLine(rx.Component):
    """Its children while the page asks how fast answers feel; `on`: it does at all."""

    library = SURVEY
    tag = "Survey"

    on: rx.Var[bool]


class Markdown(rx.Component):
    """Text of an answer as the chat shows it; `growing`: unfinished marks at its end are closed."""

    library = MARKDOWN
    tag = "Markdown"
    lib_dependencies: list[str] = STREAMDOWN

    text: rx.Var[str]
    growing: rx.Var[bool]


class CopyText(rx.Component):
    """The button that copies a message's text as it was written."""

    library = ANSWER
    tag = "CopyText"
    lib_dependencies: list[str] = STREAMDOWN

    message_id: rx.Var[str]
    stored: rx.Var[str]


class Boundary(rx.Component):
    """Where its children cannot be drawn, it shows `sentence` and `text` in their place, and a button to try again."""

    library = BOUNDARY
    tag = "Boundary"
    lib_dependencies: list[str] = ["react-error-boundary@6.1.6"]

    sentence: rx.Var[str]
    text: rx.Var[str]


class Gradual(rx.Component):
    """Its children, when it is their turn to be drawn, or `now`; until then `text` stands for them, unseen."""

    library = GRADUAL
    tag = "Gradual"

    now: rx.Var[bool]
    text: rx.Var[str]


class Moment(rx.Component):
    """A time (ISO 8601) on the reader's clock."""

    library = PAGE
    tag = "Moment"

    iso: rx.Var[str]


class Day(rx.Component):
    """The heading of the day that `moment` is in, unless `before`, the one above it in the list, is in the same."""

    library = PAGE
    tag = "Day"

    moment: rx.Var[str]
    before: rx.Var[str]


class TabTitle(rx.Component):
    """The name of the browser's tab: the open chat's title, from `chats` or as `stored`, else the `app`'s."""

    library = PAGE
    tag = "TabTitle"

    chat_id: rx.Var[str]
    stored: rx.Var[str]
    chats: rx.Var[list[Any]]
    app: rx.Var[str]


class PrintedEarlier(rx.Component):
    """Where the page is printed, the `hidden` messages of the chat that come before the one with the id `before`, or
    before all that it shows."""

    library = PRINTING
    tag = "PrintedEarlier"
    lib_dependencies: list[str] = STREAMDOWN

    chat_id: rx.Var[str]
    hidden: rx.Var[int]
    before: rx.Var[str]


class SkipLink(rx.Component):
    """The first stop of the Tab key, seen only then: past the side bar, to the conversation."""

    library = PAGE
    tag = "SkipLink"


class ImportChats(rx.Component):
    """A button that imports files of chats; it shows how far they are, what came, and what went wrong."""

    library = FILES
    tag = "ImportChats"


class Scroller(rx.Component):
    """Scrolls its children and follows them while they grow; `hidden` messages before them are not on the page, and
    `gap` between them.

    `on_earlier` asks for some of those before, with a message's id for that one and its neighbours; `on_later` for some
    of the gap; `on_named` for the message that the address names.
    """

    library = SCROLLER
    tag = "Scroller"

    chat_id: rx.Var[str]
    hidden: rx.Var[int]
    gap: rx.Var[int]
    on_earlier: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    on_later: rx.EventHandler[rx.event.no_args_event_spec]
    on_named: rx.EventHandler[rx.event.passthrough_event_spec(str)]


class Gap(rx.Component):
    """Stands for `count` messages that are not on the page; near to it, and by its button, some of them come.

    Its children are seen on paper only.
    """

    library = UNLOADED
    tag = "Gap"

    count: rx.Var[int]
    on_later: rx.EventHandler[rx.event.no_args_event_spec]


class Form(BaseHTML):
    """A form that a script sends. Reflex's own reads its fields each time, and for that lays out the page."""

    tag = "form"


class MessageBox(rx.el.Textarea):
    """The textarea of the message box; it submits the form around it."""

    library = FIELDS
    tag = "MessageBox"

    limit: rx.Var[int]
    too_long: rx.Var[str]


class Outbox(rx.Component):
    """Keeps and delivers what was sent, and shows what the server does not have yet; see outbox.jsx."""

    library = OUTBOX
    tag = "Outbox"
    lib_dependencies: list[str] = TOASTS

    chat_id: rx.Var[str]
    rows: rx.Var[list[Row]]
    waiting: rx.Var[list[Any]]
    connected: rx.Var[bool]
    limit: rx.Var[int]
    too_long: rx.Var[str]
    on_send: rx.EventHandler[rx.event.passthrough_event_spec(dict[str, Any])]


class Line(rx.Component):
    """The questions that wait in a chat, but for those that are among `rows` by now; see queue.jsx. `on_change` gets a
    question's id and its new text, `on_remove` and `on_send` its id."""

    library = QUEUE
    tag = "Line"
    lib_dependencies: list[str] = TOASTS

    chat_id: rx.Var[str]
    questions: rx.Var[list[Any]]
    held: rx.Var[bool]
    rows: rx.Var[list[Row]]
    on_change: rx.EventHandler[rx.event.passthrough_event_spec(str, str)]
    on_remove: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    on_send: rx.EventHandler[rx.event.passthrough_event_spec(str)]


class Connection(rx.Component):
    """The sign of the connection; `errors` are Reflex's since it was there last."""

    library = CONNECTION
    tag = "Connection"

    errors: rx.Var[list[Any]]
    hydrated: rx.Var[bool]
    whole: rx.Var[bool]
    measured: rx.Var[bool]


class Main(rx.el.Main):
    """The main part of the page, with `data-empty` where it is that of a new chat, and `data-loading`."""

    library = OUTBOX
    tag = "Main"

    chat_id: rx.Var[str]
    loading: rx.Var[bool]


class Views(rx.Component):
    """Its first child on the page of a new chat, its second once a message was sent."""

    library = OUTBOX
    tag = "Views"

    chat_id: rx.Var[str]


class TakeAlong(rx.Component):
    """A link to a new chat that takes along what was typed for this one, or sent and not taken."""

    library = OUTBOX
    tag = "TakeAlong"


class Suggestion(rx.Component):
    """A button that sends its text."""

    library = OUTBOX
    tag = "Suggestion"

    text: rx.Var[str]


class Disclosed(rx.Component):
    """Its second child, a form, while that is `open` or has an unsaved text, kept under its name; else its first."""

    library = FORMS
    tag = "Disclosed"

    form: rx.Var[str]
    open: rx.Var[bool]


class OpenForm(rx.el.Button):
    """A button that opens the form of this name with a text in it."""

    library = FORMS
    tag = "OpenForm"

    form: rx.Var[str]
    text: rx.Var[str]


class InlineField(rx.el.Textarea):
    """The text of a small form within the page: Enter submits it, Esc is `on_cancel`; the focus then goes to
    the element with the id `back_to`. It keeps what is typed under the form's name."""

    library = FORMS
    tag = "InlineField"

    form: rx.Var[str]
    back_to: rx.Var[str]
    on_cancel: rx.EventHandler[rx.event.no_args_event_spec]


class EditForm(rx.Component):
    """The form around the new version of a question, which it puts into the outbox."""

    library = FORMS
    tag = "EditForm"

    message_id: rx.Var[str]


class TitleField(rx.el.Input):
    """The field of a chat's title: it is saved by Enter and when the field is left, Esc is `on_cancel`."""

    library = FORMS
    tag = "TitleField"

    form: rx.Var[str]
    on_cancel: rx.EventHandler[rx.event.no_args_event_spec]


class KeptForm(rx.el.Form):
    """A form in a dialog that keeps what is typed under its name until it is saved."""

    library = FORMS
    tag = "KeptForm"

    form: rx.Var[str]


class Fonts(rx.Fragment):
    """Inter and JetBrains Mono, served by us."""

    def add_imports(self) -> dict[str, str]:
        return {
            "": ["@fontsource-variable/inter/index.css", "@fontsource-variable/jetbrains-mono/index.css"],
        }

    lib_dependencies: list[str] = ["@fontsource-variable/inter@5.3.0", "@fontsource-variable/jetbrains-mono@5.3.0"]


class Link(rx.Component):
    """A link within the app, without a page load."""

    library = "react-router"
    tag = "Link"

    to: rx.Var[str]
    on_click: rx.EventHandler[rx.event.no_args_event_spec]
