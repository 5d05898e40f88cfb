"""The window: what is new of the growing answer.

It is sent many times a second, and so on a short way (`delta.py`), as an event of its own on the page's socket: a delta
of Reflex's would have more names than text. The page takes it below Reflex (windows.js).
"""

import json
from typing import NamedTuple

import reflex as rx
from reflex.state import _override_base_method

from chat_app.ui.delta import Sender

EVENT = "w"
"""Its name on the socket, as short as can be."""


class Piece(NamedTuple):
    """From `offset` on, the text is `text`; in UTF-16 units, as JavaScript counts."""

    offset: int
    text: str


class Window(rx.State):
    """`w` is what is new of the answer `of`. Its names are short, for the first window comes as Reflex writes it."""

    of: str = ""
    # With an answer's first window, for how many ms the server had its first token; -1 where it cannot tell.
    held: float = -1
    w: Piece = Piece(0, "")

    @classmethod
    @_override_base_method
    def get_name(cls) -> str:
        return "w"


class WindowSender:
    """Sends the windows of one answer to one page; `tab` is Reflex's name of the page, `sid` of its connection."""

    def __init__(self, tab: str, sid: str) -> None:
        self._sender = Sender(Window, tab, sid, lambda window: [EVENT, window])

    async def send(self, offset: int, text: str) -> None:
        """Of the answer that the page knows as `of`. Returns when the connection has taken it: one is on its way at a
        time."""
        piece = Piece(offset, text)
        window = json.dumps(piece, ensure_ascii=False, separators=(",", ":"))
        await self._sender.write(await self._sender.put({"w": piece}, window))
        await self._sender.taken()
