"""Who asks: each request, socket and event has one caller, and what it may see and do follows from it alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chat_app.errors import NotSignedIn

IN_SCOPE = "caller"
"""Where an ASGI scope has its caller."""


class Kind(StrEnum):
    """`local` is the one person of a server without accounts, `visitor` a browser at `/embed` without one."""

    local = "local"
    person = "person"
    visitor = "visitor"


class Scope(StrEnum):
    """What a caller may do: `read` to see its chats, `chat` to change them and to ask."""

    read = "read"
    chat = "chat"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """`owner` is what is stored with a chat: whoever has the same one sees it. It is "" for the `local` person, so that
    the chats of a server that never had accounts stay where they are.

    An administrator (`admin`) sees people, keys, limits and totals, never text. `key_id` is the API key that was shown,
    if any.
    """

    owner: str = ""
    name: str = ""
    kind: Kind = Kind.local
    admin: bool = False
    scopes: frozenset[Scope] = ALL_SCOPES
    key_id: str = ""


LOCAL = Caller()


def caller_of(scope: Mapping[str, Any]) -> Caller:
    """Who sent a request or opened a websocket. A scope without an entry is of a server without accounts, so `LOCAL`.

    Raises:
        NotSignedIn: the entry is None, for nobody that is known here.
    """
    caller: Caller | None = scope.get(IN_SCOPE, LOCAL)
    if caller is None:
        raise NotSignedIn
    return caller
