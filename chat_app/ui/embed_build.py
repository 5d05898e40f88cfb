"""Builds the page at /embed: a bundle of its own, for Reflex's page opens the websocket that this one does without.

It is made by the Vite and from the packages of the page's build, right after it, and takes over its style sheets.

With it comes the worker that colours code, for this page and Reflex's: with the configuration that Reflex writes, Vite
builds a worker as one file, in which the languages take 10 MB.
"""

import hashlib
import os
import re
import shutil
import subprocess
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import Any

from reflex.plugins import Plugin

from chat_app.brand import brand
from chat_app.ui.build import rewrite_scripts
from chat_app.ui.storage import STORAGE

EVENTSOURCE_PARSER = "eventsource-parser@4.1.3"
_HERE = Path(__file__).parent
_SOURCES = ["embed_page.jsx", "stream_chat.jsx", "visitor.js", "stream_chat.css", "colour_worker.js", "embed_vite.mjs"]
# How `colours.js` names the worker.
_WORKER = re.compile(r"/assets/colour_worker\.js")
_STYLESHEET = re.compile(r'<link [^>]*rel="stylesheet"[^>]*>')
_IMPORTED = re.compile(r'from"\./(part-[^"]+)"')

# Before any other script, and before anything is painted: a dark page must not flash white.
_HEAD = (
    STORAGE
    + """\
{
  const theme = new URLSearchParams(location.search).get("theme");
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.className = dark ? "dark" : "light";
}
"""
)
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{brand}
<script>{head}</script>
<link rel="icon" href="{icon}">
{links}
<link rel="stylesheet" href="/assets/{style}">
{colours}
<script type="module" src="/assets/{script}"></script>
</head>
<body><div id="root"></div></body>
</html>
"""


class EmbedPlugin(Plugin):
    """Adds `embed.html` and its bundle to the built page; `chat_app/api/embed.py` serves it."""

    def get_frontend_dependencies(self, **context: Any) -> list[str]:
        return [EVENTSOURCE_PARSER]

    def post_build(self, **context: Any) -> None:
        static = Path(context["static_dir"])
        web = static.resolve().parent.parent
        _bundle(web)
        write_page(static)
        # In the scripts of both pages: nothing but the build knows the name, which changes with what is in the file.
        (worker,) = (static / "assets").glob("colour_worker-*.js")
        rewrite_scripts(static, _WORKER, f"/assets/{worker.name}")


def write_page(static: Path) -> None:
    """As the brand is now, with what is in the built page in the folder `static`."""
    (script,) = (static / "assets").glob("embed-*.js")
    (style,) = (static / "assets").glob("embed-*.css")
    links = _STYLESHEET.findall((static / "index.html").read_text())
    # What the script shares with the worker is fetched beside it, not after it.
    links += [f'<link rel="modulepreload" href="/assets/{part}">' for part in _IMPORTED.findall(script.read_text())]
    (static / "embed.html").write_text(page(script.name, style.name, links))


def page(script: str, style: str, links: list[str]) -> str:
    digest = b64encode(hashlib.sha256(_HEAD.encode()).digest()).decode()
    policy = {
        "default-src": "'self'",
        "script-src": f"'self' 'sha256-{digest}'",
        "style-src": "'self' 'unsafe-inline'",
        # No picture from elsewhere: its address could carry what was said to whoever serves it.
        "img-src": "'self' data:",
        "font-src": "'self' data:",
        "base-uri": "'none'",
    }
    return _PAGE.format(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        head=_HEAD,
        title=escape(brand().name) if brand().file else "Chat",
        brand=f'<meta name="greeting" content="{escape(brand().welcome)}">' if brand().file else "",
        icon="/brand/icon" if brand().icon else "/favicon.svg",
        colours='<link rel="stylesheet" href="/brand/colours.css">' if brand().file else "",
        links="\n".join(links),
        style=style,
        script=script,
    )


def _bundle(web: Path) -> None:
    """Bundled from a copy in `web`, where its packages are found."""
    folder = web / "embed"
    folder.mkdir(exist_ok=True)
    for name in _SOURCES:
        shutil.copy(_HERE / name, folder / name)
    node = shutil.which("node") or "node"
    vite = web / "node_modules" / "vite" / "bin" / "vite.js"
    subprocess.run(
        [node, str(vite), "build", "--config", "embed/embed_vite.mjs"],
        cwd=web,
        env=os.environ | {"NODE_ENV": "production"},
        check=True,
    )
