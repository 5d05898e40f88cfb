"""Whose page it is: each tab's state belongs to the one whose socket opened it, and reaches that one's chats only.

Reflex binds a state to a token that the browser keeps, and asks nobody for anything else: whoever sent another person's
token got their page. Here the socket's caller is a part of the state's name, so that the same token of two people names
two states. What a handler may see follows from the socket that the state is connected by, see `own`.
"""

import hashlib
from collections import OrderedDict
from typing import Any

import reflex as rx
from reflex.app import EventNamespace
from reflex_base.event.context import EventContext
from socketio.exceptions import ConnectionRefusedError as Refused

from chat_app.caller import LOCAL, Caller, caller_of
from chat_app.errors import NotSignedIn
from chat_app.models import new_id
from chat_app.own_chats import OwnChats
from chat_app.service import get_service

LEFT = 1_000
"""So many tabs that lost their connection are remembered: what they sent last may still be waiting for its turn."""

_callers: dict[str, Caller] = {}
"""By the name of a tab's state, for as long as it has a socket."""
_left: OrderedDict[str, Caller] = OrderedDict()


def own(state: rx.State) -> OwnChats:
    """The chats of the one whose tab it is. Raises NotSignedIn."""
    return get_service().of(caller_of_tab(state.router.session.client_token))


def own_here() -> OwnChats:
    """The same within a handler, which need not say which state is its own; to ask that costs a background handler a
    tenth of a millisecond. Outside of one nobody asks: what is done there is done by the server itself, in chats that
    have no owner."""
    try:
        name = tab_here()
    except LookupError:
        return get_service().of(LOCAL)
    return get_service().of(caller_of_tab(name))


def tab_here() -> str:
    """The name of the state of the tab whose handler this is. Raises LookupError outside of one."""
    return EventContext.get().token


def caller_of_tab(name: str) -> Caller:
    """`name` is that of a tab's state. Raises NotSignedIn: no socket ever led to it."""
    caller = _callers.get(name) or _left.get(name)
    if caller is None:
        raise NotSignedIn
    return caller


def name_of_state(owner: str, token: str) -> str:
    """Of a tab whose browser calls it `token`; nobody else has a token that leads to the same name."""
    return hashlib.sha256(f"{owner}\n{token}".encode()).hexdigest() if owner else token


class OwnTabs(EventNamespace):
    """Reflex's namespace of events, in which a tab belongs to a caller."""

    def __init__(self, namespace: str, app: rx.App) -> None:
        super().__init__(namespace, app)
        self._of_socket: dict[str, Caller] = {}

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        try:
            self._of_socket[sid] = caller_of(environ.get("asgi.scope") or {})
        except NotSignedIn as error:
            raise Refused(error.code) from None
        try:
            await super().on_connect(sid, environ, auth)
        except BaseException:
            self._forget(sid)
            raise

    def on_disconnect(self, sid: str) -> Any:
        try:
            return super().on_disconnect(sid)
        finally:
            self._forget(sid)

    async def link_token_to_sid(self, sid: str, token: str, *, update_state: bool = True) -> None:
        caller = self._of_socket[sid]
        name = name_of_state(caller.owner, token)
        if (record := self._token_manager.token_to_socket.get(name)) is not None and record.sid != sid:
            # A second tab with the same token gets one of its own, as Reflex does it. It hears a token, not the name.
            token = new_id()
            await self.emit("new_token", token, to=sid)
            name = name_of_state(caller.owner, token)
        # First: what runs for the state already may ask.
        _callers[name] = caller
        await super().link_token_to_sid(sid, name, update_state=update_state)

    def _forget(self, sid: str) -> None:
        caller, name = self._of_socket.pop(sid, None), self.sid_to_token.get(sid)
        if caller and name and _callers.pop(name, None):
            _left[name] = caller
            _left.move_to_end(name)
            if len(_left) > LEFT:
                _left.popitem(last=False)
