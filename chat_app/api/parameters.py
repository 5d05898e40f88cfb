"""The parameters that several routes have. One that may be left out is None here, but never null to a client."""

from typing import Annotated, Any

from fastapi import Header, Path, Query
from pydantic.json_schema import SkipJsonSchema

from chat_app.api.reference.examples import CHAT_ID, TURN_ID

Left = SkipJsonSchema[None]


def example(value: Any) -> dict[str, Any]:
    """FastAPI's `openapi_examples=`."""
    return {"example": {"value": value}}


ChatId = Annotated[str, Path(openapi_examples=example(CHAT_ID))]
TurnId = Annotated[str, Path(openapi_examples=example(TURN_ID))]
MessageId = Annotated[str, Path(openapi_examples=example(TURN_ID))]
IdempotencyKey = Annotated[
    str | Left,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="The same key gives the same turn, never a second one; with another body it is refused (422).",
    ),
]
Include = Annotated[
    str,
    Query(
        description="`reasoning` adds the thoughts of models that think aloud, as `event: reasoning`; `recast` says "
        "where text turns out to have been thoughts, as `event: recast`; `steps`, `sources`, `suggestions`, `tools`, "
        "`files`, … add other parts, each under its own name. Comma-separated."
    ),
]
