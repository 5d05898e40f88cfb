"""The HTTP door for programs. `create_api()` gives the FastAPI app that the page's app is mounted beside."""

from fastapi import FastAPI

from chat_app.api import (
    brand,
    chats,
    completions,
    embed,
    files,
    health,
    measures,
    messages,
    metrics,
    paths,
    problems,
    queue,
    search,
    stream,
    websocket,
)
from chat_app.api.deadline import SEND_TIMEOUT_S, Deadline
from chat_app.api.limited import Limited
from chat_app.api.reference import openapi, page


def create_api(send_timeout_s: float = SEND_TIMEOUT_S) -> FastAPI:
    api = FastAPI(**openapi.ABOUT, docs_url=None, redoc_url=None, generate_unique_id_function=lambda route: route.name)
    problems.install(api)
    # Before `/stream/{turn_id}`, which would take `ws` for a turn.
    api.include_router(websocket.router)
    api.include_router(embed.router)
    api.include_router(brand.router)
    api.include_router(health.router)
    api.include_router(metrics.router)
    api.include_router(page.router)
    # `files` before `/chats/{chat_id}`, which would take `export` for a chat.
    routers = [module.router for module in (stream, messages, files, chats, queue, search, measures)]
    for router in [*routers, completions.router]:
        api.include_router(router)
    # OpenAI's own reference describes what `completions` speaks.
    openapi.install(api, routers)
    paths.install(api, [*routers, completions.router])
    api.add_middleware(Limited)
    api.add_middleware(Deadline, seconds=send_timeout_s)
    return api
