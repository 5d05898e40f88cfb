"""Who asks: each request, socket and event has one caller, and what it may see and do follows from it alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chat_app.errors import AdministratorsOnly, NotSignedIn, ReadOnly

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
class Person:
    """As agents and hooks are told of them: `id` stays the same where the name is changed."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Caller:
    """`owner` is what is stored with a chat: whoever has the same one sees it. It is "" for the `local` person, so that
    the chats of a server that never had accounts stay where they are.

    An administrator (`admin`) sees people, keys, limits and totals, never text. `key_id` is the API key that was shown,
    if any. `shares` is an account that what it takes is counted on as well: that of all visitors from its address.
    """

    owner: str = ""
    name: str = ""
    kind: Kind = Kind.local
    admin: bool = False
    scopes: frozenset[Scope] = ALL_SCOPES
    key_id: str = ""
    shares: str = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        """On which what it takes is counted."""
        return (self.owner, self.shares) if self.shares else (self.owner,)

    @property
    def person(self) -> Person | None:
        """None on a server without accounts."""
        return None if self.kind is Kind.local else Person(self.owner, self.name)

    @property
    def runs_the_server(self) -> bool:
        """Whether what is about all people is shown: to an administrator, and to the one person of a server without
        accounts."""
        return self.admin or self.kind is Kind.local

    def must_run_the_server(self) -> None:
        """Raises AdministratorsOnly."""
        if not self.runs_the_server:
            raise AdministratorsOnly

    def may_change(self) -> None:
        """Raises ReadOnly."""
        if Scope.chat not in self.scopes:
            raise ReadOnly


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
