"""Whose chats a request is about: a route that takes an `Own` reaches these and no others."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import Scope

from chat_app.caller import Caller, caller_of
from chat_app.errors import NotSignedIn
from chat_app.own_chats import OwnChats
from chat_app.service import get_service


async def own_chats(connection: HTTPConnection) -> OwnChats:
    """Those of the one who asks. Raises NotSignedIn."""
    return get_service().of(caller_of(connection.scope))


def known_caller(scope: Scope) -> Caller | None:
    """Who asks; None for nobody that is known here."""
    try:
        return caller_of(scope)
    except NotSignedIn:
        return None


Own = Annotated[OwnChats, Depends(own_chats)]
