"""Whose page it is: every handler of the page's, for everybody who may come, and tokens of tabs that were stolen.

Real sockets to the real app, which are told who comes (`tests.callers`).
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import reflex as rx
from reflex.state import BaseState

from chat_app.models import new_id
from chat_app.ui import pages
from tests.app import App
from tests.callers import CALLERS, HEADER, OWNER, STRANGERS
from tests.forked import ForkedApp
from tests.page_client import CHATS, COMPOSER, LIVE, PATIENCE_S, ROOT, TRANSCRIPT, PageClient
from tests.provider_client import Provider, script
from tests.ws_client import Closed

pytestmark = pytest.mark.anyio

SECRET = "pomegranate"
SAID = "A fruit with many seeds"
COSTS, SEARCH = "chat_app___ui___costs____costs", "chat_app___ui___search____search"
SETTINGS, SURVEY = "chat_app___ui___settings____chat_settings", "chat_app___ui___survey____survey"
INSIGHTS, SESSION = "chat_app___ui___insights____insights", "chat_app___ui___session____session"
LINE = "chat_app___ui___queue____line"
OPENING = "chat_app___ui___opening____opening"
DONE = f"{CHATS}.begin_rename"
"""Sent last: what it does is seen, and by then all that came before is done."""


@dataclass(frozen=True)
class Things:
    """A chat of the owner's, with one answer."""

    chat_id: str
    question_id: str
    turn_id: str


Given = dict[str, Any]
FORM = "__reflex_form_data__"


def form(**fields: str) -> Given:
    return {FORM: [[name, value] for name, value in fields.items()]}


def ask(of: Things) -> Given:
    return {"form": form(message="Go on", chat_id=of.chat_id, key=new_id())}


HANDLERS: dict[str, Callable[[Things], Given] | None] = {
    f"{SESSION}.begin": lambda of: {},
    f"{SEARCH}.find": lambda of: {"query": "fruit"},
    f"{COMPOSER}.load": lambda of: {},
    f"{COMPOSER}.send": ask,
    f"{COMPOSER}.stop": lambda of: {},
    f"{TRANSCRIPT}.load": lambda of: {"chat_id": of.chat_id},
    f"{TRANSCRIPT}.regenerate": lambda of: {"reply_id": of.turn_id, "version": "1"},
    f"{TRANSCRIPT}.continue_reply": lambda of: {"reply_id": of.turn_id, "version": "1"},
    f"{TRANSCRIPT}.show": lambda of: {"message_id": of.turn_id},
    f"{TRANSCRIPT}.show_earlier": lambda of: {"message_id": of.question_id},
    f"{TRANSCRIPT}.show_later": lambda of: {},
    f"{TRANSCRIPT}.show_named": lambda of: {"message_id": of.turn_id},
    f"{TRANSCRIPT}.rate": lambda of: {"message_id": of.turn_id, "rating": 1},
    f"{TRANSCRIPT}.remark": lambda of: {"message_id": of.turn_id, "form": form(remark="x")},
    f"{TRANSCRIPT}.open_remark": lambda of: {"message_id": of.turn_id},
    f"{TRANSCRIPT}.close_remark": lambda of: {},
    f"{TRANSCRIPT}.reload": lambda of: {},
    f"{TRANSCRIPT}.shows": lambda of: {"chat_id": of.chat_id},
    f"{TRANSCRIPT}.version": lambda of: {"reply_id": of.turn_id},
    # They take a turn, which nobody can send.
    f"{TRANSCRIPT}.begin": None,
    f"{TRANSCRIPT}.end": None,
    f"{TRANSCRIPT}.take_back": None,
    f"{TRANSCRIPT}.leads_to": None,
    f"{LIVE}.asked": None,
    f"{INSIGHTS}.load": lambda of: {},
    f"{INSIGHTS}.choose": lambda of: {"days": 1},
    f"{INSIGHTS}.download": lambda of: {"name": "first"},
    f"{OPENING}.open": lambda of: {},
    f"{COSTS}.look": lambda of: {},
    f"{COSTS}.fill": lambda of: {"share": 0.5},
    f"{COSTS}.show": lambda of: {"message_id": of.turn_id},
    f"{SETTINGS}.show": lambda of: {},
    f"{SETTINGS}.open": lambda of: {},
    f"{SETTINGS}.list_models": lambda of: {},
    f"{SETTINGS}.save": lambda of: {"form": form(model="", system_prompt="x", temperature="")},
    f"{SETTINGS}.began": lambda of: {},
    f"{SETTINGS}.of_new_chat": lambda of: {},
    f"{LINE}.watch": lambda of: {},
    f"{LINE}.look": lambda of: {"chat_id": of.chat_id},
    f"{LINE}.leave": lambda of: {"chat_id": of.chat_id},
    f"{LINE}.began": lambda of: {"key": "x"},
    f"{LINE}.change": lambda of: {"question_id": of.question_id, "content": "Mine"},
    f"{LINE}.remove": lambda of: {"question_id": of.question_id},
    f"{LINE}.send_now": lambda of: {"question_id": of.question_id},
    f"{LIVE}.open": lambda of: {"chat_id": of.chat_id},
    f"{LIVE}.watch": lambda of: {},
    f"{LIVE}.resend": lambda of: {"window_id": of.turn_id[-8:]},
    f"{LIVE}.follow_from": lambda of: {"chat_id": of.chat_id},
    f"{LIVE}.begin": lambda of: {"chat_id": of.chat_id},
    f"{SURVEY}.choose": lambda of: {"feel": 1},
    f"{SURVEY}.send": lambda of: {"form": form(remark="x")},
    f"{CHATS}.watch": lambda of: {},
    f"{CHATS}.more": lambda of: {},
    f"{CHATS}.delete": lambda of: {"chat_id": of.chat_id, "title": "x"},
    f"{CHATS}.restore": lambda of: {"chat_id": of.chat_id},
    f"{CHATS}.begin_rename": lambda of: {"chat_id": of.chat_id},
    f"{CHATS}.cancel_rename": lambda of: {},
    f"{CHATS}.rename": lambda of: {"chat_id": of.chat_id, "form": form(title="Mine")},
    f"{CHATS}.pin": lambda of: {"chat_id": of.chat_id, "pinned": True},
}
"""Each handler of the page's states, and what a stranger sends to it to get at the owner's chat."""
EVERYWHERE = {"setvar", "set_is_hydrated"}
"""Reflex's own, in every state: a client may set any variable. So none of them may say whose page it is."""


@pytest.fixture(scope="module")
def app(page_built: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("tabs")
    with ForkedApp(folder, openai_base_url=provider.base_url, openai_model="bench", callers="1") as app:
        yield app


class Tab(PageClient):
    """A page that somebody has open, perhaps under a token that is another one's."""

    def __init__(self, url: str, name: str, token: str | None = None) -> None:
        super().__init__(url, X_Caller=name)
        self.token = token or uuid.uuid4().hex

    async def send(self, handler: str, payload: Given) -> None:
        await self._send(handler, **payload)

    async def settled(self) -> None:
        """Wait until all that was sent is done."""
        mark = new_id()
        await self.send(DONE, {"chat_id": mark})
        await self.until(lambda: self.value(CHATS, "renaming") == mark)


async def made(app: App, **answer: Any) -> Things:
    """By the owner."""
    async with app.client() as client:
        content = f"{SECRET}\n" + script(**answer or {"pieces": [SAID]})
        reply = await client.post("/messages/", json={"content": content}, headers={HEADER: OWNER})
        found = reply.raise_for_status().json()
        messages = await history(client, found["chat_id"])
        return Things(found["chat_id"], messages[0]["id"], found["id"])


async def history(client: httpx.AsyncClient, chat_id: str) -> list[dict[str, Any]]:
    response = await client.get(f"/messages/?chat_id={chat_id}", headers={HEADER: OWNER})
    messages: list[dict[str, Any]] = response.raise_for_status().json()["messages"]
    return messages


async def chat_of(app: App, things: Things) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with app.client() as client:
        chat = await client.get(f"/chats/{things.chat_id}", headers={HEADER: OWNER})
        return chat.raise_for_status().json(), await history(client, things.chat_id)


def below(state: type[BaseState]) -> Iterator[type[BaseState]]:
    for one in state.get_substates():
        yield one
        yield from below(one)


def test_every_handler_of_the_page_is_tried() -> None:
    assert pages
    states = [state for state in below(rx.State) if state.__module__.startswith("chat_app.ui.")]
    names = {f"{state.get_full_name()}.{name}" for state in states for name in state.event_handlers}
    own = {name.removeprefix(f"{ROOT}.") for name in names}
    assert {name for name in own if name.rpartition(".")[2] not in EVERYWHERE} == HANDLERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGERS)
async def test_no_handler_gives_a_stranger_anything(app: App, name: str) -> None:
    things = await made(app)
    before = await chat_of(app, things)
    page = Tab(app.url, name)
    await page.load(f"/c/{things.chat_id}")
    await page.until(lambda: page.value(TRANSCRIPT, "missing"))
    for handler, payload in HANDLERS.items():
        if payload is None:
            continue
        # As if the page showed it, and its answer grew.
        for variable, value in (("open_chat", things.chat_id), ("running", things.turn_id), ("missing", False)):
            await page.send(f"{TRANSCRIPT}.setvar", {"var_name": variable, "value": value})
        await page.send(handler, payload(things))
        await page.settled()
    got = "".join(page.frames)
    await page.leave()

    assert SAID not in got
    assert SECRET not in got
    assert await chat_of(app, things) == before


async def test_the_owner_gets_all_of_it(app: App) -> None:
    things = await made(app)
    page = Tab(app.url, OWNER)
    await page.load(f"/c/{things.chat_id}")
    await page.until(lambda: page.ended)
    await page.send(f"{CHATS}.pin", {"chat_id": things.chat_id, "pinned": True})
    await page.send(f"{TRANSCRIPT}.rate", {"message_id": things.turn_id, "rating": 1})
    await page.settled()
    assert page.shown()[-1] == ("assistant", SAID)
    await page.leave()

    chat, messages = await chat_of(app, things)
    assert chat["pinned"] is True
    assert messages[-1]["rating"] == 1


async def test_a_key_that_may_only_read_sees_and_changes_nothing(app: App) -> None:
    things = await made(app)
    before = await chat_of(app, things)
    page = Tab(app.url, "read key")
    await page.load(f"/c/{things.chat_id}")
    await page.until(lambda: page.ended)
    assert page.shown()[-1] == ("assistant", SAID)
    for handler in (f"{CHATS}.delete", f"{CHATS}.rename", f"{CHATS}.pin", f"{COMPOSER}.send", f"{TRANSCRIPT}.rate"):
        payload = HANDLERS[handler]
        assert payload
        await page.send(handler, payload(things))
    await page.settled()
    await page.leave()

    assert await chat_of(app, things) == before


@pytest.mark.parametrize("name", [name for name, caller in CALLERS.items() if caller is None])
async def test_nobody_gets_a_page(app: App, name: str) -> None:
    page = Tab(app.url, name)
    await page.load("/")
    with suppress(Closed):
        await page.until(lambda: page.refused)
    assert page.refused
    assert not page.frames
    await page.leave()


@pytest.mark.parametrize("name", STRANGERS)
async def test_a_stolen_token_leads_to_the_thiefs_own_page(app: App, name: str) -> None:
    """While the owner's page is open, and when it is closed: what it showed stays in the server's memory."""
    things = await made(app)
    page = Tab(app.url, OWNER)
    await page.load(f"/c/{things.chat_id}")
    await page.until(lambda: page.ended)
    await steal(app, name, page.token, things)
    await page.leave()
    await steal(app, name, page.token, things)

    # And the owner's page is as it was.
    await page.connect()
    await page.until(lambda: page.ended)
    assert page.shown()[-1] == ("assistant", SAID)
    await page.leave()


async def steal(app: App, name: str, token: str, things: Things) -> None:
    thief = Tab(app.url, name, token)
    await thief.load("/")
    await thief.until(lambda: thief.loaded)
    await thief.send(f"{TRANSCRIPT}.reload", {})
    await thief.send(f"{TRANSCRIPT}.setvar", {"var_name": "open_chat", "value": things.chat_id})
    await thief.send(f"{TRANSCRIPT}.reload", {})
    await thief.settled()
    assert SAID not in "".join(thief.frames)
    await thief.leave()


async def test_the_same_token_twice_is_two_pages_of_one_person(app: App) -> None:
    """As in Reflex: a tab that was duplicated gets a token of its own."""
    first = Tab(app.url, OWNER)
    await first.load("/")
    await first.until(lambda: first.loaded)
    second = Tab(app.url, OWNER, first.token)
    await second.load("/")
    await second.until(lambda: second.loaded)

    assert second.token != first.token
    again = second.token

    async def loaded_anew() -> str:
        second.token = again
        await second.load("/")
        await second.until(lambda: second.loaded)
        return second.token

    # The server hears a moment later that the tab has left; until then it is a second one.
    async with asyncio.timeout(PATIENCE_S):
        while await loaded_anew() != again:
            pass
    await first.leave()
    await second.leave()


async def test_a_page_hears_of_its_owners_chats_only(app: App) -> None:
    owners, others = Tab(app.url, OWNER), Tab(app.url, "other person")
    for page in (owners, others):
        await page.load("/")
        await page.settled()
    things = await made(app)
    await owners.until(lambda: SECRET in " ".join(owners.titles()))
    async with app.client() as client:
        headers = {HEADER: "other person"}
        (await client.post("/chats/", json={"title": "Mine"}, headers=headers)).raise_for_status()
    await others.until(lambda: "Mine" in others.titles())

    assert things.chat_id not in "".join(others.frames)
    for page in (owners, others):
        await page.leave()


async def test_what_was_sent_before_the_connection_was_lost_is_done(app: App) -> None:
    things = await made(app)
    page = Tab(app.url, OWNER)
    await page.load("/")
    await page.settled()
    await page.send(f"{CHATS}.rename", {"chat_id": things.chat_id, "form": form(title="Renamed")})
    await page.leave()

    async with asyncio.timeout(PATIENCE_S):
        while (await chat_of(app, things))[0]["title"] != "Renamed":
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", CALLERS)
async def test_reflexs_own_addresses_give_nobody_anything(app: App, name: str) -> None:
    """There are no uploads, and no way to an open connection but the socket itself: whoever got its name by another way
    would be taken for its owner."""
    async with app.client() as client:
        for path in ("/_upload", "/_upload/x", "/_download"):
            for method in ("GET", "POST"):
                assert (await client.request(method, path, headers={HEADER: name})).status_code == 404
        polled = await client.get("/_event/?EIO=4&transport=polling", headers={HEADER: name})
        assert polled.status_code == 400
