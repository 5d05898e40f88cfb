"""`/chats/{chat_id}/queue`: the questions that wait in a chat until its answer has ended. See `chat_app.queue`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from chat_app.api.bodies import LineOut, Question, QueuedOut, json_body
from chat_app.api.own import Own
from chat_app.api.parameters import ChatId, IdempotencyKey, example
from chat_app.api.reference import examples
from chat_app.api.reference.responses import LARGE, NO_CHAT, fails, gives, takes
from chat_app.errors import InvalidRequest, QueueFull, ShuttingDown, not_queued
from chat_app.models import Queued

router = APIRouter(prefix="/chats", tags=["queue"])
QuestionId = Annotated[str, Path(openapi_examples=example(examples.QUEUED_ID))]
NOT_QUEUED = not_queued()
EMPTY = InvalidRequest("content: String should match pattern '\\\\S'.")
LINE = gives({"chat_id": examples.CHAT_ID, "turn_id": examples.TURN_ID, "questions": [examples.QUEUED], "held": False})


async def line_of(own: Own, chat_id: str) -> LineOut:
    line, turn = await own.queue.line(chat_id), await own.turns.running(chat_id)
    questions = [QueuedOut.model_validate(question) for question in line.questions]
    return LineOut(chat_id=chat_id, turn_id=turn.id if turn else None, questions=questions, held=line.held)


@router.get(
    "/{chat_id}/queue",
    summary="Read what waits",
    response_description="The answer that grows, and what waits for its end.",
    responses=LINE | fails(NO_CHAT),
)
async def read_queue(own: Own, chat_id: ChatId) -> LineOut:
    """What waits is asked by itself when the answer is complete. `held`: it was not, so it waits for a person."""
    found = await line_of(own, chat_id)
    if not found.questions and not found.turn_id:
        await own.library.chat(chat_id)
    return found


@router.post(
    "/{chat_id}/queue",
    summary="Ask, now or after the answer that grows",
    openapi_extra=takes(Question, examples.SAY_HELLO),
    response_description="What waits by now; `turn_id` is the turn of this question if it did not have to wait.",
    responses=LINE | fails(EMPTY, LARGE, NO_CHAT, QueueFull(10), ShuttingDown()),
)
async def queue_question(
    own: Own,
    chat_id: ChatId,
    question: Annotated[Question, Depends(json_body(Question))],
    idempotency_key: IdempotencyKey = None,
) -> LineOut:
    """With the same key it waits, and is asked, once."""
    asked = await own.queue.ask(question.content, chat_id, idempotency_key, counted=True)
    found = await line_of(own, chat_id)
    return found if isinstance(asked, Queued) else found.model_copy(update={"turn_id": asked.id})


@router.patch(
    "/{chat_id}/queue/{question_id}",
    summary="Change what waits",
    openapi_extra=takes(Question, examples.SAY_HELLO),
    response_description="What waits by now.",
    responses=LINE | fails(EMPTY, LARGE, NOT_QUEUED),
)
async def change_queued(
    own: Own,
    chat_id: ChatId,
    question_id: QuestionId,
    question: Annotated[Question, Depends(json_body(Question))],
) -> LineOut:
    await own.queue.change(chat_id, question_id, question.content)
    return await line_of(own, chat_id)


@router.delete(
    "/{chat_id}/queue/{question_id}",
    summary="Remove what waits",
    status_code=204,
    response_class=Response,
    response_description="It is not asked.",
    responses=fails(NOT_QUEUED),
)
async def remove_queued(own: Own, chat_id: ChatId, question_id: QuestionId) -> None:
    await own.queue.remove(chat_id, question_id)


@router.post(
    "/{chat_id}/queue/{question_id}/send",
    summary="Ask what is held",
    response_description="What waits by now; `turn_id` is the turn of this question.",
    responses=LINE | fails(NOT_QUEUED, ShuttingDown()),
)
async def send_queued(own: Own, chat_id: ChatId, question_id: QuestionId) -> LineOut:
    turn = await own.queue.send_now(chat_id, question_id)
    return (await line_of(own, chat_id)).model_copy(update={"turn_id": turn.id})
