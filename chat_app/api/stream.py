"""`/stream/`: a turn as Server-Sent Events."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from chat_app.api import sse
from chat_app.api.bodies import Ask, MessageOut, json_body, message_out
from chat_app.api.guard import BEGAN
from chat_app.api.own import Own
from chat_app.api.parameters import IdempotencyKey, Include, Left, TurnId
from chat_app.api.reference import examples
from chat_app.api.reference.responses import (
    CANNOT_START,
    LARGE,
    NO_ANSWER,
    NO_CHAT,
    NO_TURN,
    OF_STREAM,
    OF_TURN,
    STREAMING_OFF,
    fails,
    gives,
    link,
    streams,
    takes,
)
from chat_app.errors import InvalidRequest, KeyReused, StreamingOff, shown
from chat_app.own_chats import OwnChats
from chat_app.service import get_service
from chat_app.turns.log import Event, Whole
from chat_app.turns.turn import Turn

PING_S = 15.0
# Of a number in `Last-Event-ID`; Python refuses to read some thousands of digits.
MAX_DIGITS = 20
# Encoded and sent at a time: a reader that catches up slowly must not hold a second copy of a long answer.
EVENTS_AT_ONCE = 256
SELFTEST_FRAMES = 5
SELFTEST_PAUSE_S = 0.2

EventStream = StreamingResponse


async def streamed(
    own: Own,
    request: Request,
    session_id: Annotated[
        str | Left,
        Header(
            alias="X-Session-Id",
            description="Who asks, for a FEATURE_STREAMING of a share; without it, the client's address.",
        ),
    ] = None,
) -> OwnChats:
    """The caller's chats, where streaming is on for this session: `X-Session-Id`, or the client's address."""
    session = session_id or (request.client.host if request.client else "")
    if not get_service().settings.streams(session):
        raise StreamingOff
    return own


Streaming = Annotated[OwnChats, Depends(streamed)]
router = APIRouter(prefix="/stream", tags=["stream"])
RESUMABLE = link("resume_turn", turn_id="$response.header.X-Turn-Id")


@router.post(
    "/",
    summary="Send a message, stream the reply",
    openapi_extra=takes(Ask, examples.SAY_HELLO),
    response_class=EventStream,
    response_description="The event stream. A failure of the model is an `error` event in it; it always ends with "
    "`[DONE]`.",
    responses=streams(
        examples.STREAM,
        headers=OF_STREAM | OF_TURN,
        links=[
            RESUMABLE,
            link("stop_turn", turn_id="$response.header.X-Turn-Id"),
            link("read_history", chat_id="$response.header.X-Chat-Id"),
        ],
    )
    | fails(InvalidRequest("content: Field required."), LARGE, NO_CHAT, *CANNOT_START, STREAMING_OFF),
)
async def stream_reply(
    own: Streaming,
    request: Request,
    ask: Annotated[Ask, Depends(json_body(Ask))],
    ids: bool = False,
    include: Include = "",
    idempotency_key: IdempotencyKey = None,
) -> EventStream:
    """Send a message; the reply comes as an event stream: the user's message first, `[DONE]` at the end."""
    turn = await own.turns.start(ask.content, ask.chat_id, idempotency_key, metadata=ask.metadata)
    return _event_stream(turn, after=-1, ids=ids, include=include, began=request.scope.get(BEGAN))


@router.post(
    "/{turn_id}/continue",
    summary="Go on with an answer, stream it",
    response_class=EventStream,
    response_description="The event stream of the new version; the text so far is its first delta.",
    responses=streams(examples.STREAM, headers=OF_STREAM | OF_TURN, links=[RESUMABLE])
    | fails(
        KeyReused(),
        NO_ANSWER,
        *CANNOT_START,
        STREAMING_OFF,
    ),
)
async def stream_continuation(
    own: Streaming,
    turn_id: TurnId,
    ids: bool = False,
    include: Include = "",
    idempotency_key: IdempotencyKey = None,
) -> EventStream:
    """Go on with an answer that was cut off or stopped: a new version of it, which begins with its text."""
    turn = await own.turns.continue_reply(turn_id, key=idempotency_key)
    return _event_stream(turn, after=-1, ids=ids, include=include)


@router.get(
    "/selftest",
    summary="See whether a proxy buffers",
    response_class=EventStream,
    response_description="Five frames, 200 ms apart.",
    responses=streams(examples.SELFTEST, headers=OF_STREAM) | fails(STREAMING_OFF),
)
async def run_selftest(own: Streaming) -> EventStream:
    """Five frames 200 ms apart, each with the server's clock: what comes in one lump was buffered on the way."""
    return StreamingResponse(_selftest(), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


@router.get(
    "/{turn_id}",
    summary="Replay and follow a turn",
    response_class=EventStream,
    response_description="The event stream, every block with its id.",
    responses=streams(examples.RESUMED, headers=OF_STREAM | OF_TURN)
    | {204: {"description": "Nothing newer, and ended."}}
    | fails(
        InvalidRequest(f"Last-Event-ID 'x' is not of this turn. It looks like {examples.TURN_ID}:42."),
        NO_TURN,
        STREAMING_OFF,
    ),
)
async def resume_turn(
    own: Streaming,
    turn_id: TurnId,
    after: Annotated[int | Left, Query(description="The number to go on after.")] = None,
    include: Include = "",
    last_event_id: Annotated[
        str | Left, Header(alias="Last-Event-ID", description="The last `id:` that came, `turn:number`.")
    ] = None,
) -> Response:
    """Replay a turn after a number (`Last-Event-ID` or `?after=`), then follow it. Always with ids."""
    turn = await own.turns.find(turn_id)
    number = _number(turn, last_event_id) if after is None else after
    if number > 0:
        get_service().metrics.resumed("stream")
    if turn.ended_at is not None and number >= turn.ended_at:
        return Response(status_code=204)
    return _event_stream(turn, after=number, ids=True, include=include)


@router.post(
    "/{turn_id}/stop",
    summary="Stop a turn",
    response_description="The reply with its text so far.",
    responses=gives(examples.STOPPED) | fails(NO_TURN, STREAMING_OFF),
)
async def stop_turn(own: Streaming, turn_id: TurnId) -> MessageOut:
    """End a turn; its text so far is kept. Ending one that has ended changes nothing."""
    return message_out(await own.stop(turn_id))


def turn_headers(turn: Turn) -> dict[str, str]:
    return {"X-Turn-Id": turn.id, "X-Chat-Id": turn.chat_id, "X-Message-Id": turn.reply.id}


def _event_stream(turn: Turn, *, after: int, ids: bool, include: str, began: float | None = None) -> EventStream:
    """`began`: when the request that started the turn came."""
    # Before the first send, which may take its time.
    batches = turn.batches(max(after, 0), idle=PING_S)
    if began is not None and "timing" in sse.included(include):
        batches = _timed(turn, batches, time.monotonic() - began)
    body = _blocks(turn, batches, from_start=after < 0, ids=ids, kinds=sse.included(include))
    return StreamingResponse(body, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS | turn_headers(turn))


async def _blocks(
    turn: Turn, batches: AsyncIterator[list[Event]], *, from_start: bool, ids: bool, kinds: frozenset[str]
) -> AsyncIterator[bytes]:
    turn_id = turn.id if ids else None
    if from_start:
        yield sse.user_block(turn.user.content, turn_id)
    sent = time.monotonic()
    with get_service().metrics.reader("stream"):
        async for batch in batches:
            for start in range(0, max(len(batch), 1), EVENTS_AT_ONCE):
                encoded = sse.blocks(batch[start : start + EVENTS_AT_ONCE], turn_id=turn_id, kinds=kinds)
                # Thoughts that are left out are silence too: a model may think for minutes.
                if not encoded and (not batch or time.monotonic() - sent >= PING_S):
                    encoded = sse.PING
                if encoded:
                    yield encoded
                    sent = time.monotonic()


async def _timed(turn: Turn, batches: AsyncIterator[list[Event]], started_s: float) -> AsyncIterator[list[Event]]:
    """With the first delta, what its reader cannot know by their own clock: how long it was here."""
    told = False
    async for batch in batches:
        if batch and not told:
            told = True
            if (held := get_service().measures.held_ms(turn.id)) is not None:
                data = {"started_ms": round(started_s * 1000, 1), "held_ms": held}
                batch = [Whole(0, "timing", data), *batch]
        yield batch


def _number(turn: Turn, last_event_id: str | None) -> int:
    """The number in an id `<turn>:<seq>`; without one, -1: from the very start, the user's message included."""
    if not last_event_id:
        return -1
    turn_id, _, number = last_event_id.rpartition(":")
    if turn_id != turn.id or not number.isdecimal() or len(number) > MAX_DIGITS:
        raise InvalidRequest(f"Last-Event-ID {shown(last_event_id)!r} is not of this turn. It looks like {turn.id}:42.")
    return int(number)


async def _selftest() -> AsyncIterator[bytes]:
    for number in range(SELFTEST_FRAMES):
        if number:
            await asyncio.sleep(SELFTEST_PAUSE_S)
        yield sse.block(sse.dumps({"frame": number, "sent_ms": round(time.time() * 1000)}))
    yield sse.block(sse.DONE)
