"""HOOKS of a server in which something happens just while a page reads a chat or begins to follow it: where a test
says.

A file in `meanwhile/` beside the database, with a chat's id as its name, holds `[point, nth, act]`. At the nth call for
the chat that comes to that point, the act is done; then the file is taken away, and the call goes on.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from chat_app.caller import LOCAL
from chat_app.models import Message
from chat_app.service import Service
from chat_app.store.library import Library
from chat_app.turns.own import OwnTurns
from tests.app import CLIENT
from tests.provider_client import script

ORDERS = "meanwhile"
POINTS = {
    "before it knows what runs": ("turns", "running", False),
    "before it reads": ("library", "path_end", False),
    "after it has read": ("library", "path_end", True),
    "before it looks for a turn": ("turns", "next", False),
    "after it has looked for a turn": ("turns", "next", True),
}
Act = Callable[[Service, str], Awaitable[object]]


async def nothing(_service: Service, _chat_id: str) -> None:
    pass


async def end(service: Service, chat_id: str) -> None:
    """The model goes on, and its answer ends."""
    if turn := await service.turns.running(chat_id):
        ending = asyncio.create_task(turn.end())
        while not ending.done():
            # The model may not have been asked yet.
            await go(service, chat_id)
            await asyncio.wait({ending}, timeout=0.02)


async def stop(service: Service, chat_id: str) -> None:
    if turn := await service.turns.running(chat_id):
        await service.turns.stop(turn.id)


async def regenerate(service: Service, chat_id: str) -> None:
    """Another version, that grows when the page comes."""
    await stop(service, chat_id)
    await service.turns.regenerate((await newest(service, chat_id)).id)


async def regenerate_and_end(service: Service, chat_id: str) -> None:
    await regenerate(service, chat_id)
    await end(service, chat_id)


async def choose_another(service: Service, chat_id: str) -> None:
    """What grew is not what is shown any more."""
    shown = await newest(service, chat_id)
    await regenerate_and_end(service, chat_id)
    await service.of(LOCAL).choose(shown.id)


async def choose_while_it_grows(service: Service, chat_id: str) -> None:
    shown = await newest(service, chat_id)
    await regenerate(service, chat_id)
    await service.of(LOCAL).choose(shown.id)


async def ask(service: Service, chat_id: str) -> None:
    await stop(service, chat_id)
    await service.turns.start(f"{word(chat_id)}\n{script(pieces=['No,', ' wait'], hold=[1])}", chat_id)


async def ask_and_end(service: Service, chat_id: str) -> None:
    await ask(service, chat_id)
    await end(service, chat_id)


async def edit(service: Service, chat_id: str) -> None:
    """Of the first question."""
    await stop(service, chat_id)
    first = (await service.of(LOCAL).library.path(chat_id))[0].message
    await service.turns.start(f"{word(chat_id)}\n{script(pieces=['Anew'])}", chat_id, edit_of=first.id)


async def continue_(service: Service, chat_id: str) -> None:
    await stop(service, chat_id)
    await service.turns.continue_reply((await newest(service, chat_id)).id)


async def delete(service: Service, chat_id: str) -> None:
    await service.of(LOCAL).trash_chat(chat_id)


async def delete_and_restore(service: Service, chat_id: str) -> None:
    await service.of(LOCAL).trash_chat(chat_id)
    await service.of(LOCAL).restore_chat(chat_id)


ACTS: dict[str, Act] = {
    act.__name__: act
    for act in (
        nothing,
        end,
        stop,
        regenerate,
        regenerate_and_end,
        choose_another,
        choose_while_it_grows,
        ask,
        ask_and_end,
        edit,
        continue_,
        delete,
        delete_and_restore,
    )
}


async def newest(service: Service, chat_id: str) -> Message:
    return (await service.of(LOCAL).library.path(chat_id))[-1].message


async def go(service: Service, chat_id: str) -> None:
    provider = (service.settings.openai_base_url or "").removesuffix("/v1")
    async with httpx.AsyncClient(**CLIENT) as http:
        (await http.post(f"{provider}/_go/{word(chat_id)}")).raise_for_status()


def word(chat_id: str) -> str:
    """What every question of the chat begins with."""
    return f"chat-{chat_id}"


def setup(service: Service) -> None:
    orders = Path(service.settings.database_url.removeprefix("sqlite:///")).with_name(ORDERS)
    orders.mkdir()
    classes = {"turns": OwnTurns, "library": Library}
    for point, (where, name, after) in POINTS.items():
        kind = classes[where]
        setattr(kind, name, watched(getattr(kind, name), service, orders, point, after))


def watched(call: Callable[..., Awaitable[Any]], service: Service, orders: Path, point: str, after: bool) -> Any:
    calls: Counter[str] = Counter()

    async def called(own: object, chat_id: str, *given: Any, **named: Any) -> Any:
        if not after:
            await come(chat_id)
        result = await call(own, chat_id, *given, **named)
        if after:
            await come(chat_id)
        return result

    async def come(chat_id: str) -> None:
        order = orders / (chat_id or "none")
        if not order.exists():
            return
        at, nth, what = json.loads(order.read_text())
        if at == point:
            calls[chat_id] += 1
            if calls[chat_id] == nth:
                await ACTS[what](service, chat_id)
                order.unlink()

    return called
