"""The HTTP door for programs. `create_api()` gives the FastAPI app that the page's app is mounted beside."""

from fastapi import FastAPI

from chat_app.api import chats, messages, paths, problems, stream, websocket


def create_api() -> FastAPI:
    api = FastAPI(title="Chat", version="1", docs_url=None, redoc_url=None)
    problems.install(api)
    # Before `/stream/{turn_id}`, which would take `ws` for a turn.
    api.include_router(websocket.router)
    routers = [module.router for module in (stream, messages, chats)]
    for router in routers:
        api.include_router(router)
    paths.install(api, routers)
    return api
