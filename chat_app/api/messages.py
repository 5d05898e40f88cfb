"""`/messages/`: the whole reply as JSON, for clients that do not stream; works whatever FEATURE_STREAMING says."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from chat_app.api.bodies import (
    Ask,
    Feedback,
    History,
    MessageOut,
    MessageWithParts,
    json_body,
    message_out,
    message_with_parts,
)
from chat_app.api.own import Own
from chat_app.api.parameters import IdempotencyKey, Left, MessageId, example
from chat_app.api.problems import error_response
from chat_app.api.reference import examples
from chat_app.api.reference.responses import (
    CANNOT_START,
    LARGE,
    NO_ANSWER,
    NO_CHAT,
    NO_MESSAGE,
    NO_TURN,
    OF_TURN,
    PROVIDER_FAILS,
    fails,
    gives,
    link,
    takes,
)
from chat_app.api.sse import included
from chat_app.api.stream import turn_headers
from chat_app.errors import Interrupted, InvalidRequest, KeyReused, NotFound, no_message
from chat_app.models import Message, Status
from chat_app.own_chats import OwnChats
from chat_app.service import get_service
from chat_app.turns.turn import Turn

Parts = Annotated[
    str,
    Query(description="What `parts` has beside the text: `reasoning`, `tools`, … as at the stream. Comma-separated."),
]
router = APIRouter(prefix="/messages", tags=["messages"])


@router.post(
    "/",
    summary="Send a message, get the whole reply",
    openapi_extra=takes(Ask, examples.SAY_HELLO),
    response_model=MessageWithParts | MessageOut,
    response_description="The reply.",
    responses=gives(
        examples.MESSAGE,
        headers=OF_TURN,
        links=[
            link("resume_turn", turn_id="$response.body#/id"),
            link("rate_message", message_id="$response.body#/id"),
            link("read_history", chat_id="$response.body#/chat_id"),
        ],
    )
    | fails(InvalidRequest("content: Field required."), LARGE, NO_CHAT, *CANNOT_START, *PROVIDER_FAILS),
)
async def send_message(
    own: Own,
    ask: Annotated[Ask, Depends(json_body(Ask))],
    include: Parts = "",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send a message and wait for the whole reply. A failed one keeps its text, in `message` beside the error."""
    turn = await own.turns.start(ask.content, ask.chat_id, idempotency_key, metadata=ask.metadata)
    return await _whole(own, turn, include)


@router.post(
    "/{message_id}/continue",
    summary="Go on with an answer, get it whole",
    response_model=MessageWithParts | MessageOut,
    response_description="The new version, with all its text.",
    responses=gives(examples.MESSAGE, headers=OF_TURN) | fails(KeyReused(), NO_ANSWER, *CANNOT_START, *PROVIDER_FAILS),
)
async def continue_message(
    own: Own, message_id: MessageId, include: Parts = "", idempotency_key: IdempotencyKey = None
) -> Response:
    """Go on with an answer that was cut off or stopped: a new version of it, which begins with its text."""
    return await _whole(own, await own.turns.continue_reply(message_id, key=idempotency_key), include)


async def _whole(own: OwnChats, turn: Turn, include: str) -> Response:
    with get_service().metrics.reader("messages"):
        ended = await turn.end()
    reply = await own.library.message(turn.id)
    if reply is None:
        raise NotFound("The chat was deleted while the reply was being written.")
    message = _out(include)(reply).model_dump(mode="json")
    if ended.status in (Status.failed, Status.interrupted):
        return error_response(ended.error or Interrupted().as_dict(), message=message)
    return JSONResponse(message, headers=turn_headers(turn))


def _out(include: str) -> Callable[[Message], MessageOut]:
    """With `include`, a message has its parts."""
    return partial(message_with_parts, kinds=included(include)) if include else message_out


@router.get(
    "/",
    summary="Read the history",
    response_description="A page of messages.",
    responses=gives({"chat_id": examples.CHAT_ID, "messages": [examples.QUESTION, examples.MESSAGE], "next": None})
    | fails(InvalidRequest("chat_id: Field required."), NO_CHAT),
)
async def read_history(
    own: Own,
    chat_id: Annotated[str, Query(openapi_examples=example(examples.CHAT_ID))],
    before: Annotated[str | Left, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    include: Parts = "",
) -> History:
    """The messages of a chat, the newest page first, oldest message first within it; with `include`, their parts."""
    page = await own.library.path_page(chat_id, before, limit)
    messages = [item.message for item in page.items]
    out = _out(include)
    return History(
        chat_id=chat_id,
        messages=[out(message) for message in messages],
        next=messages[0].id if page.earlier else None,
    )


@router.get(
    "/{message_id}",
    summary="Read a message",
    response_description="The message and its parts.",
    responses=gives(examples.THOUGHTFUL) | fails(NO_MESSAGE),
)
async def read_message(own: Own, message_id: MessageId, include: Parts = "") -> MessageWithParts:
    """A message with its parts in their order: the text, and what `include` asks for."""
    message = await own.library.message(message_id)
    if message is None:
        raise no_message()
    return message_with_parts(message, included(include))


# A path, for a key may have slashes in it.
@router.post(
    "/{message_id:path}/stop",
    summary="Stop a reply",
    response_description="The reply with its text so far.",
    responses=gives(examples.STOPPED) | fails(NO_TURN),
)
async def stop_message(
    own: Own,
    message_id: Annotated[
        str,
        Path(
            description="The reply's id, or the `Idempotency-Key` of the message it answers.",
            openapi_examples=example(examples.TURN_ID),
        ),
    ],
) -> MessageOut:
    """End a reply that is being written; its text so far is kept, and who waits for it gets it.

    Ending one that has ended changes nothing. Who waits for a whole reply knows its key, but not yet its id; that is in
    the history, with the status `streaming`.
    """
    return message_out(await own.stop(message_id))


@router.post(
    "/{message_id}/rating",
    summary="Rate an answer",
    openapi_extra=takes(Feedback, examples.RATING),
    response_description="The answer, rated.",
    responses=gives(examples.MESSAGE | examples.RATING)
    | fails(InvalidRequest("rating: Input should be -1, 0 or 1."), LARGE, NO_ANSWER),
)
async def rate_message(
    own: Own, message_id: MessageId, feedback: Annotated[Feedback, Depends(json_body(Feedback))]
) -> MessageOut:
    """What a person thinks of an answer; the last word counts."""
    return message_out(await own.rate(message_id, feedback.rating, feedback.remark))
