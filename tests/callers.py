"""Those who may come to a server with accounts, and a way to come as one of them: a header or a cookie names who it is.

`install` puts the caller into the scope, where the app's own middleware does so once somebody is signed in.
"""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send

from chat_app.api.guard import Guard
from chat_app.caller import IN_SCOPE, Caller, Kind
from chat_app.caller import Scope as May

HEADER, COOKIE = "x-caller", "caller"
READ = frozenset({May.read})

OWNER = "owner"
CALLERS: dict[str, Caller | None] = {
    "nobody": None,
    "wrong key": None,
    "read key": Caller("ann-id", "Ann", Kind.person, scopes=READ, key_id="k1"),
    "visitor": Caller("visitor-1", "", Kind.visitor),
    "other visitor": Caller("visitor-2", "", Kind.visitor),
    "other person": Caller("ben-id", "Ben", Kind.person),
    OWNER: Caller("ann-id", "Ann", Kind.person),
    "administrator": Caller("root-id", "Root", Kind.person, admin=True),
}
KNOWN = [name for name, caller in CALLERS.items() if caller]
STRANGERS = ["visitor", "other visitor", "other person", "administrator"]
"""Those who are known, and are not the owner."""


def install() -> None:
    """For all that the guard lets through, from now on."""
    inner = Guard._serve

    async def serve(self: Guard, body: Any, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        name = headers.get(HEADER) or cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        caller = CALLERS[name.replace("+", " ")] if name else None
        await inner(self, body, {**scope, IN_SCOPE: caller}, receive, send)

    setattr(Guard, "_serve", serve)  # noqa: B010 - a method, to mypy
