"""`/measures/`: how answers came to people. Browsers report it, and anybody may read the figures of some days."""

from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ValidationError

from chat_app.api.own import Own
from chat_app.api.problems import invalid
from chat_app.api.reference import examples
from chat_app.api.reference.responses import LARGE, fails, gives, takes
from chat_app.errors import AdministratorsOnly, InvalidRequest, MeasuresOff, TooManyRequests
from chat_app.insights import Figures
from chat_app.measures import DAYS, Measure, Survey

router = APIRouter(prefix="/measures", tags=["measures"])
MAX_BYTES = 16_384
"""Many times what any report or remark has."""
TOO_MANY = TooManyRequests("That is too much in a minute. Wait 20 seconds.", retry_after=20)
Body = TypeVar("Body", bound=BaseModel)


async def _read(model: type[Body], request: Request) -> Body:
    """A beacon's Content-Type is a text's. Raises InvalidRequest."""
    body = await request.body()
    if len(body) > MAX_BYTES:
        raise InvalidRequest(f"The body has {len(body):,} bytes; a report has at most {MAX_BYTES:,}.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise invalid(error) from None


async def _measure(request: Request) -> Measure:
    return await _read(Measure, request)


async def _survey(request: Request) -> Survey:
    return await _read(Survey, request)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


@router.post(
    "/",
    summary="Report how an answer came",
    openapi_extra=takes(Measure, examples.MEASURE),
    status_code=204,
    response_class=Response,
    response_description="It is kept, unless there was one already.",
    responses=fails(InvalidRequest("turn_id: There is no such answer."), LARGE, MeasuresOff(), TOO_MANY),
)
async def report(own: Own, request: Request, measure: Annotated[Measure, Depends(_measure)]) -> None:
    """What a browser measured of one answer, sent once when it ends. It has no text and nothing that names anyone."""
    await own.report(measure, _address(request))


@router.post(
    "/survey",
    summary="Say how fast answers feel",
    openapi_extra=takes(Survey, {"session": "3f2a", "feel": 5, "remark": "At once."}),
    status_code=204,
    response_class=Response,
    response_description="It is kept, unless there was one already.",
    responses=fails(InvalidRequest("feel: Input should be less than or equal to 5."), LARGE, MeasuresOff(), TOO_MANY),
)
async def answer_survey(own: Own, request: Request, survey: Annotated[Survey, Depends(_survey)]) -> None:
    """A person's answer to "How fast do answers feel?"."""
    await own.answer_survey(survey, _address(request))


@router.get(
    "/",
    summary="Read the figures",
    response_description="The figures.",
    responses=gives(examples.FIGURES)
    | fails(InvalidRequest("days: Input should be less than or equal to 31."), AdministratorsOnly()),
)
async def read_figures(
    own: Own,
    days: Annotated[int, Query(ge=1, le=DAYS, description="So many days, today (UTC) included.")] = 7,
) -> Figures:
    """What `/insights` shows: the goals, how long people waited, how answers ended, what they cost."""
    return await own.figures(days)
