"""Whose chats a request is about: a route that takes an `Own` reaches these and no others."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from chat_app.caller import caller_of
from chat_app.own_chats import OwnChats
from chat_app.service import get_service


async def own_chats(connection: HTTPConnection) -> OwnChats:
    """Those of the one who asks. Raises NotSignedIn."""
    return get_service().of(caller_of(connection.scope))


Own = Annotated[OwnChats, Depends(own_chats)]
