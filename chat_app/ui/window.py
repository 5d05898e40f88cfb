"""The window: what is new of the growing answer.

It is sent many times a second, and so on a short way (`delta.py`). It is as Reflex would write it but for the name of
the var, `w` without Reflex's marker: a frame would have more names than text. The page takes whichever of the two is
new (answer.jsx).
"""

import json

import reflex as rx
from reflex.state import _override_base_method

from chat_app.ui.delta import DeltaSender


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
    """Sends the windows of one answer to one page; `tab` is Reflex's name of the page, `sid` of its connection."""

    def __init__(self, tab: str, sid: str) -> None:
        self._sender = DeltaSender(Window, tab, sid)

    async def send(self, offset: int, text: str) -> None:
        """Of the answer that the page knows as `of`. Returns when the connection has taken it: one is on its way at a
        time."""
        window = json.dumps([offset, text], ensure_ascii=False, separators=(",", ":"))
        await self._sender.write(await self._sender.put({"w": (offset, text)}, f'{{"w":{window}}}'))
        await self._sender.taken()
