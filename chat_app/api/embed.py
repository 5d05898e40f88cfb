"""`/embed`: a chat of one column for a frame in someone else's page. Which pages may frame it is the guard's."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from chat_app import built
from chat_app.errors import NotFound
from chat_app.service import get_service

# A page, no part of the API: its parameters are read in the browser (`ui/embed_page.jsx`).
router = APIRouter(include_in_schema=False)


@router.api_route("/embed/", methods=["GET", "HEAD"])
@router.api_route("/embed", methods=["GET", "HEAD"])
async def embed() -> HTMLResponse:
    # Made by `ui/embed_build.py`; its scripts and styles are beside it, served with the page's.
    page = built.served() / "embed.html"
    if not page.is_file():
        raise NotFound("The page to embed is not built. Start the app with `python -m chat_app`, which builds it.")
    html = page.read_text("utf-8")
    service = get_service()
    if service.measures.on:
        html = html.replace("<html ", '<html data-measures="true" ', 1)
    if service.settings.lets_visitors_in:
        html = html.replace("<html ", '<html data-visitors="true" ', 1)
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})
