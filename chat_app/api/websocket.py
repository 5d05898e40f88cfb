"""`WS /stream/ws`: the same objects as the event stream, each with its turn and its number.

A client sends `{"content": …, "chat_id": …}`, `{"resume": {"turn_id": …, "after": …}}` or `{"stop": "<turn_id>"}`, as
often as it likes; turns may run side by side. `?include=` in the address asks for more than text, as at the stream.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, ValidationError

from chat_app.api import sse
from chat_app.api.bodies import Metadata
from chat_app.api.deadline import Undelivered
from chat_app.api.own import own_chats
from chat_app.api.problems import invalid
from chat_app.errors import ChatError, InternalError, InvalidRequest, StreamingOff, TooManyFollowers
from chat_app.own_chats import OwnChats
from chat_app.parts import TEXT
from chat_app.service import get_service
from chat_app.turns.log import Delta, Event
from chat_app.turns.turn import Turn

# Granian accepts what is sent to a client that has gone, and reports it gone only when the loop comes round between.
EVENTS_AT_ONCE = 256
# What waits in front of the closing frame is not taken either.
HANG_UP_S = 0.2
IDLE_S = 600.0
"""So long a client may follow nothing and ask nothing."""
IDLE = 1000
PROTOCOL = "rill"
logger = logging.getLogger(__name__)
router = APIRouter()


class Resume(BaseModel):
    turn_id: str
    after: int = -1


class Command(BaseModel):
    """Exactly one of `content`, `resume` and `stop`."""

    model_config = ConfigDict(strict=True)

    content: str | None = None
    chat_id: str | None = None
    metadata: Metadata | None = None
    resume: Resume | None = None
    stop: str | None = None


@router.websocket("/stream/ws")
async def websocket(socket: WebSocket) -> None:
    # A browser opens no socket that speaks none of the protocols it asked for; one of them may be its token.
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
    session = socket.headers.get("x-session-id") or (socket.client.host if socket.client else "")
    if not get_service().settings.streams(session):
        await socket.send_text(sse.dumps({"error": StreamingOff().as_dict()}))
        return await socket.close(1008)
    try:
        own = await own_chats(socket)
    except ChatError as error:
        await socket.send_text(sse.dumps({"error": error.as_dict()}))
        return await socket.close(1008)
    try:
        # Who leaves, or does not read, ends the socket with all its followers; the turns go on.
        async with asyncio.TaskGroup() as group:
            await _serve(socket, own, Followers(group), sse.included(socket.query_params.get("include", "")))
    except* WebSocketDisconnect:
        pass
    except* TimeoutError:
        await socket.close(IDLE, "idle")
    except* Undelivered:
        await _hang_up(socket)


async def _hang_up(socket: WebSocket) -> None:
    """Let go of a socket whose client takes nothing.

    Granian closes a connection by itself only if nothing waits on it at the moment that the door returns; else that
    waits for Python's garbage collector.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_UP_S):
            await socket.close(1008)


class Followers:
    """The turns that one socket follows, each by a task of the `group`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def make_room(self) -> None:
        """Raises TooManyFollowers: there is none for one more."""
        most = get_service().settings.limit_followers
        if len(self._tasks) >= most:
            raise TooManyFollowers(most)

    def add(self, following: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(following)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _serve(socket: WebSocket, own: OwnChats, followers: Followers, kinds: frozenset[str]) -> None:
    """Do what the client asks until it leaves. Raises WebSocketDisconnect, and TimeoutError where it does nothing."""
    while True:
        text = await _receive(socket, followers)
        try:
            turn, after = await _obey(own, text, followers)
        except ChatError as error:
            await socket.send_text(sse.dumps({"error": error.as_dict()}))
            continue
        except Exception:
            # The turns that are followed here go on.
            logger.exception("a command of a websocket failed")
            await socket.send_text(sse.dumps({"error": InternalError().as_dict()}))
            continue
        if turn:
            followers.add(_give(socket, turn, after, kinds))


async def _receive(socket: WebSocket, followers: Followers) -> str | bytes:
    """The next message; JSON may come as a text or as a binary one."""
    receiving = asyncio.ensure_future(socket.receive())
    try:
        while not (await asyncio.wait({receiving}, timeout=IDLE_S))[0]:
            if not followers:
                raise TimeoutError
    finally:
        receiving.cancel()
    message = receiving.result()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    return message.get("text") or message.get("bytes") or ""


async def _obey(own: OwnChats, text: str | bytes, followers: Followers) -> tuple[Turn | None, int]:
    """Do what the client asks; returns the turn to follow and after which number."""
    try:
        command = Command.model_validate_json(text)
    except ValidationError as error:
        raise invalid(error) from None
    if len(command.model_dump(include={"content", "resume", "stop"}, exclude_none=True)) != 1:
        raise InvalidRequest("Send one of content, resume and stop.")
    if command.stop is None:
        followers.make_room()
    if command.content is not None:
        return await own.turns.start(command.content, command.chat_id, metadata=command.metadata), -1
    if command.resume:
        return await own.turns.find(command.resume.turn_id), command.resume.after
    await own.turns.stop(command.stop or "")
    return None, 0


async def _give(socket: WebSocket, turn: Turn, after: int, kinds: frozenset[str]) -> None:
    try:
        with get_service().reading("websocket"):
            await _follow(socket, turn, after, kinds)
    except Undelivered:
        raise
    except Exception:
        # Nor does it end the others that are followed here.
        logger.exception("a websocket could not follow turn %s", turn.id)
        names = {"turn_id": turn.id, "chat_id": turn.chat_id}
        await _send(socket, {"error": InternalError().as_dict()} | names)


async def _follow(socket: WebSocket, turn: Turn, after: int, kinds: frozenset[str] = sse.TEXT_ONLY) -> None:
    names = {"turn_id": turn.id, "chat_id": turn.chat_id}
    # Before the first send, which may take its time.
    events = turn.events(max(after, 0))
    if after < 0:
        await _send(socket, sse.user_object(turn.user.content) | {"seq": 0} | names)
    sent = 0
    async for event in events:
        if not sse.wanted(event, kinds):
            continue
        await _send(socket, _object(event) | {"seq": event.seq} | names)
        sent += 1
        if sent % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _object(event: Event) -> dict[str, Any]:
    """Without the name that a block has, thoughts come under a key of their own."""
    if isinstance(event, Delta) and event.kind != TEXT:
        return {"role": "assistant", "delta": "", event.kind: event.text}
    return sse.event_object(event)


async def _send(socket: WebSocket, value: dict[str, Any]) -> None:
    try:
        await socket.send_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")))
    except (RuntimeError, WebSocketDisconnect):
        # The reader left; the turn goes on.
        raise asyncio.CancelledError from None
