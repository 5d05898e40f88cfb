"""The pages' frame and forms, as HTML that works without JavaScript. What is put into it is escaped here."""

import re
from functools import cache
from html import escape

from chat_app.brand import brand
from chat_app.built import served

_STYLESHEET = re.compile(r'<link [^>]*rel="stylesheet"[^>]*>')
_DARK = re.compile(r"^\.dark \{(.*?)^\}", re.DOTALL | re.MULTILINE)
FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<script src="/account/theme.js"></script>
<link rel="icon" href="{icon}">
{styles}
<link rel="stylesheet" href="/account/people.css">
<noscript><link rel="stylesheet" href="/account/dark.css" media="(prefers-color-scheme: dark)"></noscript>
</head>
<body class="people">
<main class="{kind}">
{body}
</main>
</body>
</html>
"""


def frame(title: str, body: str, kind: str = "") -> str:
    """A whole page; `body` is HTML."""
    colours = '<link rel="stylesheet" href="/brand/colours.css">' if brand().file else ""
    return FRAME.format(
        title=escape(f"{title} · {brand().name}"),
        icon="/brand/icon" if brand().icon else "/favicon.svg",
        styles="\n".join([*_stylesheets(), colours]),
        kind=escape(kind),
        body=body,
    )


def heading(text: str) -> str:
    """The logo, if there is one, and the name of the app above what the page is."""
    logo = '<img src="/brand/logo" alt="" class="logo">' if brand().logo else ""
    return f'<p class="brand">{logo}{escape(brand().name)}</p><h1>{escape(text)}</h1>'


def form(action: str, token: str, inside: str, label: str = "") -> str:
    """`token` ties it to its reader; `inside` is HTML."""
    name = f' aria-label="{escape(label)}"' if label else ""
    hidden = f'<input type="hidden" name="token" value="{escape(token)}">'
    return f'<form method="post" action="{escape(action)}"{name}>{hidden}{inside}</form>'


def field(label: str, name: str, *, kind: str = "text", value: str = "", complete: str = "off", more: str = "") -> str:
    """`complete` says to browsers what it is (`autocomplete`); `more` are attributes."""
    return (
        f'<label><span>{escape(label)}</span><input class="field" name="{name}" type="{kind}" '
        f'value="{escape(value)}" autocomplete="{complete}" autocapitalize="none" spellcheck="false" {more}></label>'
    )


def hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def button(text: str, kind: str = "button", label: str = "") -> str:
    name = f' aria-label="{escape(label)}"' if label else ""
    return f'<button type="submit" class="{kind}"{name}>{escape(text)}</button>'


def link(text: str, address: str, kind: str = "") -> str:
    return f'<a href="{escape(address)}" class="{escape(kind)}">{escape(text)}</a>'


def problem(sentence: str) -> str:
    return f'<p class="problem" role="alert">{escape(sentence)}</p>' if sentence else ""


def note(sentence: str) -> str:
    return f'<p class="note" role="status">{escape(sentence)}</p>' if sentence else ""


@cache
def _stylesheets() -> list[str]:
    """Those of the app's own page: they bring the fonts."""
    page = served() / "index.html"
    return _STYLESHEET.findall(page.read_text("utf-8")) if page.exists() else []


@cache
def dark_css() -> str:
    """The dark colours where no script can say that they count."""
    sheet = served() / "chat.css"
    found = _DARK.search(sheet.read_text("utf-8")) if sheet.exists() else None
    return f":root {{{found[1]} color-scheme: dark; }}\n" if found else ""
