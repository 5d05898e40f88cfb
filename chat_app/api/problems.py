"""Errors become JSON here, once: `{"error": {"code", "message", "retryable"}}` with the error's status."""

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from chat_app.errors import ChatError, InternalError, InvalidRequest, http_status

logger = logging.getLogger(__name__)


def error_response(error: dict[str, Any], **more: Any) -> JSONResponse:
    """The response for a `ChatError.as_dict()`, with further keys beside it."""
    seconds = error.get("retry_after")
    headers = {"Retry-After": str(math.ceil(seconds))} if seconds else None
    return JSONResponse({"error": error} | more, http_status(error["code"]), headers)


def invalid(error: ValidationError | RequestValidationError) -> InvalidRequest:
    """One sentence for the first thing that is wrong with the input."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f'The body is not valid JSON ({first["msg"]}). Send for example {{"content": "Hello"}}.')
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
    return InvalidRequest(f"{where or 'The body'}: {first['msg'].removeprefix('Value error, ')}.")


def install(api: FastAPI) -> None:
    @api.exception_handler(ChatError)
    async def chat_error(_request: Request, error: ChatError) -> JSONResponse:
        return error_response(error.as_dict())

    @api.exception_handler(RequestValidationError)
    async def validation_error(_request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(invalid(error).as_dict())

    @api.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        body = {"code": "http_error", "message": str(error.detail), "retryable": False}
        return JSONResponse({"error": body}, error.status_code, error.headers)

    @api.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(InternalError().as_dict())
