"""The front door: the Reflex app with its pages, the API beside it, and what lives as long as the server. No logic."""

import gc
import importlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import reflex as rx
from starlette.types import ASGIApp

from chat_app import built, logs
from chat_app.api import create_api
from chat_app.api.guard import Guard, max_bytes
from chat_app.api.statuses import Statuses
from chat_app.config import load_settings
from chat_app.own_pages import add_own_pages
from chat_app.server import or_a_sentence
from chat_app.service import serving
from chat_app.shutdown import on_shutdown
from chat_app.store.database import Database
from chat_app.ui import beside_rxconfig
from chat_app.ui.connection import connection_watch
from chat_app.ui.events import with_own_events
from chat_app.ui.frames import with_own_frames
from chat_app.ui.loading import place_script
from chat_app.ui.pages import add_pages, has_page
from chat_app.ui.problems import complaint
from chat_app.ui.storage import storage_script
from chat_app.ui.theme import brand_head, favicon

settings = load_settings()
# Loaded only there.
development = importlib.import_module("chat_app.dev.serving") if os.environ.get(built.VITE) else None


def guarded(inner: ASGIApp) -> ASGIApp:
    return Guard(inner, settings)


def signed_in(inner: ASGIApp) -> ASGIApp:
    """Where people have accounts; else nothing of it is loaded."""
    if not settings.accounts:
        return inner
    from chat_app.people.gate import Gate

    return Gate(inner, settings)


def knowing_people(database: Database) -> AbstractAsyncContextManager[Any]:
    if not settings.accounts:
        return nullcontext()
    from chat_app.people.people import knowing

    return knowing(settings, database)


@asynccontextmanager
async def said_who_may_use_it() -> AsyncIterator[None]:
    """However the server was started. Raises SettingsError."""
    settings.check_auth()
    if settings.auth == "none":
        logs.event(
            "AUTH=none: whoever reaches this server sees, continues and deletes all chats", level=logging.WARNING
        )
    yield


def with_statuses(inner: ASGIApp) -> ASGIApp:
    def known(path: str) -> bool:
        return has_page(app, path)

    return development.Pages(inner, known) if development else Statuses(inner, known)


def reloading(inner: ASGIApp) -> ASGIApp:
    return development.Reloading(inner) if development else inner


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    logs.install(settings.log_format, settings.secrets)
    async with (
        or_a_sentence(said_who_may_use_it()),
        or_a_sentence(serving(settings)) as service,
        or_a_sentence(knowing_people(service.store.database)),
    ):
        # All that is loaded by now stays: a full collection that looked through it would hold every answer up for a
        # tenth of a second.
        gc.collect()
        gc.freeze()
        if development:
            development.modules.keep()
        logs.note(f"Open {settings.url}")
        async with on_shutdown(service.end_turns, grace=settings.shutdown_grace, port=settings.port):
            yield


with beside_rxconfig():
    app = rx.App(
        api_transformer=[with_statuses, create_api(), signed_in, reloading, guarded],
        stylesheets=["/chat.css"],
        backend_exception_handler=complaint,
        head_components=[storage_script(), favicon(), place_script(), connection_watch(), *brand_head()],
        toaster=rx.toast.provider(position="top-center", rich_colors=False, close_button=True),
    )
# The page says itself, and more quietly, that the connection is lost.
app.app_wraps.pop((5, "Overlay"), None)
# The guard checks every origin, with the host that the request really names; this check knows a fixed list only.
if app.sio is not None:
    app.sio.eio.cors_allowed_origins = []
    # Beyond it the socket is closed without a word: what is allowed must come through.
    app.sio.eio.max_http_buffer_size = max(app.sio.eio.max_http_buffer_size, max_bytes(settings))
    with_own_frames(app.sio.eio)
with_own_events(app)
app.register_lifespan_task(lifespan)
add_pages(app)
if settings.pages:
    add_own_pages(app, settings.pages)
if development:
    # Agents and hooks are imported later.
    development.modules.pages_are_made()
