"""Errors become JSON here, once: `{"error": {"code", "message", "retryable"}}` with the error's status."""

import logging
import math
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from chat_app import logs
from chat_app.errors import (
    ChatError,
    DatabaseUnavailable,
    ForeignRequest,
    InternalError,
    InvalidRequest,
    shown,
    status_of,
)

logger = logging.getLogger(__name__)
# What a client sent may stand in a sentence, in quotes.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”")


def error_response(error: dict[str, Any], **more: Any) -> JSONResponse:
    """The response for a `ChatError.as_dict()`, with further keys beside it."""
    seconds = error.get("retry_after")
    headers = {"Retry-After": str(math.ceil(seconds))} if seconds else None
    return JSONResponse({"error": error} | more, status_of(error), headers)


def tell_refusal(error: ChatError, scope: Scope) -> None:
    """The request's line in the log: why, but nothing of what it held."""
    # The database says by itself that it is away.
    if isinstance(error, DatabaseUnavailable):
        return
    logs.event(
        "request refused",
        level=logging.WARNING if error.status >= 500 or isinstance(error, ForeignRequest) else logging.INFO,
        same_as=error.code,
        method=scope.get("method", "websocket"),
        path=shown(scope["path"]),
        status=error.status,
        code=error.code,
        # Who asked from where is what an operator needs to let them in.
        reason=error.message if isinstance(error, ForeignRequest) else _QUOTED.sub("…", error.message),
    )


def invalid(error: ValidationError | RequestValidationError) -> InvalidRequest:
    """One sentence for the first thing that is wrong with the input."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f'The body is not valid JSON ({first["msg"]}). Send for example {{"content": "Hello"}}.')
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
    return InvalidRequest(f"{where or 'The body'}: {first['msg'].removeprefix('Value error, ')}.")


def not_there(path: str) -> JSONResponse:
    body = {
        "code": "not_found",
        "message": f"There is nothing at {shown(path)}. See /openapi.json for what there is.",
        "retryable": False,
    }
    return JSONResponse({"error": body}, 404)


def sentence(request: Request, error: HTTPException) -> str:
    """What Starlette says in a word or two."""
    if error.status_code == 404:
        return f"There is nothing at {shown(request.url.path)}. See /openapi.json for what there is."
    if error.status_code == 405:
        return f"{shown(request.method)} is not possible here. Use {(error.headers or {})['Allow']}."
    return f"{error.detail}."


def install(api: FastAPI) -> None:
    @api.exception_handler(ChatError)
    async def chat_error(request: Request, error: ChatError) -> JSONResponse:
        tell_refusal(error, request.scope)
        return error_response(error.as_dict())

    @api.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        problem = invalid(error)
        tell_refusal(problem, request.scope)
        return error_response(problem.as_dict())

    @api.exception_handler(ClientDisconnect)
    async def cut_off(_request: Request, _error: ClientDisconnect) -> JSONResponse:
        # The client may have closed its sending side only, or have sent what is no chunk.
        return error_response(InvalidRequest("The body ended before it was whole. Send it again.").as_dict())

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = "not_found" if error.status_code == 404 else "http_error"
        body = {"code": code, "message": sentence(request, error), "retryable": False}
        return JSONResponse({"error": body}, error.status_code, error.headers)

    @api.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(InternalError().as_dict())
