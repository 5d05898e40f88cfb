"""The script by which a page of the development loop loads itself anew when the server has another one. Pure."""

import json

SCRIPT = "/_dev/reload.js"
STATE = "/_dev/state"


def script(page: str | None = None) -> str:
    """`page` is what the document shows; without, the address of the script says it. It is not asked for: by then the
    server may have another one."""
    shown = json.dumps(page) if page else 'new URL(document.currentScript.src).searchParams.get("page")'
    return f"""\
const page = {shown};
const look = async () => {{
  try {{
    const answer = await fetch("{STATE}", {{ cache: "no-store" }});
    if (answer.ok && (await answer.json()).page !== page) return location.reload();
  }} catch {{
    // The server starts again just now.
  }}
  setTimeout(look, 400);
}};
look();
"""
