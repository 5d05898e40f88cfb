"""Visitors of `/embed` on a server with accounts: each sees their own chats only. Over real connections."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat_app.config import load_settings
from chat_app.errors import NotSignedIn, SettingsError
from chat_app.people.gate import FOR_VISITORS
from chat_app.people.visitors import BROWSER_S, Visitors, user_signature
from tests.forked import Api
from tests.people import add_key, add_person, signed_in
from tests.provider_client import Provider, script
from tests.sse_client import streaming
from tests.test_access import RULES, nothing
from tests.ws_client import Refused, Socket

pytestmark = pytest.mark.anyio

FRIEND = "https://bread.example"
EMBED_SECRET = "between the bakery and the chat: 7f3a"
PLACE = "/embed/visitor"
SETTINGS = {"auth": "password", "cors_allowed_origins": FRIEND}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Api]:
    lets_in = {"visitors": "true", "embed_secret": EMBED_SECRET}
    with Api(
        tmp_path_factory.mktemp("visitors"),
        openai_base_url=provider.base_url,
        openai_model="bench",
        **SETTINGS,
        **lets_in,
    ) as api:
        yield api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


def named(user: str, *, expires: int | str | None = None, secret: str = EMBED_SECRET) -> dict[str, str]:
    """As the server of the page around the chat does it."""
    until = str(round(time.time()) + 86_400 if expires is None else expires)
    return {"user": user, "expires": until, "signature": user_signature(secret.encode(), user, until)}


async def visit(client: httpx.AsyncClient, **asked: str) -> dict[str, str]:
    """The header of a visitor."""
    answer = (await client.post(PLACE, json=asked)).raise_for_status()
    assert answer.headers["cache-control"] == "no-store"
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def ask(client: httpx.AsyncClient, visitor: dict[str, str], content: str = "Hello") -> dict[str, Any]:
    reply = await client.post("/messages/", json={"content": content}, headers=visitor)
    answer: dict[str, Any] = reply.raise_for_status().json()
    return answer


async def history(client: httpx.AsyncClient, visitor: dict[str, str], chat_id: str) -> httpx.Response:
    return await client.get("/messages/", params={"chat_id": chat_id}, headers=visitor)


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# Own chats


async def test_two_visitors_see_their_own_chats_only(api: Api, client: httpx.AsyncClient) -> None:
    one, other = await visit(client), await visit(client)
    body = {"content": script(tokens=3, hold=[1])}
    async with streaming(client, "POST", "/stream/", json=body, headers=one) as stream:
        never = await client.get("/stream/never", headers=other)
        for door in ("/stream/{}", "/messages/{}"):
            theirs = await client.get(door.format(stream.turn_id), headers=other)
            assert error(theirs) == (404, "not_found")
        assert (await client.get(f"/stream/{stream.turn_id}", headers=other)).json() == never.json()
        stopped = await client.post(f"/stream/{stream.turn_id}/stop", headers=other)
        assert error(stopped) == (404, "not_found")
        stopped = await client.post(f"/stream/{stream.turn_id}/stop", headers=one)
        assert stopped.json()["status"] == "stopped"
    assert error(await history(client, other, stream.chat_id)) == (404, "not_found")
    assert len((await history(client, one, stream.chat_id)).json()["messages"]) == 2
    # Nor does a person, or an administrator.
    person = await add_person(api, "Ada", admin=True)
    key = {"Authorization": f"Bearer {await add_key(api, person)}"}
    assert error(await history(client, key, stream.chat_id)) == (404, "not_found")
    assert (await client.get("/chats/", headers=key)).json()["chats"] == []


async def test_the_same_browser_is_the_same_visitor(client: httpx.AsyncClient) -> None:
    one = await visit(client)
    chat_id = (await ask(client, one))["chat_id"]
    again = await visit(client, token=one["Authorization"].removeprefix("Bearer "))
    assert (await history(client, again, chat_id)).is_success


async def test_a_user_of_the_page_around_comes_back_in_another_browser(client: httpx.AsyncClient) -> None:
    here, there, other = [await visit(client, **named(user)) for user in ("42", "42", "43")]
    chat_id = (await ask(client, here))["chat_id"]
    assert len((await history(client, there, chat_id)).json()["messages"]) == 2
    assert error(await history(client, other, chat_id)) == (404, "not_found")


async def test_who_has_signed_in_is_no_visitor(api: Api) -> None:
    await add_person(api, "Cleo")
    async with signed_in(api, "Cleo") as client:
        assert (await client.post(PLACE, json={})).json() == {"token": None}
        # Unless the page around names somebody.
        assert (await client.post(PLACE, json=named("44"))).json()["owner"] == "user:44"


async def test_a_websocket_takes_a_visitor_by_header_and_by_protocol(api: Api, client: httpx.AsyncClient) -> None:
    one, other = await visit(client), await visit(client)
    url = f"{api.url}/stream/ws"
    # As a page does, which cannot send headers with it.
    protocols = ["rill", "bearer." + one["Authorization"].removeprefix("Bearer ")]
    async with Socket(url, protocols=protocols) as socket:
        await socket.send({"content": script(tokens=2, interval_ms=0)})
        turn_id = (await socket.until("finish_reason"))[-1]["turn_id"]
    async with Socket(url, **other) as socket:
        await socket.send({"resume": {"turn_id": turn_id}})
        assert (await socket.receive())["error"]["code"] == "not_found"
    with pytest.raises(Refused):
        async with Socket(url, protocols=["rill", "bearer.visitor_x"]):
            pass


# Tokens that do not count


async def test_what_the_server_did_not_sign_is_refused(api: Api, client: httpx.AsyncClient) -> None:
    token = (await visit(client))["Authorization"].removeprefix("Bearer ")
    head, ends, signature = token.split(".")
    root = "visitor_" + urlsafe_b64encode(b"").decode()
    user = "visitor_" + urlsafe_b64encode(b"user:42").decode().rstrip("=")
    forged = [
        "visitor_",
        token[:-1],
        f"{token}0",
        f"{head}.{int(ends) + 1}.{signature}",
        f"{root}.{ends}.{signature}",
        f"{user}.{ends}.{signature}",
        f"{head}.{ends}.",
        f"{head}..{signature}",
        f"{head}.{'9' * 5000}.{signature}",
        f"visitor_\u00e9.{ends}.{signature}".encode("latin-1"),
        "visitor_%%%.1.2",
    ]
    for one in forged:
        bearer = b"Bearer " + (one if isinstance(one, bytes) else one.encode())
        answer = await client.post("/messages/", json={"content": "Hi"}, headers={"Authorization": bearer})
        assert error(answer) == (401, "not_signed_in"), one
    # A browser that shows one gets another, and not that visitor's chats.
    renewed = (await client.post(PLACE, json={"token": token[:-1]})).json()
    assert renewed["token"] != token


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (named("42", secret="another secret, also of the right length"), "did not sign"),
        (named("42") | {"user": "43"}, "did not sign"),
        (named("42") | {"expires": "99999999999"}, "did not sign"),
        (named("42") | {"signature": ""}, "did not sign"),
        (named("42", expires=1_700_000_000), "too old"),
        (named("42", expires="never"), "did not sign"),
        (named("42", expires="-1"), "did not sign"),
        (named("4\u200b2"), "can be seen"),
        (named("4\x002"), "can be seen"),
        (named("x" * 201), "can be seen"),
    ],
)
async def test_a_user_who_is_not_signed_for_is_refused(
    client: httpx.AsyncClient, claim: dict[str, str], said: str
) -> None:
    answer = await client.post(PLACE, json=claim)
    assert error(answer) == (401, "not_signed_in")
    assert said in answer.json()["error"]["message"]


async def test_bad_bodies_get_a_sentence(client: httpx.AsyncClient) -> None:
    for body in ("", "[]", '{"token": 1}', "{", '{"user": null}'):
        assert error(await client.post(PLACE, content=body)) == (422, "invalid_request")
    assert (await client.get(PLACE)).status_code == 405


async def test_new_visitors_of_one_address_are_slowed_down(api: Api) -> None:
    far = {"X-Forwarded-For": "203.0.113.9"}
    async with api.client() as client:
        client.headers.update(far)
        known = (await client.post(PLACE, json={})).json()["token"]
        answers = await asyncio.gather(*(client.post(PLACE, json={}) for _ in range(40)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        # Those who were here before, and those whom the page around names, come in.
        assert (await client.post(PLACE, json={"token": known})).is_success
        assert (await client.post(PLACE, json=named("45"))).is_success


def test_visits_end_with_time_with_the_setting_and_with_the_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, anyio_backend: str
) -> None:
    def visitors(secret: bytes = b"s" * 32, **changed: str) -> Visitors:
        given = SETTINGS | {"visitors": "true", "embed_secret": EMBED_SECRET} | changed
        return Visitors(load_settings({name.upper(): value for name, value in given.items()}), secret)

    def counts(of: Visitors, token: str) -> bool:
        try:
            of.caller(token, "192.0.2.1")
        except NotSignedIn:
            return False
        return True

    browser = asyncio.run(visitors().browser("here")).token
    user = visitors().user(**{("name" if key == "user" else key): value for key, value in named("42").items()}).token
    assert counts(visitors(), browser) and counts(visitors(), user)
    assert not counts(visitors(b"t" * 32), browser) and not counts(visitors(b"t" * 32), user)
    assert not counts(visitors(visitors="false"), browser) and counts(visitors(visitors="false"), user)
    changed = visitors(embed_secret=EMBED_SECRET[::-1])
    assert counts(changed, browser) and not counts(changed, user)
    assert not counts(visitors(embed_secret=""), user)
    now = time.time()
    # A visit a day later lasts from then on.
    monkeypatch.setattr("time.time", lambda: now + 2 * 86_400)
    later = asyncio.run(visitors().browser("here", browser))
    assert later.owner == visitors().caller(browser, "192.0.2.1").owner and later.token != browser
    assert not counts(visitors(), user)
    monkeypatch.setattr("time.time", lambda: now + BROWSER_S + 86_400)
    assert not counts(visitors(), browser) and counts(visitors(), later.token)


# What visitors may use


FREE = {"embed", "brand", "healthz", "readyz"}
"""First parts of what nobody needs to be known for."""


async def test_they_have_the_doors_of_the_chat_and_no_other(client: httpx.AsyncClient) -> None:
    visitor = await visit(client)
    for (method, path), rule in RULES.items():
        first = path.split("/")[1]
        answer = await client.request(method, **rule.ask(nothing()), headers=visitor)
        told = f"{method} {path}: {answer.text}"
        if FOR_VISITORS.fullmatch(path):
            assert answer.status_code != 401 and "visitors_elsewhere" not in answer.text, told
        elif first in FREE:
            assert answer.status_code in (200, 404), told
        else:
            assert error(answer) == (403, "visitors_elsewhere"), told


async def test_nor_the_page_and_its_websocket(api: Api, client: httpx.AsyncClient) -> None:
    visitor = await visit(client)
    for path in ("/", "/c/x", "/insights", "/docs", "/openapi.json", "/nothing/there", "/account", "/embed/x"):
        assert error(await client.get(path, headers=visitor)) == (403, "visitors_elsewhere")
    with pytest.raises(Refused):
        async with Socket(f"{api.url}/_event/?EIO=4&transport=websocket", **visitor):
            pass


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"VISITORS": "true"}, "VISITORS=true lets visitors in beside people with accounts"),
        ({"AUTH": "none", "EMBED_SECRET": EMBED_SECRET}, "EMBED_SECRET lets visitors in beside people with accounts"),
        ({"AUTH": "password", "VISITORS": "true"}, "CORS_ALLOWED_ORIGINS, which names none"),
        ({"EMBED_SECRET": "short"}, "The setting EMBED_SECRET cannot be used: it has to have 32 characters"),
        ({"VISITORS": "some"}, "The setting VISITORS=some cannot be used"),
    ],
)
def test_settings_that_let_nobody_in_stop_the_start(settings: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(settings).check_auth()
    assert said in str(caught.value) and EMBED_SECRET not in str(caught.value)


async def test_without_the_setting_nobody_is_let_in(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider
) -> None:
    folder = tmp_path_factory.mktemp("people only")
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench", **SETTINGS) as api:
        async with api.client() as client:
            for asked in ({}, named("42")):
                assert error(await client.post(PLACE, json=asked)) == (401, "not_signed_in")
            page = await client.get("/embed")
            assert "data-visitors" not in page.text


async def test_another_token_is_no_other_budget(tmp_path: Path, provider: Provider) -> None:
    """All browsers of an address take together what ten may; users whom the page names have each their own."""
    answer = script(tokens=12, interval_ms=0)
    limits = {
        "visitors": "true",
        "embed_secret": EMBED_SECRET,
        "limit_tokens": "20/day",
        "trusted_proxies": "127.0.0.1",
    }
    where = {"openai_base_url": provider.base_url, "openai_model": "bench"}
    with Api(tmp_path, **where, **SETTINGS, **limits) as api:

        async def asked(address: str, **user: str) -> httpx.Response:
            """By somebody new."""
            async with api.client() as client:
                # A proxy of this machine tells for whom it asks.
                client.headers["X-Forwarded-For"] = address
                visitor = await visit(client, **user)
                return await client.post("/messages/", json={"content": answer}, headers=visitor)

        answered = 0
        while (refused := await asked("192.0.2.1")).status_code == 200:
            answered += 1
        # A question's tokens count too; an answer may be counted a moment after its end.
        assert 2 <= answered <= 18
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "spending_limit")
        assert "200 tokens a day" in refused.json()["error"]["message"]
        assert (await asked("192.0.2.2")).status_code == 200
        assert (await asked("192.0.2.1", **named("ada"))).status_code == 200
