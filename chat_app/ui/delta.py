"""A state's change on a short way to its page.

Reflex sends a changed var by looking through all states, and writes it anew for each page. What is sent often or to
many pages is written by its sender: on the page's socket, while no other handler of the page runs, and with what Reflex
holds set to the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import reflex as rx
from engineio.exceptions import SocketIsClosedError
from engineio.packet import MESSAGE
from engineio.packet import Packet as Frame
from reflex.istate.manager.token import BaseStateToken
from reflex_base.constants import SocketEvent
from reflex_base.registry import RegistrationContext
from socketio.packet import EVENT, Packet

from chat_app.ui.frames import Frames


class Sender:
    """Sends what changes in one state to one page; `tab` is Reflex's name of the page, `sid` of its connection, and
    `event` makes socket.io's event of what is sent, its name and what comes with it."""

    def __init__(self, state: type[rx.State], tab: str, sid: str, event: Callable[[Any], list[Any]]) -> None:
        app: Any = RegistrationContext.get().app
        namespace = app.event_namespace.namespace
        self._states = app.state_manager
        self._token = BaseStateToken(ident=tab, cls=state)
        self._path = state.get_full_name().split(".")
        self._before, self._after = Packet(EVENT, event(0), namespace).encode().rsplit("0", 1)
        # None where the page has left.
        self._socket = app.sio.eio.sockets.get(app.sio.manager.eio_sid_from_sid(sid, namespace))

    async def put(self, values: Mapping[str, Any], sent: str) -> Frame | None:
        """Set these values of the state, for which the page is sent this JSON. Returns what the caller is to `write`:
        its frame is the next one, which may take as long as the page reads slowly."""
        if self._socket is None or self._socket.closed:
            return None
        frame, frames, claimed = Frame(MESSAGE, f"{self._before}{sent}{self._after}"), self._frames, False
        try:
            async with self._states.modify_state(self._token) as root:
                # Not assigned: Reflex would send it again with what changes next.
                vars(root.get_substate(self._path)).update(values)
                if not (claimed := frames.claim()):
                    await self._socket.send(frame)
        except SocketIsClosedError:
            return None
        except BaseException:
            if claimed:
                frames.release()
            raise
        return frame if claimed else None

    async def write(self, frame: Frame | None) -> None:
        """The state is free meanwhile: a page that reads slowly can still stop its answer."""
        if frame is not None:
            try:
                await self._frames.write(frame)
            finally:
                self._frames.release()

    async def taken(self) -> None:
        """Wait until the connection has taken all of it."""
        if self._socket is not None and not self._socket.closed:
            await self._frames.join()

    @property
    def _frames(self) -> Frames:
        frames: Frames = self._socket.queue
        return frames


class DeltaSender(Sender):
    """Sends deltas as Reflex writes them: JSON of the names that its page gives them."""

    def __init__(self, state: type[rx.State], tab: str, sid: str) -> None:
        super().__init__(state, tab, sid, lambda delta: [SocketEvent.EVENT, {"delta": {state.get_full_name(): delta}}])
