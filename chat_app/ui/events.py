"""What a page's connection does otherwise than Reflex's: the address of a new chat loads nothing, and what a page has
started ends with its connection.

With each address Reflex ends what ran for the one before and loads the page's states: six handlers. A new chat gets its
address when it is on the page already.
"""

from typing import Any

import reflex as rx
from reflex.state import OnLoadInternalState, StateUpdate
from reflex_base.constants import CompileVars
from reflex_base.constants.state import FIELD_MARKER
from reflex_base.registry import RegistrationContext
from reflex_base.utils.format import format_event_handler

from chat_app.ui.own import OwnTabs
from chat_app.ui.transcript import shown_chat

ADDRESS = format_event_handler(OnLoadInternalState.event_handlers["on_load_internal"])
HYDRATED = {rx.State.get_full_name(): {CompileVars.IS_HYDRATED + FIELD_MARKER: True}}

_named: dict[str, str] = {}
"""The chat that a tab shows and is about to get the address of, by the name of the tab's state."""

_leaving: set[str] = set()
"""The tabs that are on their way to another address: what they show goes with it."""


def name_chat(tab: str, chat_id: str) -> None:
    """The tab's next address is this chat's, if it is one: all of it is on the page, and followed. Unless its reader
    left before: then it is loaded as any other."""
    if tab not in _leaving:
        _named[tab] = chat_id


def arrived(tab: str) -> None:
    """What the tab's address names is about to be shown."""
    _leaving.discard(tab)


class Events(OwnTabs):
    """Reflex's namespace of events."""

    async def on_event(self, sid: str, data: Any) -> None:
        tab = self.sid_to_token.get(sid)
        if tab and isinstance(data, dict) and data.get("name") == ADDRESS:
            chat_id, router = _named.pop(tab, ""), data.get("router_data")
            if chat_id and isinstance(router, dict) and shown_chat(str(router.get("pathname"))) == chat_id:
                # The page counts as loading since it left the other address.
                await self.emit_update(StateUpdate(delta=HYDRATED), tab)
                return
            _leaving.add(tab)
        await super().on_event(sid, data)

    def on_disconnect(self, sid: str) -> Any:
        if tab := self.sid_to_token.get(sid):
            _named.pop(tab, None)
            _leaving.discard(tab)
            record = self._token_manager.token_to_socket.get(tab)
            if record is not None and record.sid == sid:
                self._end_watching(tab)
        return super().on_disconnect(sid)

    def _end_watching(self, tab: str) -> None:
        """Of these handlers a page has one each: they run for as long as it is there, or wait for others. Reflex ends
        those that came with an address, and not what came of a click. Those of other people's pages are their own."""
        running = self.app.event_processor._superseded
        for name, known in RegistrationContext.get().event_handlers.items():
            if known.handler.supersedes and known.handler.fn.__module__.startswith("chat_app."):
                for future in running.pop((name, tab), {}).values():
                    future.cancel()


def with_own_events(app: rx.App) -> None:
    """Put `Events` in the place of Reflex's own namespace."""
    if app.sio is not None and app.event_namespace is not None:
        app._event_namespace = Events(app.event_namespace.namespace, app)
        app.sio.register_namespace(app.event_namespace)
