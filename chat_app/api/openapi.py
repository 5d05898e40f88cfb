"""Completes what FastAPI writes into `/openapi.json`: every status, the error body, headers and an example a route."""

import copy
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from chat_app.api.bodies import TAKEN
from chat_app.api.examples import Stream
from chat_app.api.explained import FOREIGN, HEADERS, JSON, LARGE, PARAMETERS, ROUTES, Route
from chat_app.api.schemas import SCHEMAS, reference
from chat_app.errors import ChatError, InternalError, StreamingOff

SESSION = {
    "name": "X-Session-Id",
    "in": "header",
    "required": False,
    "description": "Who asks, for a FEATURE_STREAMING of a share; without it, the client's address.",
    "schema": {"type": "string"},
}
RETRY_AFTER = {
    "description": "Seconds after which the same request may succeed, where that is known.",
    "schema": {"type": "integer"},
    "example": 5,
}
ABOUT = "A chat whose answers stream. `/docs` explains it, the event stream and the websocket too."
TAGS = {
    "stream": "The reply as Server-Sent Events, while it is written.",
    "messages": "The reply whole, and the history; whatever FEATURE_STREAMING says.",
    "chats": "The chats themselves.",
    "search": "All chats and messages by their words.",
}
REASONS = {
    403: "A page of another origin, or a host that is not ours",
    404: "It is not there",
    409: "The chat's answer is still being written",
    413: "The body is too large",
    422: "The input cannot be used",
    500: "A fault of the server's",
    502: "The model's server failed or refused",
    503: "Busy, or about to restart",
    504: "The model was silent for too long",
}


def install(api: FastAPI) -> None:
    def spec() -> dict[str, Any]:
        if api.openapi_schema is None:
            written = get_openapi(
                title="Rill",
                version="1",
                description=ABOUT,
                license_info={"name": "MIT", "identifier": "MIT"},
                servers=[{"url": "/"}],
                tags=[{"name": name, "description": says} for name, says in TAGS.items()],
                routes=api.routes,
            )
            api.openapi_schema = completed(written)
        return api.openapi_schema

    api.openapi = spec  # type: ignore[method-assign]


def completed(written: dict[str, Any]) -> dict[str, Any]:
    spec = copy.deepcopy(written)
    # There is no login.
    spec["security"] = []
    schemas = spec["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, taken = models_json_schema([(model, "validation") for model in TAKEN], ref_template=reference("{model}")["$ref"])
    schemas |= SCHEMAS | taken["$defs"]
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            _complete(operation, ROUTES[method, path], path)
    return spec


def _complete(operation: dict[str, Any], route: Route, path: str) -> None:
    operation["summary"] = route.summary
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
        if parameter["name"] in PARAMETERS:
            parameter["example"] = PARAMETERS[parameter["name"]]
    if path.startswith("/stream/"):
        operation.setdefault("parameters", []).append(SESSION)
    if route.takes is not None:
        operation["requestBody"]["content"][JSON]["example"] = route.takes
    responses = operation["responses"]
    _succeed(responses[min(responses)], route)
    responses.pop("422", None)
    errors = [*route.errors, FOREIGN, InternalError(), *([LARGE] if "requestBody" in operation else [])]
    responses.update(_failures(errors))


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out, which is None to Python, is not null: no client could send that."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return {name: value for name, value in schema.items() if name != "anyOf"} | kinds[0] if kinds else schema


def _succeed(response: dict[str, Any], route: Route) -> None:
    response["description"] = route.says
    content = response.setdefault("content", {}) if route.gives else {}
    for media, example in route.gives:
        described = content.setdefault(media, {})
        if isinstance(example, Stream):
            described["schema"] = reference(example.schema)
            described["examples"] = {name: {"value": event} for name, event in example.events.items()}
        else:
            described.setdefault("schema", {"type": "string"})
            described["example"] = example
    if route.headers:
        response["headers"] = _headers(route.headers)
    if route.links:
        response["links"] = {
            operation: {"operationId": operation, "parameters": {parameter: place}}
            for operation, parameter, place in route.links
        }


def _failures(errors: Iterable[ChatError]) -> dict[str, Any]:
    by_status: dict[int, list[ChatError]] = defaultdict(list)
    for error in errors:
        by_status[error.status].append(error)
    return {str(status): _failure(status, by_status[status]) for status in sorted(by_status)}


def _failure(status: int, errors: list[ChatError]) -> dict[str, Any]:
    examples = {error.code: {"value": {"error": error.as_dict()}} for error in errors}
    reason = REASONS[status]
    if any(isinstance(error, StreamingOff) for error in errors):
        reason += ", or streaming is off for this session"
    response = {"description": f"{reason}.", "content": {JSON: {"schema": reference("Error"), "examples": examples}}}
    return response | ({"headers": {"Retry-After": RETRY_AFTER}} if status == 503 else {})


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: _header(*HEADERS[name]) for name in names}


def _header(says: str, example: str) -> dict[str, Any]:
    return {"description": says, "required": True, "schema": {"type": "string"}, "example": example}
