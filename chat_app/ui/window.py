"""The window: what is new of the growing answer, and its own short way to the page.

Reflex sends a changed var by looking through all states, and a frame of it has more names than text. A window is sent
many times a second to every page, so its delta is written here: on the page's socket, while no other handler of the
page runs, and with what Reflex holds set to the same. It is as Reflex would write it but for the name of the var, `w`
without Reflex's marker; the page takes whichever of the two is new (answer.jsx).
"""

import json
from functools import cache
from typing import Any

import reflex as rx
from engineio.exceptions import SocketIsClosedError
from engineio.packet import MESSAGE
from engineio.packet import Packet as Frame
from reflex.istate.manager.token import BaseStateToken
from reflex.state import _override_base_method
from reflex_base.constants import SocketEvent
from reflex_base.registry import RegistrationContext
from socketio.packet import EVENT, Packet

from chat_app.ui.frames import Frames


class Window(rx.State):
    """`w` is `(offset, text)`: from `offset` on, the text of the answer `of` is `text`; in UTF-16 units, as JavaScript
    counts. Its names are short, for they are sent with every few tokens."""

    of: str = ""
    # With an answer's first window, for how many ms the server had its first token; -1 where it cannot tell.
    held: float = -1
    w: tuple[int, str] = (0, "")

    @classmethod
    @_override_base_method
    def get_name(cls) -> str:
        return "w"


class WindowSender:
    """Sends the windows of one answer to one page; `token` is Reflex's name of the page, `sid` of its connection."""

    def __init__(self, token: str, sid: str) -> None:
        app: Any = RegistrationContext.get().app
        self._states = app.state_manager
        self._token = BaseStateToken(ident=token, cls=Window)
        self._path = Window.get_full_name().split(".")
        self._before, self._after = _around_window(app.event_namespace.namespace)
        self._socket = _socket(app.sio, sid, app.event_namespace.namespace)

    async def send(self, offset: int, text: str) -> None:
        """Of the answer that the page knows as `of`. Returns when the connection has taken it: one is on its way at a
        time."""
        if self._socket is None or self._socket.closed:
            return
        window = json.dumps([offset, text], ensure_ascii=False, separators=(",", ":"))
        frame = Frame(MESSAGE, f"{self._before}{window}{self._after}")
        frames: Frames = self._socket.queue
        claimed = False
        try:
            async with self._states.modify_state(self._token) as root:
                # Not assigned: Reflex would send it again with what changes next.
                vars(root.get_substate(self._path))["w"] = (offset, text)
                if not (claimed := frames.claim()):
                    await self._socket.send(frame)
            # The state is free meanwhile: a page that reads slowly can still stop its answer.
            if claimed:
                await frames.write(frame)
        except SocketIsClosedError:
            return
        finally:
            if claimed:
                frames.release()
        await frames.join()


def _socket(sio: Any, sid: str, namespace: str) -> Any:
    """The connection's engine.io socket; None where the page has left."""
    return sio.eio.sockets.get(sio.manager.eio_sid_from_sid(sid, namespace))


@cache
def _around_window(namespace: str) -> tuple[str, str]:
    """What stands before and after the window in a frame of Reflex's."""
    delta = {Window.get_full_name(): {"w": 0}}
    frame = Packet(EVENT, [SocketEvent.EVENT, {"delta": delta}], namespace).encode()
    before, after = frame.rsplit("0", 1)
    return before, after
