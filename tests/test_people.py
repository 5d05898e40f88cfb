"""AUTH=password: who comes in, and who does not. Over real connections; the items of OWASP's ASVS 5.0 by number."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import httpx
import pytest

from chat_app.caller import Scope
from chat_app.people.accounts import Accounts
from tests.app import App
from tests.forked import Api
from tests.people import (
    PASSWORD,
    add_key,
    add_person,
    browser,
    invitation,
    opened,
    session_cookie,
    sign_in,
    signed_in,
    submit,
    token_in,
)
from tests.provider_client import Provider, script
from tests.sse_client import streaming
from tests.ws_client import Closed, Refused, Socket, close

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RULES = "tests.examples.rules:reply"
DOORS = [
    ("GET", "/chats/"),
    ("POST", "/messages/"),
    ("POST", "/stream/"),
    ("GET", "/search/?q=x"),
    ("GET", "/chats/export"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("GET", "/nothing/there"),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Api]:
    with Api(
        tmp_path_factory.mktemp("people"), auth="password", openai_base_url=provider.base_url, openai_model="bench"
    ) as api:
        yield api


@pytest.fixture(scope="module")
async def ada(api: Api, anyio_backend: str) -> str:
    return await add_person(api, "Ada", admin=True)


@pytest.fixture(scope="module")
async def ben(api: Api, ada: str) -> str:
    return await add_person(api, "Ben")


@pytest.fixture
async def page(api: Api, ada: str) -> AsyncIterator[httpx.AsyncClient]:
    """Ada's browser."""
    async with signed_in(api, "Ada") as client:
        yield client


@pytest.fixture
async def nobody(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


def socket_url(app: App, path: str = "/stream/ws") -> str:
    return app.url.replace("http", "ws", 1) + path


# Nobody


@pytest.mark.everyday
@pytest.mark.parametrize(("method", "path"), DOORS)
async def test_nobody_gets_401_and_a_sentence(nobody: httpx.AsyncClient, method: str, path: str) -> None:
    response = await nobody.request(method, path, json={"content": "Hi"} if method == "POST" else None)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="Rill"'
    error = response.json()["error"]
    assert error["code"] == "not_signed_in" and error["message"].endswith(".")
    assert "frame-ancestors 'self'" in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [("/", "/login?next=/"), ("/c/x?y=1", "/login?next=/c/x%3Fy%3D1"), ("/insights", "/login?next=/insights")],
)
async def test_a_browser_is_led_to_the_page_to_sign_in(api: Api, path: str, leads_to: str) -> None:
    async with browser(api) as client:
        response = await client.get(path)
    assert (response.status_code, response.headers["location"]) == (303, leads_to)


async def test_a_script_is_not(api: Api) -> None:
    async with browser(api, **{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}) as client:
        assert (await client.get("/chats/")).status_code == 401


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/ping", "/login", "/account/people.css", "/brand/colours.css"]
)
async def test_what_has_nothing_of_anybody_is_free(nobody: httpx.AsyncClient, path: str) -> None:
    assert (await nobody.get(path)).status_code == 200


async def test_a_websocket_of_nobody_is_refused(api: Api) -> None:
    with pytest.raises(Refused) as refusal:
        async with Socket(socket_url(api)):
            pass
    assert refusal.value.status == 403


# Signing in


@pytest.mark.everyday
async def test_signing_in_leads_back_and_to_the_api(api: Api, ada: str) -> None:
    async with browser(api) as client:
        response = await sign_in(client, "  ADA ", next="/c/x")
        assert (response.status_code, response.headers["location"]) == (303, "/c/x")
        assert (await client.get("/chats/")).status_code == 200
        assert (await client.get("/login")).headers["location"] == "/"
        async with Socket(socket_url(api), Cookie=session_cookie(client)) as socket:
            await socket.send({"content": script(tokens=2, interval_ms=0)})
            assert (await socket.until("finish_reason"))[-1]["finish_reason"] == "stop"


@pytest.mark.everyday
@pytest.mark.parametrize(("name", "password"), [("Ada", "wrong horse"), ("Ada", ""), ("Nobody", PASSWORD), ("", "")])
async def test_the_wrong_ones_come_not_in(api: Api, ada: str, name: str, password: str) -> None:
    async with browser(api) as client:
        response = await sign_in(client, name, password)
        assert response.status_code == 401
        assert "The name or the password is not right." in response.text
        assert (await client.get("/chats/")).status_code == 303


async def test_asvs_6_3_8_nobody_learns_which_names_there_are(api: Api, ada: str) -> None:
    async with browser(api) as client:
        known = await sign_in(client, "Ada", "wrong")
        unknown = await sign_in(client, "Adb", "wrong")
    assert known.status_code == unknown.status_code
    assert known.text.replace("Ada", "Adb") == unknown.text
    assert set(known.headers) == set(unknown.headers)


async def test_asvs_6_3_1_guessing_is_slowed_down(api: Api, ada: str) -> None:
    await add_person(api, "Guessed")
    for name in ("Guessed", "Not there"):
        async with browser(api) as client:
            token = token_in(await client.get("/login"))
            # At once: each is counted before its password is looked at, so no minute goes by in between.
            data = [{"token": token, "name": name, "password": f"wrong {number}"} for number in range(20)]
            answers = await asyncio.gather(*(client.post("/login", data=one) for one in data))
        assert {response.status_code for response in answers} == {401, 429}
        refused = [response for response in answers if response.status_code == 429]
        assert all(0 < int(response.headers["retry-after"]) <= 3_600 for response in refused)


async def test_asvs_7_2_4_a_session_is_new_at_each_sign_in(api: Api, ada: str) -> None:
    async with browser(api) as client:
        await sign_in(client, "Ada")
        before = session_cookie(client)
        page = await client.get("/account")
        assert page.status_code == 200
        # Somebody who knows the cookie of before has nothing.
        client.cookies.clear()
        name, _, value = before.partition("=")
        form = await client.get("/login")
        client.cookies.set(name, value)
        data = {"token": token_in(form), "name": "Ada", "password": PASSWORD}
        response = await client.post("/login", data=data)
        assert response.status_code == 303
        assert value not in response.headers["set-cookie"]
    async with api.client() as other:
        assert (await other.get("/chats/", headers={"Cookie": before})).status_code == 401


async def test_asvs_3_3_the_cookie_is_for_us_alone(api: Api, ada: str) -> None:
    async with browser(api) as client:
        response = await sign_in(client, "Ada")
        parts = response.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(parts) and "Secure" not in parts
    async with browser(api, **{"X-Forwarded-Proto": "https"}) as client:
        page = await client.get("/login")
        kept = page.headers["set-cookie"].partition(";")[0]
        response = await client.post(
            "/login",
            data={"token": token_in(page), "name": "Ada", "password": PASSWORD},
            headers={"Cookie": kept},
        )
        parts = response.headers["set-cookie"].split("; ")
        assert "Secure" in parts and parts[0].startswith("__Host-")


async def test_what_is_stored_opens_nothing(api: Api, page: httpx.AsyncClient, ada: str) -> None:
    key = await add_key(api, ada)
    connection = sqlite3.connect(api.folder / "chat.db")
    stored = str([connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("person", "login", "api_key")])
    connection.close()
    cookie = session_cookie(page).partition("=")[2]
    assert "$argon2id$" in stored
    assert not [secret for secret in (cookie, key, PASSWORD) if secret in stored]
    assert (api.folder / "chat.key").stat().st_mode & 0o777 == 0o600


# Forms


async def test_asvs_3_5_1_a_form_of_another_page_does_nothing(api: Api, page: httpx.AsyncClient) -> None:
    async with browser(api) as other:
        foreign = token_in(await other.get("/login"))
    for token in ("", foreign, "0" * 64):
        for path in ("/login", "/account/keys", "/account/everywhere", "/logout"):
            fields = {"token": token, "name": "Smuggled", "password": PASSWORD, "scope": "chat"}
            assert (await page.post(path, data=fields)).status_code == 403, path
    assert (await page.get("/chats/")).status_code == 200, "still signed in"
    assert "Smuggled" not in (await page.get("/account")).text
    refused = await page.post("/logout", headers={"Origin": "http://evil.example", "X-Requested-With": "x"})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
        "",
        "/logout",
        "@evil.example",
    ],
)
async def test_asvs_3_7_2_no_other_site_is_led_to(api: Api, ada: str, address: str) -> None:
    async with browser(api) as client:
        response = await sign_in(client, "Ada", next=address)
        assert (response.status_code, response.headers["location"]) == (303, "/")
        again = await client.get("/login", params={"next": address})
        assert again.headers["location"] == "/"
        assert "a=b" not in str(response.headers)


# Signing out


@pytest.mark.everyday
async def test_signing_out_ends_the_session(api: Api, ada: str) -> None:
    async with signed_in(api, "Ada") as client:
        cookie = session_cookie(client)
        response = await submit(client, "/logout")
        assert (response.status_code, response.headers["location"]) == (303, "/login")
    async with api.client() as other:
        assert (await other.get("/chats/", headers={"Cookie": cookie})).status_code == 401


async def test_signing_out_everywhere_ends_what_is_open(api: Api, ben: str, provider: Provider) -> None:
    async with signed_in(api, "Ben") as here, signed_in(api, "Ben") as there:
        async with Socket(socket_url(api), Cookie=session_cookie(there)) as socket:
            async with streaming(there, "POST", "/stream/", json={"content": script(tokens=3, hold=[1])}) as stream:
                await stream.next()
                assert (await submit(here, "/account/everywhere")).status_code == 303
                with pytest.raises(httpx.RemoteProtocolError):
                    await stream.rest()
            with pytest.raises(Closed) as closed:
                await socket.receive()
            assert closed.value.code == 4401
        for client in (here, there):
            assert (await client.get("/chats/")).status_code in (303, 401)


async def test_another_process_ends_it_too(api: Api) -> None:
    """As `python -m chat_app user remove` does."""
    person = await add_person(api, "Gone")
    key = await add_key(api, person)
    async with Socket(socket_url(api), Authorization=f"Bearer {key}") as socket:
        connection = sqlite3.connect(api.folder / "chat.db")
        with connection:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("DELETE FROM person WHERE id = ?", [person])
        connection.close()
        with pytest.raises(Closed) as closed:
            await socket.receive()
    assert closed.value.code == 4401
    async with api.client() as client:
        while (await client.get("/chats/", headers={"Authorization": f"Bearer {key}"})).status_code != 401:
            await asyncio.sleep(0.1)


# The account


async def test_asvs_7_4_3_another_password_signs_out_elsewhere(api: Api) -> None:
    await add_person(api, "Carl")
    async with signed_in(api, "Carl") as here, signed_in(api, "Carl") as there:
        wrong = await submit(here, "/account/password", before="no", password="another horse")
        assert wrong.status_code == 422 and "Nothing was changed" in wrong.text
        short = await submit(here, "/account/password", before=PASSWORD, password="short")
        assert short.status_code == 422 and "at least 8" in short.text
        assert (await submit(here, "/account/password", before=PASSWORD, password="another horse")).status_code == 200
        assert (await here.get("/chats/")).status_code == 200
        assert (await there.get("/chats/")).status_code == 303
    async with signed_in(api, "Carl", "another horse"):
        pass


@pytest.mark.everyday
async def test_an_invitation_counts_once(api: Api, page: httpx.AsyncClient) -> None:
    made = await submit(page, "/account/invitations")
    link = made.text.partition(f"{api.url}/invite/")[2].partition("<")[0]
    async with browser(api) as guest:
        form = await guest.get(f"/invite/{link}")
        data = {"token": token_in(form), "name": "ada", "password": PASSWORD}
        taken = await guest.post(f"/invite/{link}", data=data)
        assert taken.status_code == 422 and "Choose another name" in taken.text
        response = await guest.post(f"/invite/{link}", data=data | {"name": "Dora"})
        assert (response.status_code, response.headers["location"]) == (303, "/")
        assert (await guest.get("/chats/")).status_code == 200
        assert "People" not in (await guest.get("/account")).text
    async with browser(api) as late:
        assert (await late.get(f"/invite/{link}")).status_code == 404
        form = await late.get("/login")
        data |= {"token": token_in(form), "name": "Eve"}
        assert (await late.post(f"/invite/{link}", data=data)).status_code == 404


async def test_an_old_invitation_counts_nothing(api: Api) -> None:
    link = await invitation(api)
    connection = sqlite3.connect(api.folder / "chat.db")
    with connection:
        connection.execute("UPDATE invitation SET expires_at = '2026-01-01 00:00:00.000000'")
    connection.close()
    async with browser(api) as guest:
        assert (await guest.get(f"/invite/{link}")).status_code == 404


async def test_only_administrators_invite_and_remove(api: Api, ada: str, ben: str) -> None:
    person = await add_person(api, "Removed")
    async with signed_in(api, "Ben") as client:
        for path in ("/account/invitations", f"/account/people/{person}/remove"):
            assert (await submit(client, path)).status_code == 403
        assert "Invite" not in (await client.get("/account")).text
        assert (await client.get("/metrics")).status_code == 403
    async with signed_in(api, "Removed") as client, signed_in(api, "Ada") as admin:
        assert (await submit(admin, f"/account/people/{person}/remove")).status_code == 200
        assert (await client.get("/chats/")).status_code == 303
        assert (await admin.get("/metrics")).status_code == 200


async def test_administrators_see_totals_and_limits_and_never_text(api: Api, ada: str) -> None:
    bearer = {"Authorization": f"Bearer {await add_key(api, await add_person(api, 'Writer'))}"}
    async with api.client() as client, signed_in(api, "Ada") as admin, signed_in(api, "Writer") as writer:
        await client.post("/messages/", json={"content": f"pomegranate {script(tokens=7)}"}, headers=bearer)

        async def of_writer() -> str:
            return (await admin.get("/account")).text.partition("<strong>Writer</strong>")[2].partition("</li>")[0]

        while "tokens" not in await of_writer():
            await asyncio.sleep(0.05)
        row, page = await of_writer(), (await admin.get("/account")).text
        assert "1 API key · today" in row and "this month" in row
        assert "Limits of each person: 4 answers at a time · requests: 600 per minute" in page
        assert "Limit of all together: 100 answers at a time" in page and "pomegranate" not in page
        own = (await writer.get("/account")).text
        assert "<h2>Usage</h2><p>today" in own and "All together" not in own and "Ada" not in own


async def test_with_the_account_its_answers_end_and_its_chats_are_gone(api: Api, ada: str, provider: Provider) -> None:
    async def running(client: httpx.AsyncClient) -> float:
        found = re.search(r"^rill_running_turns (.*)$", (await client.get("/metrics")).text, re.MULTILINE)
        assert found
        return float(found[1])

    for by_command in (False, True):
        person = await add_person(api, "Leaving")
        bearer = {"Authorization": f"Bearer {await add_key(api, person)}"}
        async with api.client() as client, signed_in(api, "Ada") as admin:
            body = {"content": script(tokens=3, hold=[1])}
            # Those that another test has left.
            others = await running(admin)
            async with streaming(client, "POST", "/stream/", json=body, headers=bearer) as stream:
                await stream.next()
            # Nobody follows it any more, and it would wait for its next token for a minute.
            assert "1 answer is being written" in (await admin.get("/account")).text
            if by_command:
                async with opened(api) as store:
                    await Accounts(store.database).remove(person)
            else:
                assert (await submit(admin, f"/account/people/{person}/remove")).status_code == 200
            while await running(admin) > others:
                await asyncio.sleep(0.05)
        async with opened(api) as store:
            assert await store.of(person).chats() == []


# Keys


@pytest.mark.everyday
async def test_a_key_is_shown_once_and_opens_every_door(api: Api, page: httpx.AsyncClient, ada: str) -> None:
    made = await submit(page, "/account/keys", name="My <script>", scope="chat")
    key = made.text.partition('class="secret">')[2].partition("<")[0]
    assert key.startswith("rill_") and made.headers["cache-control"] == "no-store"
    shown = (await page.get("/account")).text
    assert key not in shown and "My &lt;script&gt;" in shown and "never used" in shown
    bearer = {"Authorization": f"Bearer {key}"}
    async with api.client() as client:
        for path in ("/chats/", "/openapi.json", "/v1/models", "/metrics"):
            assert (await client.get(path, headers=bearer)).status_code == 200, path
        reply = await client.post("/messages/", json={"content": script(tokens=1, interval_ms=0)}, headers=bearer)
        assert reply.status_code == 200
        async with Socket(socket_url(api), **bearer):
            pass
        while "last used" not in (await page.get("/account")).text:
            await asyncio.sleep(0.05)
        key_id = (await page.get("/account")).text.partition("/account/keys/")[2].partition("/")[0]
        async with Socket(socket_url(api), **bearer) as socket:
            assert (await submit(page, f"/account/keys/{key_id}/revoke")).status_code == 200
            with pytest.raises(Closed) as closed:
                await socket.receive()
            assert closed.value.code == 4401
        assert (await client.get("/chats/", headers=bearer)).status_code == 401


async def test_asvs_11_2_4_a_wrong_key_is_nobody_s(api: Api, ada: str, page: httpx.AsyncClient) -> None:
    key = await add_key(api, ada, Scope.read)
    for wrong in (key[:-1], key + "x", key.upper(), "rill_", "'; --", "\xff"):
        async with api.client() as client:
            headers = {"Authorization": f"Bearer {wrong}".encode("latin-1")}
            response = await client.get("/chats/", headers=headers)
            assert response.status_code == 401 and "API key" in response.json()["error"]["message"]
            # It counts for more than a cookie.
            response = await client.get("/chats/", headers={**headers, "Cookie": session_cookie(page)})
            assert response.status_code == 401


async def test_a_key_of_somebody_else_is_not_revoked(api: Api, ada: str, ben: str) -> None:
    key = await add_key(api, ada)
    connection = sqlite3.connect(api.folder / "chat.db")
    [key_id] = connection.execute("SELECT id FROM api_key WHERE person_id = ? ORDER BY id DESC", [ada]).fetchone()
    connection.close()
    async with signed_in(api, "Ben") as client:
        await submit(client, f"/account/keys/{key_id}/revoke")
    async with api.client() as client:
        assert (await client.get("/chats/", headers={"Authorization": f"Bearer {key}"})).status_code == 200


@pytest.mark.parametrize(
    "path", ["/account/../people/secret.py", "/account/..%2f..%2fconfig.py", "/assets/..%2f..%2f.env"]
)
async def test_asvs_5_3_2_no_path_leads_out(api: Api, page: httpx.AsyncClient, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nCookie: {session_cookie(page)}\r\n"
    writer.write(f"{request}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    await close(writer)
    assert answer.split()[1] in (b"404", b"401", b"400"), answer


async def test_asvs_4_2_4_no_value_begins_a_header(api: Api, page: httpx.AsyncClient) -> None:
    """Of those that come back in headers: a title, an address, an id of an event, a key, the name of a host."""
    line = "x\r\nSet-Cookie: a=b"
    chat = (await page.post("/chats/", json={"title": line})).raise_for_status().json()
    ask = {"content": script(tokens=1, interval_ms=0), "chat_id": chat["id"]}
    turn = (await page.post("/messages/", json=ask, headers={"Idempotency-Key": quote(line)})).raise_for_status().json()
    async with browser(api) as nobody:
        responses = [
            *[await page.get(f"/chats/{chat['id']}/export?format={form}") for form in ("json", "markdown")],
            await page.get(f"/stream/{turn['id']}", headers={"Last-Event-ID": quote(line)}),
            await page.get(f"/stream/{quote(line)}"),
            await nobody.get(f"/c/{quote(line)}", headers={"Accept": "text/html"}),
            await nobody.get(f"/?next={quote(line)}", headers={"Accept": "text/html"}),
        ]
    assert "x" in responses[0].headers["Content-Disposition"]
    assert responses[-2].headers["Location"].startswith("/login?next=/c/x")
    for response in responses:
        assert response.status_code < 500
        assert "set-cookie" not in response.headers
        assert not any(set(value) & {"\r", "\n"} for value in response.headers.values())


async def test_cookies_do_not_count_for_pages_of_other_origins(page: httpx.AsyncClient) -> None:
    """Even of such as may use the API: a person is not theirs to act for."""
    assert (await page.get("/chats/", headers={"Origin": "http://localhost:1"})).status_code == 403
