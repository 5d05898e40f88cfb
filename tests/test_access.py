"""Who may do what: every route of a server with accounts, for everybody who may come, as they really do: with cookies,
keys and the tokens of visitors. A route that is not in the table fails it. Those of the page are in `test_tabs.py`.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.routing import WebSocketRoute

from chat_app import built
from chat_app.api import create_api
from chat_app.caller import Scope as May
from chat_app.models import new_id
from chat_app.people import there
from chat_app.people.gate import FOR_VISITORS
from chat_app.people.pages import ROUTES
from tests.app import App
from tests.forked import Api
from tests.people import add_key, add_person, browser, session_cookie, sign_in, token_in
from tests.provider_client import Provider, script
from tests.sse_client import streaming
from tests.ws_client import Refused, Socket

pytestmark = pytest.mark.anyio

OWNER, ADMIN = "owner", "administrator"
VISITORS = ["visitor", "other visitor"]
NOBODY = ["nobody", "wrong key"]
STRANGERS = [*VISITORS, "other person", ADMIN]
"""Those who are known, and are not the owner."""
CALLERS = [*NOBODY, "read key", *STRANGERS, OWNER]
"""The owner last, who may change what the others then would not find."""
Shown = dict[str, dict[str, str]]
"""Headers, by who sends them."""
Request = dict[str, Any]
"""What `httpx` takes: `url`, and perhaps `json`, `params`, `content`, `headers`."""


@dataclass(frozen=True)
class Things:
    """A chat of the owner's, with one answer, and the key that began it."""

    chat_id: str
    question_id: str
    turn_id: str
    key: str


SECRET = "pomegranate"
"""In the owner's chat: nobody else ever gets it."""


def nothing() -> Things:
    """What nobody has."""
    return Things(new_id(), new_id(), new_id(), "no such key")


@dataclass(frozen=True)
class Rule:
    """`ask` makes the request about something of the owner's. `status`: what those who may get.

    `anybody`: without being known; `about_it`: it is about one thing, so that others get what they get of no thing.
    `changes`: not for a key that may only read; `operator`: for those who run the server.
    """

    ask: Callable[[Things], Request]
    status: int = 200
    anybody: bool = False
    about_it: bool = True
    changes: bool = False
    operator: bool = False


def at(url: str, **more: Any) -> Callable[[Things], Request]:
    """`url` with the names of `Things` in braces."""
    return lambda things: {"url": url.format(**vars(things)), **more}


def public(url: str, status: int = 200) -> Rule:
    return Rule(at(url), status, anybody=True, about_it=False)


def for_people(url: str, status: int = 200, *, operator: bool = False) -> Rule:
    """The same for all who are known."""
    return Rule(at(url), status, about_it=False, operator=operator)


def asks(url: str) -> Rule:
    """A question, in the chat."""
    return Rule(lambda things: {"url": url, "json": {"content": "Go on", "chat_id": things.chat_id}}, changes=True)


def completion(things: Things) -> Request:
    body = {"messages": [{"role": "user", "content": "Go on"}], "metadata": {"chat_id": things.chat_id}}
    return {"url": "/v1/chat/completions", "json": body}


def measure(things: Things) -> Request:
    return {"url": "/measures/", "json": {"turn_id": things.turn_id, "session": new_id()}}


PAGE = 200 if (built.served() / "embed.html").is_file() else 404
"""The API alone serves the page where it is built."""
FILE = {"version": 1, "chat": {"title": "Mine"}, "messages": [{"id": "1", "role": "user", "content": "Hello"}]}
SURVEY = {"session": "3f2a", "feel": 5}
RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/openapi.json"): for_people("/openapi.json"),
    ("GET", "/embed"): public("/embed", PAGE),
    ("GET", "/embed/"): public("/embed/", PAGE),
    ("GET", "/brand/colours.css"): public("/brand/colours.css"),
    ("GET", "/brand/words"): public("/brand/words", 404),
    ("GET", "/brand/logo"): public("/brand/logo", 404),
    ("GET", "/brand/icon"): public("/brand/icon", 404),
    ("GET", "/brand/assets/{path:path}"): public("/brand/assets/x.svg", 404),
    ("GET", "/healthz"): public("/healthz"),
    ("GET", "/readyz"): public("/readyz"),
    ("GET", "/metrics"): for_people("/metrics", operator=True),
    ("GET", "/docs"): for_people("/docs"),
    ("GET", "/docs/"): for_people("/docs/"),
    ("GET", "/docs/{name}"): for_people("/docs/nothing.js", 404),
    ("POST", "/stream/"): asks("/stream/"),
    ("POST", "/stream/{turn_id}/continue"): Rule(at("/stream/{turn_id}/continue"), changes=True),
    ("GET", "/stream/selftest"): Rule(at("/stream/selftest"), about_it=False),
    ("GET", "/stream/{turn_id}"): Rule(at("/stream/{turn_id}")),
    ("POST", "/stream/{turn_id}/stop"): Rule(at("/stream/{turn_id}/stop"), changes=True),
    ("POST", "/messages/"): asks("/messages/"),
    ("POST", "/messages/{message_id}/continue"): Rule(at("/messages/{turn_id}/continue"), changes=True),
    ("GET", "/messages/"): Rule(at("/messages/?chat_id={chat_id}")),
    ("GET", "/messages/{message_id}"): Rule(at("/messages/{turn_id}")),
    ("POST", "/messages/{message_id:path}/stop"): Rule(at("/messages/{key}/stop"), changes=True),
    ("POST", "/messages/{message_id}/rating"): Rule(at("/messages/{turn_id}/rating", json={"rating": 1}), changes=True),
    ("GET", "/chats/export"): Rule(at("/chats/export"), about_it=False),
    ("POST", "/chats/import"): Rule(at("/chats/import", json=FILE), 201, about_it=False, changes=True),
    ("GET", "/chats/"): Rule(at("/chats/"), about_it=False),
    ("POST", "/chats/"): Rule(at("/chats/", json={"title": "New"}), 201, about_it=False, changes=True),
    ("GET", "/chats/{chat_id}"): Rule(at("/chats/{chat_id}")),
    ("PATCH", "/chats/{chat_id}"): Rule(at("/chats/{chat_id}", json={"pinned": True}), changes=True),
    ("DELETE", "/chats/{chat_id}"): Rule(at("/chats/{chat_id}"), 204, changes=True),
    ("GET", "/chats/{chat_id}/export"): Rule(at("/chats/{chat_id}/export")),
    ("GET", "/chats/{chat_id}/queue"): Rule(at("/chats/{chat_id}/queue")),
    ("POST", "/chats/{chat_id}/queue"): Rule(at("/chats/{chat_id}/queue", json={"content": "Go on"}), changes=True),
    # Of nothing that waits: the owner too gets what everybody gets.
    ("PATCH", "/chats/{chat_id}/queue/{question_id}"): Rule(
        at("/chats/{chat_id}/queue/{question_id}", json={"content": "Go on"}), 404, changes=True
    ),
    ("DELETE", "/chats/{chat_id}/queue/{question_id}"): Rule(
        at("/chats/{chat_id}/queue/{question_id}"), 404, changes=True
    ),
    ("POST", "/chats/{chat_id}/queue/{question_id}/send"): Rule(
        at("/chats/{chat_id}/queue/{question_id}/send"), 404, changes=True
    ),
    ("GET", "/search/"): Rule(at(f"/search/?q={SECRET}"), about_it=False),
    ("POST", "/measures/"): Rule(measure, 204, changes=True),
    ("POST", "/measures/survey"): Rule(at("/measures/survey", json=SURVEY), 204, about_it=False, changes=True),
    ("GET", "/measures/"): Rule(at("/measures/"), about_it=False, operator=True),
    ("GET", "/v1/models"): for_people("/v1/models"),
    ("GET", "/v1/models/{name:path}"): for_people("/v1/models/bench"),
    ("POST", "/v1/chat/completions"): Rule(completion, changes=True),
}
IN_THE_WAY = "/{path:path}"
"""What takes all that is not there, below each prefix."""


def routes(found: Sequence[Any] | None = None) -> Iterator[Any]:
    """All of the API's."""
    some: Sequence[Any] = create_api().routes if found is None else found
    for route in some:
        if hasattr(route, "path"):
            yield route
        else:
            yield from routes(route.original_router.routes)


def test_every_route_has_a_rule() -> None:
    there = {(method, route.path) for route in routes() for method in getattr(route, "methods", None) or ()}
    assert {pair for pair in there if pair[0] != "HEAD"} == RULES.keys()
    sockets = {route.path for route in routes() if isinstance(route, WebSocketRoute)}
    assert sockets == {"/stream/ws"}
    rest = {route.path for route in routes() if not getattr(route, "methods", None)} - sockets
    assert all(path.endswith(IN_THE_WAY) for path in rest)


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("access")
    settings = {"auth": "password", "visitors": "true", "limit_requests": "100000/minute", "selftest_pause_s": "0.001"}
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench", **settings) as api:
        yield api


@pytest.fixture(scope="module")
async def shown(api: App, anyio_backend: str) -> Shown:
    """What each of the callers sends with everything."""
    found: Shown = {"nobody": {}, "wrong key": {"Authorization": "Bearer rill_wrong"}}
    for name, role in (("Root", ADMIN), ("Ann", OWNER), ("Ben", "other person")):
        person = await add_person(api, name, admin=role == ADMIN)
        async with browser(api) as client:
            assert (await sign_in(client, name)).status_code == 303
            found[role] = {"Cookie": session_cookie(client)}
        if role == OWNER:
            found["read key"] = {"Authorization": f"Bearer {await add_key(api, person, May.read)}"}
    async with api.client() as client:
        for name in VISITORS:
            visit = (await client.post("/embed/visitor", json={})).raise_for_status().json()
            found[name] = {"Authorization": f"Bearer {visit['token']}"}
    return found


class Client:
    """Sends requests as any of the callers."""

    def __init__(self, http: httpx.AsyncClient, shown: Shown) -> None:
        self.http = http
        self.shown = shown

    async def get(self, url: str, name: str = OWNER) -> httpx.Response:
        return await self.http.get(url, headers=self.shown[name])

    async def post(self, url: str, body: Request, name: str = OWNER, **headers: str) -> httpx.Response:
        return await self.http.post(url, json=body, headers=self.shown[name] | headers)


@pytest.fixture
async def client(api: App, shown: Shown) -> AsyncIterator[Client]:
    async with api.client() as http:
        yield Client(http, shown)


async def made(client: Client) -> Things:
    """By the owner."""
    key = f"key {new_id()}"
    posted = await client.post("/messages/", {"content": SECRET}, **{"Idempotency-Key": key})
    reply = posted.raise_for_status().json()
    history = await client.get(f"/messages/?chat_id={reply['chat_id']}")
    return Things(reply["chat_id"], history.json()["messages"][0]["id"], reply["id"], key)


async def asked(client: Client, method: str, request: Request, name: str) -> tuple[int, str]:
    """Status and body, as that caller."""
    response = await client.http.request(method, **request, headers=client.shown[name])
    return response.status_code, response.text


def code(answer: tuple[int, str]) -> tuple[int, str]:
    """Status and the error's code."""
    return answer[0], json.loads(answer[1])["error"]["code"]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), RULES)
async def test_asvs_8_2_2_a_route(client: Client, method: str, path: str) -> None:
    rule, things = RULES[method, path], await made(client)
    elsewhere = not FOR_VISITORS.fullmatch(path)
    for name in CALLERS:
        answer = await asked(client, method, rule.ask(things), name)
        told = f"{name}: {answer}"
        if rule.anybody:
            assert answer[0] == rule.status, told
        elif name in NOBODY:
            assert code(answer) == (401, "not_signed_in"), told
        elif name in VISITORS and elsewhere:
            assert code(answer) == (403, "visitors_elsewhere"), told
        elif rule.changes and name == "read key":
            assert code(answer) == (403, "read_only"), told
        elif rule.operator and name != ADMIN:
            assert code(answer) == (403, "administrators_only"), told
        elif rule.about_it and name in STRANGERS:
            # To the last letter what it says of a thing that never was.
            never = await asked(client, method, rule.ask(nothing()), name)
            assert answer == never, told
            assert answer[0] in (404, 422), told
        else:
            assert answer[0] == rule.status, told
        if name not in (OWNER, "read key"):
            assert SECRET not in answer[1], told
        if rule.changes and name != OWNER:
            await is_as_it_was(client, things)


async def is_as_it_was(client: Client, things: Things) -> None:
    chat = await client.get(f"/chats/{things.chat_id}")
    history = await client.get(f"/messages/?chat_id={things.chat_id}")
    assert chat.status_code == 200 and not chat.json()["pinned"]
    assert [message["rating"] for message in history.json()["messages"]] == [0, 0]


async def talk(socket: Socket, command: Request) -> Request:
    await socket.send(command)
    return await socket.receive()


@pytest.mark.parametrize("name", CALLERS)
async def test_the_websocket(api: App, client: Client, name: str) -> None:
    url = f"{api.url}/stream/ws"
    if name in NOBODY:
        with pytest.raises(Refused) as refusal:
            async with Socket(url, **client.shown[name]):
                pass
        assert refusal.value.status == 403
        return
    things, never = await made(client), nothing()
    commands: list[Callable[[Things], Request]] = [
        lambda of: {"content": "Go on", "chat_id": of.chat_id},
        lambda of: {"resume": {"turn_id": of.turn_id}},
        lambda of: {"stop": of.turn_id},
    ]
    async with Socket(url, **client.shown[name]) as socket:
        for command in commands:
            if name in STRANGERS:
                answer = await talk(socket, command(things))
                assert answer == await talk(socket, command(never))
                assert answer["error"]["code"] == "not_found"
        if name == "read key":
            assert (await talk(socket, commands[0](things)))["error"]["code"] == "read_only"
            assert (await talk(socket, commands[2](things)))["error"]["code"] == "read_only"
        if name in (OWNER, "read key"):
            await socket.send(commands[1](things))
            assert (await socket.until("finish_reason"))[0]["delta"] == SECRET


async def test_a_turn_that_runs_is_nobody_elses_either(client: Client) -> None:
    """It is found in memory, not in the database."""
    body = {"content": script(tokens=2, hold=[1])}
    async with streaming(client.http, "POST", "/stream/", json=body, headers=client.shown[OWNER]) as stream:
        turn_id = stream.turn_id
        for name in STRANGERS:
            for method, url in (("GET", "/stream/{}"), ("POST", "/stream/{}/stop"), ("POST", "/messages/{}/stop")):
                answer = await asked(client, method, {"url": url.format(turn_id)}, name)
                assert answer == await asked(client, method, {"url": url.format(new_id())}, name)
                assert answer[0] == 404
        chat = await client.get(f"/messages/?chat_id={stream.chat_id}")
        assert chat.json()["messages"][-1]["status"] == "streaming"
        stopped = await asked(client, "POST", {"url": f"/stream/{turn_id}/stop"}, OWNER)
        assert stopped[0] == 200


async def test_an_idempotency_key_is_a_persons(client: Client) -> None:
    chats: dict[str, set[str]] = {}
    for name in (OWNER, "other person", "visitor"):
        for _ in range(2):
            reply = await client.post("/messages/", {"content": "Hello"}, name, **{"Idempotency-Key": "the same"})
            chats.setdefault(name, set()).add(reply.raise_for_status().json()["chat_id"])
    assert all(len(ids) == 1 for ids in chats.values())
    assert len(set.union(*chats.values())) == len(chats)


@pytest.mark.parametrize("name", ["read key", "other person", ADMIN, OWNER])
async def test_lists_exports_and_the_search_have_the_own_chats_only(client: Client, name: str) -> None:
    things = await made(client)
    listed = [chat["id"] for chat in (await client.get("/chats/?limit=500", name)).json()["chats"]]
    exported = (await client.get("/chats/export", name)).text
    hits = [hit["chat_id"] for hit in (await client.get(f"/search/?q={SECRET}", name)).json()["hits"]]
    own = name not in STRANGERS
    assert (things.chat_id in listed, SECRET in exported, things.chat_id in hits) == (own, own, own)


# The pages of accounts


@dataclass(frozen=True)
class PageRule:
    """What a route of an account's pages answers, by who asks: nobody, and who is known. A form is sent with the
    owner's own token, which somebody may have stolen."""

    nobody: int
    known: int
    key: int
    """Whoever shows an API key."""


FORM = PageRule(nobody=303, known=403, key=403)
PAGE_RULES: dict[tuple[str, str], PageRule] = {
    ("GET", "/login"): PageRule(nobody=200, known=303, key=303),
    # A form of nobody's session: the owner's token is none for it.
    ("POST", "/login"): PageRule(nobody=403, known=403, key=403),
    ("GET", "/logout"): PageRule(nobody=303, known=200, key=200),
    # A key ends no session.
    ("POST", "/logout"): PageRule(nobody=303, known=403, key=303),
    ("GET", "/invite/{token}"): PageRule(nobody=404, known=404, key=404),
    ("POST", "/invite/{token}"): PageRule(nobody=403, known=403, key=403),
    ("GET", "/account"): PageRule(nobody=303, known=200, key=403),
    ("POST", "/account/keys"): FORM,
    ("POST", "/account/keys/{key_id}/revoke"): FORM,
    ("POST", "/account/password"): FORM,
    ("POST", "/account/everywhere"): FORM,
    ("POST", "/account/invitations"): FORM,
    ("POST", "/account/people/{person_id}/remove"): FORM,
    ("GET", "/account/people.css"): PageRule(nobody=200, known=200, key=403),
    ("GET", "/account/dark.css"): PageRule(nobody=200, known=200, key=403),
    ("GET", "/account/theme.js"): PageRule(nobody=200, known=200, key=403),
    ("POST", "/embed/visitor"): PageRule(nobody=422, known=422, key=422),
    ("GET", "/login/start"): PageRule(nobody=404, known=404, key=404),
    ("GET", "/login/callback"): PageRule(nobody=404, known=404, key=404),
}
"""The last two are of AUTH=oidc alone, see `test_oidc.py`."""


def test_every_page_of_accounts_has_a_rule() -> None:
    found = {(method, route.path) for route in [*ROUTES, *there.ROUTES] for method in route.methods or ()}
    assert {pair for pair in found if pair[0] != "HEAD"} == PAGE_RULES.keys()


@pytest.mark.parametrize(("method", "path"), PAGE_RULES)
async def test_asvs_8_2_1_a_page_of_accounts(client: Client, method: str, path: str) -> None:
    rule = PAGE_RULES[method, path]
    stolen = token_in(await client.get("/account"))
    url = re.sub(r"{\w+}", "x", path)
    form = {"token": stolen, "name": "Smuggled", "scope": "chat", "password": "correct horse", "before": "x"}
    for name in CALLERS[:-1]:
        response = await client.http.request(
            method, url, data=form if method == "POST" else None, headers=client.shown[name]
        )
        told = f"{name}: {response.status_code} {response.text[:300]}"
        if name == "wrong key":
            assert response.status_code == 401, told
        elif name in VISITORS:
            assert response.status_code == 403 or path.startswith("/embed"), told
        elif name == "nobody":
            assert response.status_code == rule.nobody, told
        else:
            assert response.status_code == (rule.key if name == "read key" else rule.known), told
        assert "rill_" not in response.text and SECRET not in response.text
    # It is the owner's still, and the owner is in.
    account = (await client.get("/account")).text
    assert "<h1>Ann</h1>" in account and "Smuggled" not in account
