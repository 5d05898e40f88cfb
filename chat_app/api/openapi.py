"""Completes what FastAPI writes into `/openapi.json`: every status, the error body, headers and an example a route."""

import copy
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chat_app.api.explained import FOREIGN, HEADERS, JSON, LARGE, PARAMETERS, ROUTES, Route
from chat_app.errors import ChatError, InternalError, StreamingOff

SESSION = {
    "name": "X-Session-Id",
    "in": "header",
    "required": False,
    "description": "Who asks, for a FEATURE_STREAMING of a share; without it, the client's address.",
    "schema": {"type": "string"},
}
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong. Unknown keys are to be ignored.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "retryable"],
            "properties": {
                "code": {"type": "string", "description": "Stable, for programs."},
                "message": {"type": "string", "description": "A sentence for people; it says what to do."},
                "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
                "retry_after": {"type": "number", "description": "Seconds, where they are known."},
                "turn_id": {"type": "string", "description": "With `turn_running`: the turn that runs."},
            },
        },
        "message": {
            "$ref": "#/components/schemas/MessageOut",
            "description": "Where a reply failed: the message with the text so far.",
        },
    },
}
REF = {"$ref": "#/components/schemas/Error"}
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
            says = "A chat whose answers stream. `/docs` explains it, the event stream and the websocket too."
            written = get_openapi(title=api.title, version=api.version, description=says, routes=api.routes)
            api.openapi_schema = completed(written)
        return api.openapi_schema

    api.openapi = spec  # type: ignore[method-assign]


def completed(written: dict[str, Any]) -> dict[str, Any]:
    spec = copy.deepcopy(written)
    schemas = spec["components"]["schemas"]
    schemas["Error"] = ERROR_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            _complete(operation, ROUTES[method, path], path)
    return spec


def _complete(operation: dict[str, Any], route: Route, path: str) -> None:
    operation["summary"] = route.summary
    for parameter in operation.get("parameters", []):
        if parameter["name"] in PARAMETERS:
            parameter["example"] = PARAMETERS[parameter["name"]]
    if path.startswith("/stream/"):
        operation.setdefault("parameters", []).append(SESSION)
    if route.takes is not None:
        body = operation.setdefault(
            "requestBody", {"required": True, "content": {JSON: {"schema": {"type": "object"}}}}
        )
        body["content"][JSON]["example"] = route.takes
    responses = operation["responses"]
    _succeed(responses[min(responses)], route)
    responses.pop("422", None)
    errors = [*route.errors, FOREIGN, InternalError(), *([LARGE] if "requestBody" in operation else [])]
    responses.update(_failures(errors))


def _succeed(response: dict[str, Any], route: Route) -> None:
    response["description"] = route.says
    content = response.setdefault("content", {}) if route.gives else {}
    for media, example in route.gives:
        described = content.setdefault(media, {})
        described.setdefault("schema", {"type": "object" if media == JSON else "string"})
        described["example"] = example
    if route.headers:
        response["headers"] = _headers(route.headers)


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
    response = {"description": f"{reason}.", "content": {JSON: {"schema": REF, "examples": examples}}}
    return response | ({"headers": _headers(["Retry-After"])} if status == 503 else {})


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {
        name: {"description": HEADERS[name][0], "schema": {"type": "string"}, "example": HEADERS[name][1]}
        for name in names
    }
