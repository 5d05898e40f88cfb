"""A page without a browser: it speaks the protocol of Reflex's page, and keeps what that keeps and shows."""

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.ws_client import Closed, Socket

ROOT = "reflex___state____state"
TRANSCRIPT = "chat_app___ui___transcript____transcript"
LIVE = "chat_app___ui___live____live"
COMPOSER = "chat_app___ui___composer____composer"
CHATS = "chat_app___ui___chats____chats"
LINE = "chat_app___ui___queue____line"
WINDOW = "w"
EVENT = re.compile("42/_event,(.*)", re.DOTALL)
# The event of a window on its short way.
SHORT = "w"
PATIENCE_S = 60.0
# Reflex's name of a state's variable.
MARKER = "_rx_state_"
# How a window names its answer.
OF_CHARS = 8


class PageClient:
    """`url` is the app's. A load of the page forgets all but its `token`, as a browser's tab does. `headers` go along
    with its socket."""

    def __init__(self, url: str, **headers: str) -> None:
        self._url = url
        self._headers = headers
        self.token = uuid.uuid4().hex
        self._socket: Socket | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.path = "/"
        self.windows = 0
        self.frames: list[str] = []
        self.taken_back: list[str] = []
        self.refused = False
        self._forget()

    def _forget(self) -> None:
        self._states: dict[str, dict[str, Any]] = {}
        self.texts: dict[str, str] = {}

    async def load(self, path: str = "/") -> None:
        """Open the address, or reload it."""
        await self.leave()
        self._forget()
        self.path = path
        await self.connect()

    async def connect(self) -> None:
        """Open a connection; what is on the page stays, as where a connection was lost."""
        query = f"token={self.token}&EIO=4&transport=websocket"
        self._socket = await Socket(f"{self._url}/_event/?{query}", Origin=self._url, **self._headers).__aenter__()
        hydrate = {"name": f"{ROOT}.hydrate_and_load", "payload": {"hashes": []}, "router_data": self._router_data()}
        await self._socket.send("40/_event," + json.dumps({"event": hydrate}))
        self._reading = asyncio.create_task(self._read(self._socket))

    async def leave(self) -> None:
        """Lose the connection."""
        if (socket := self._socket) and self._reading:
            self._socket = None
            await socket.__aexit__(None, None, None)
            await self._reading

    async def visit(self, path: str) -> None:
        """Another address of the page, without a load."""
        self.path = path
        self._states.setdefault(ROOT, {})["is_hydrated" + MARKER] = False
        await self._send("reflex___state____on_load_internal_state.on_load_internal")

    async def ask(self, content: str, **more: str) -> None:
        """Submit the message box; the outbox of a browser's page adds the message's `key`, for one."""
        fields = [["message", content], *map(list, more.items())]
        await self._send(f"{COMPOSER}.send", form={"__reflex_form_data__": fields})

    async def stop(self) -> None:
        await self._send(f"{COMPOSER}.stop")

    async def say_gap(self, of: str) -> None:
        """Something of this window's answer is missing."""
        await self._send(f"{LIVE}.resend", window_id=of)

    async def regenerate(self, reply_id: str) -> None:
        await self._send(f"{TRANSCRIPT}.regenerate", reply_id=reply_id)

    async def more_chats(self) -> None:
        """In the side bar."""
        await self._send(f"{CHATS}.more")

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def value(self, state: str, name: str) -> Any:
        return self._states.get(f"{ROOT}.{state}", {}).get(name + MARKER)

    def sent(self, state: str, name: str) -> list[Any]:
        """What came of a var of that state, one after the other."""
        return [delta[name + MARKER] for delta in self._deltas(state) if name + MARKER in delta]

    def sent_windows(self) -> list[tuple[int, str]]:
        """What came of growing answers: each from which offset on, and the text."""
        return [window for frame in self.frames if (window := window_of(frame))]

    def _deltas(self, state: str) -> list[dict[str, Any]]:
        updates = [json.loads(frame.partition(",")[2]) for frame in self.frames]
        return [update.get("delta", {}).get(f"{ROOT}.{state}", {}) for kind, update in updates if kind == "event"]

    @property
    def loaded(self) -> bool:
        """Whether the chat of the address is shown."""
        chat_id = self.path.removeprefix("/c/").strip("/")
        return self.value(TRANSCRIPT, "loading") is False and self.value(TRANSCRIPT, "open_chat") == chat_id

    @property
    def hydrated(self) -> bool:
        """Whether the page counts as loaded; as Reflex's page does it, an address takes that back."""
        return self._states.get(ROOT, {}).get("is_hydrated" + MARKER) is True

    @property
    def ended(self) -> bool:
        return self.loaded and not self.value(TRANSCRIPT, "running")

    def rows(self) -> list[dict[str, Any]]:
        """The messages on the page, as `ui.rows` made them."""
        return [row for name in ("loaded", "settled", "recent") for row in self.value(TRANSCRIPT, name)]

    def shown(self) -> list[tuple[str, str]]:
        """Role and text of the messages on the page."""
        return [(row["role"], self._text(row)) for row in self.rows()]

    def titles(self) -> list[str]:
        """Those of the side bar."""
        return [row["title"] for row in with_changes(self.value(CHATS, "chats"), self.value(CHATS, "changed"))]

    def _text(self, row: dict[str, Any]) -> str:
        raw, stored = self.texts.get(row["id"][-OF_CHARS:]), str(row["content"])
        live = None if raw is None else written(raw)
        return live if live is not None and len(live) >= len(stored) else stored

    def _router_data(self) -> dict[str, Any]:
        place, _, chat_id = self.path.strip("/").partition("/")
        query = {"place": place, "chat_id": chat_id} if place else {}
        return {"pathname": self.path, "asPath": self.path, "query": query}

    async def _send(self, event: str, **payload: Any) -> None:
        assert self._socket
        data = {"name": f"{ROOT}.{event}", "payload": payload, "router_data": self._router_data()}
        await self._socket.send("42/_event," + json.dumps(["event", data]))

    async def _read(self, socket: Socket) -> None:
        try:
            while self._socket is socket:
                frame = await socket.receive_text()
                if self._socket is socket:
                    await self._take(frame)
                    self._news.set()
        except (Closed, OSError):
            return

    async def _take(self, frame: str) -> None:
        if frame == "2":
            assert self._socket
            await self._socket.send("3")
        if frame.startswith("44/_event,"):
            self.refused = True
        if not (event := EVENT.fullmatch(frame)):
            return
        self.frames.append(frame)
        name, *values = json.loads(event[1])
        if name == "new_token":
            self.token = values[0]
        elif name == SHORT:
            await self._splice(self.value(WINDOW, "of"), *values[0])
        elif name == "event":
            await self._apply(values[0])

    async def _apply(self, update: dict[str, Any]) -> None:
        for state, delta in update.get("delta", {}).items():
            self._states.setdefault(state, {}).update(delta)
            if state == f"{ROOT}.{WINDOW}" and (window := delta.get("w" + MARKER)):
                await self._splice(self.value(WINDOW, "of"), *window)
        for event in update.get("events", []):
            if event["name"] == "_redirect":
                await self.visit(event["payload"]["path"])

    async def _splice(self, of: str, offset: int, text: str) -> None:
        """As answer.jsx does; `text` is of characters that JavaScript counts as one."""
        if not of:
            return
        self.windows += 1
        known = self.texts.get(of, "")
        if offset > len(known):
            await self.say_gap(of)
            return
        self.texts[of] = known[:offset] + text
        # Sent anew, its thoughts have other times.
        if not written(self.texts[of]).startswith(written(known)):
            self.taken_back.append(f"{known!r} -> {self.texts[of]!r}")


def window_of(frame: str) -> tuple[int, str] | None:
    """The offset and text that come with a frame of the page's socket, on their short way or from Reflex."""
    name, *values = json.loads(event[1]) if (event := EVENT.fullmatch(frame)) else ("",)
    if name == SHORT:
        return tuple(values[0])
    delta = values[0].get("delta", {}) if name == "event" else {}
    return tuple(window) if (window := delta.get(f"{ROOT}.{WINDOW}", {}).get("w" + MARKER)) else None


def with_changes(chats: Iterable[Any], changes: Sequence[Any]) -> list[Any]:
    """As `chat_list.js` makes the list of chats."""
    changed = {row["id"] for _, row in changes}
    rows = [row for row in chats if row["id"] not in changed]
    for place, row in changes:
        if place >= 0:
            rows.insert(place, row)
    return rows


def written(raw: str) -> str:
    """The text of a growing answer, without its thoughts, as `reply_text.js` reads it."""
    text, kind = "", "text"
    for number, piece in enumerate(raw.split("\0")):
        if number % 2:
            header = json.loads(piece)
            kind = header.get("type", "text")
            text = text[: header.get("recast", len(text))]
        elif kind != "reasoning":
            text += piece
    return text
