"""`/chats/import` and `/chats/export`: all chats as one file, and files of this and of other apps."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from chat_app.api import sse
from chat_app.api.bodies import ImportOut, import_out
from chat_app.api.chats import attachment
from chat_app.api.own import Own
from chat_app.api.reference import examples
from chat_app.api.reference.responses import LARGE, OF_FILE, fails, gives, takes
from chat_app.errors import ChatError, InternalError, InvalidRequest
from chat_app.models import now
from chat_app.own_chats import OwnChats
from chat_app.store.chatfile import ChatFile
from chat_app.store.chatfiles.reading import Imported

Steps = AsyncGenerator[Imported, None]
router = APIRouter(prefix="/chats", tags=["chats"])


@router.get(
    "/export",
    summary="Export all chats",
    response_class=Response,
    response_description="The file.",
    responses=gives({"version": 1, "chats": [examples.EXPORTED]}, schema="ChatsFile", headers=OF_FILE) | fails(),
)
async def export_chats(own: Own) -> StreamingResponse:
    """All chats as one file of JSON, with all versions of all messages; it can be imported."""
    headers = {"Content-Disposition": attachment(f"Chats {now():%Y-%m-%d}.json")}
    # Half a surrogate pair, should a provider's usage hold one, as JSON's escape.
    pieces = (piece.encode("utf-8", "backslashreplace") async for piece in own.library.exported())
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


@router.post(
    "/import",
    summary="Import chats",
    openapi_extra=takes(ChatFile, examples.FILE),
    status_code=201,
    response_model=ImportOut,
    response_description="The first of the new chats, and what came in all.",
    responses=gives(
        examples.IMPORTED,
        status=201,
        also={examples.LINES: f"{sse.dumps(examples.PROGRESS)}\n{sse.dumps(examples.IMPORTED)}\n"},
    )
    | fails(InvalidRequest("This is no exported chat. Choose the JSON file of an export."), LARGE),
)
async def import_chats(
    own: Own,
    request: Request,
    progress: Annotated[
        bool, Query(description="Say in lines of JSON how far it is; the last has the result.")
    ] = False,
) -> Response:
    """New chats from an export of this app, ChatGPT's `conversations.json` or its zip, or Open WebUI's export.

    All of them come, or none. What cannot be kept, such as pictures, is counted.
    """
    folder = TemporaryDirectory(prefix="import-")
    own.caller.may_change()
    steps = _steps(own, request, folder)
    try:
        # What is wrong with a file is mostly seen at once, and then is an answer of its own.
        imported = await anext(steps)
        if progress:
            return StreamingResponse(_lines(own, imported, steps), 201, media_type=examples.LINES, headers=sse.HEADERS)
    except BaseException:
        await steps.aclose()
        raise
    async with aclosing(steps):
        async for step in steps:
            imported = step
    return JSONResponse((await _result(own, imported)).model_dump(mode="json"), 201)


async def _steps(own: OwnChats, request: Request, folder: "TemporaryDirectory[str]") -> Steps:
    """Save the body, then import it."""
    with folder:
        file = Path(folder.name) / "body"
        with file.open("wb") as saved:
            async for chunk in request.stream():
                await run_in_threadpool(saved.write, chunk)
        async with aclosing(own.import_file(file)) as steps:
            async for imported in steps:
                yield imported


async def _lines(own: OwnChats, first: Imported, steps: Steps) -> AsyncIterator[str]:
    imported = first
    async with aclosing(steps):
        try:
            yield _step(imported)
            async for imported in steps:
                yield _step(imported)
            yield sse.dumps((await _result(own, imported)).model_dump(mode="json")) + "\n"
        except ChatError as error:
            yield sse.dumps({"error": error.as_dict()}) + "\n"
        except Exception:
            yield sse.dumps({"error": InternalError().as_dict()}) + "\n"
            raise


def _step(imported: Imported) -> str:
    """How many bytes of the file are read, and what was in them."""
    read = {"read": imported.read, "size": imported.size, "messages": imported.messages}
    return sse.dumps({"progress": read}) + "\n"


async def _result(own: OwnChats, imported: Imported) -> ImportOut:
    return import_out(await own.library.chat(imported.chat_ids[0]), imported)
