"""The cookies: one that says who is signed in, and those that tie a form, or a sign-in under way, to their browser."""

import re

from starlette.responses import Response
from starlette.types import Scope

from chat_app.peers import is_tls
from chat_app.people.flow import LASTS_S
from chat_app.people.people import People
from chat_app.people.sessions import LASTS
from chat_app.people.tokens import digest

_TOKEN = re.compile(r"[\w-]{20,100}")


def session_name(people: People, scope: Scope) -> str:
    """Browsers keep cookies by host, whatever the port: two servers on one host have two names. With TLS, no other host
    of the site can set it (`__Host-`)."""
    return ("__Host-" if is_tls(scope) else "") + "rill-" + digest(people.secret.hex())[:8]


def form_name(people: People, scope: Scope) -> str:
    return session_name(people, scope) + "-form"


def flow_name(people: People, scope: Scope) -> str:
    """Of a sign-in that is under way at a provider."""
    return session_name(people, scope) + "-flow"


def is_token(text: str | None) -> bool:
    return text is not None and _TOKEN.fullmatch(text) is not None


def set_session(response: Response, people: People, scope: Scope, token: str) -> None:
    _set(response, session_name(people, scope), token, scope, round(LASTS.total_seconds()))


def set_form(response: Response, people: People, scope: Scope, token: str) -> None:
    _set(response, form_name(people, scope), token, scope, None)


def set_flow(response: Response, people: People, scope: Scope, token: str) -> None:
    _set(response, flow_name(people, scope), token, scope, round(LASTS_S))


def clear_flow(response: Response, people: People, scope: Scope) -> None:
    _set(response, flow_name(people, scope), "", scope, 0)


def clear_session(response: Response, people: People, scope: Scope) -> None:
    _set(response, session_name(people, scope), "", scope, 0)


def _set(response: Response, name: str, value: str, scope: Scope, max_age: int | None) -> None:
    response.set_cookie(name, value, max_age=max_age, path="/", secure=is_tls(scope), httponly=True, samesite="lax")
