"""`/brand/`: the colours and the files of BRAND, which lie outside the app."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from chat_app.brand import brand
from chat_app.errors import NotFound

# Of the page, no part of the API.
router = APIRouter(prefix="/brand", include_in_schema=False)
HEADERS = {"Cache-Control": "no-cache"}


@router.get("/colours.css")
async def colours() -> Response:
    return Response(brand().css, media_type="text/css", headers=HEADERS)


@router.get("/words")
async def words() -> dict[str, Any]:
    """For the terminal. 404 without a brand."""
    if brand().file is None:
        raise NotFound("The app has no brand of its own.")
    return brand().model_dump(include={"name", "welcome", "suggestions", "footer"})


@router.get("/logo")
async def logo() -> FileResponse:
    return _file(brand().logo)


@router.get("/icon")
async def icon() -> FileResponse:
    return _file(brand().icon)


@router.get("/assets/{path:path}")
async def asset(path: str) -> FileResponse:
    folder = brand().assets
    file = (folder / path).resolve() if folder and "\0" not in path else None
    return _file(file if folder and file and file.is_relative_to(folder.resolve()) else None)


def _file(file: Path | None) -> FileResponse:
    if file is None or not file.is_file():
        raise NotFound("The brand has no such file.")
    return FileResponse(file, headers=HEADERS)
