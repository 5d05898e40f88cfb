"""Completes the OpenAPI that FastAPI writes, with what it cannot know."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from chat_app.api.bodies import TAKEN
from chat_app.api.reference.schemas import SCHEMAS, reference

ABOUT: dict[str, Any] = {
    "title": "Rill",
    "version": "1",
    "description": "A chat whose answers stream. `/docs` explains it, the event stream and the websocket too.",
    "license_info": {"name": "MIT", "identifier": "MIT"},
    "servers": [{"url": "/"}],
    "openapi_tags": [
        {"name": "stream", "description": "The reply as Server-Sent Events, while it is written."},
        {"name": "messages", "description": "The reply whole, and the history; whatever FEATURE_STREAMING says."},
        {"name": "chats", "description": "The chats themselves."},
        {"name": "queue", "description": "What is asked while an answer grows, and waits for its end."},
        {"name": "search", "description": "All chats and messages by their words."},
        {"name": "measures", "description": "How answers came to people, as their browsers measured it."},
    ],
}
"""For `FastAPI(**ABOUT)`."""
KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, where the server has accounts (`AUTH`): made at `/account`, or by `key add`.",
}


def install(api: FastAPI, routers: Iterable[APIRouter]) -> None:
    written = api.openapi
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]

    def completed() -> dict[str, Any]:
        if api.openapi_schema is None:
            _complete(written(), routes)
        return written()

    api.openapi = completed  # type: ignore[method-assign]


def _complete(spec: dict[str, Any], routes: Iterable[APIRoute]) -> None:
    # A server without accounts needs none.
    spec["components"]["securitySchemes"] = {"key": KEY}
    spec["security"] = [{}, {"key": []}]
    schemas = spec["components"]["schemas"]
    # FastAPI's own error body. Ours is declared at the routes whose input can be wrong.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for route in routes:
        for method in route.methods or ():
            responses = spec["paths"][route.path_format][method.lower()]["responses"]
            if 422 not in route.responses:
                responses.pop("422", None)
            for status, declared in route.responses.items():
                # FastAPI leaves null out, in an example too.
                for media_type, content in declared.get("content", {}).items():
                    responses[str(status)]["content"][media_type] |= content
    schemas.update(SCHEMAS | _taken())


def _taken() -> dict[str, Any]:
    """The schemas of the bodies that routes read by themselves."""
    _, written = models_json_schema(
        [(model, "validation") for model in TAKEN], ref_template=reference("{model}")["$ref"]
    )
    schemas: dict[str, Any] = written["$defs"]
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            # Generators of clients take a field with a default for one that is always there.
            field.pop("default", None)
    return schemas
