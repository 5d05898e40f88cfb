"""The script by which a page of the development loop loads itself anew when the server has another one. Pure."""

import json

SCRIPT = "/_dev/reload.js"
STATE = "/_dev/state"
FAILED = "failed"
"""The page of a server that could not start."""


def script(page: str | None = None) -> str:
    """`page` is what the document shows; without, it is what the server has as the script first asks."""
    return f"""\
let page = {json.dumps(page)};
const look = async () => {{
  try {{
    const answer = await fetch("{STATE}", {{ cache: "no-store" }});
    const state = answer.ok ? (await answer.json()).page : "{FAILED}";
    page ??= state;
    if (state !== page) return location.reload();
  }} catch {{
    // The server starts again just now.
  }}
  setTimeout(look, 400);
}};
look();
"""
