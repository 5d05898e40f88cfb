"""AUTH=oidc, with a real provider over HTTP: who comes in, and what it may not make us believe. With the items of
OWASP's ASVS 5.0, by number.
"""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from chat_app.claims import claims_in, has_one, names_of
from chat_app.config import load_settings
from chat_app.errors import CannotStart
from chat_app.people import flow
from chat_app.people.accounts import Accounts, subject_of
from chat_app.people.provider import Provider as OurProvider
from chat_app.people.sessions import Sessions
from tests.app import App
from tests.forked import Api
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Claims, Forge, Provider, running, signed
from tests.people import add_key, add_person, browser, invitation, opened, session_cookie, submit

# The provider's own, of authlib in a thread of this process.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def sso() -> Iterator[Provider]:
    with running() as provider:
        provider.person("ada-1", preferred_username="Ada", groups=["staff", "rill-admins"])
        provider.person("ben-2", name="Ben \u202eBorg", email="ben@example.org")
        yield provider


def settings_for(sso: Provider) -> dict[str, str]:
    return {
        "auth": "oidc",
        "oidc_issuer": sso.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "replies": "tests.examples.rules:reply",
    }


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, sso: Provider) -> Iterator[Api]:
    rules = {"oidc_admin": "groups=rill-admins", "oidc_allowed": "groups=staff, sub=ben-2, sub=forged"}
    with Api(tmp_path_factory.mktemp("oidc"), **settings_for(sso), **rules) as api:
        yield api


@pytest.fixture
async def client(api: Api, sso: Provider) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(api) as client:
        yield client
    sso.forge, sso.status, sso.about = None, {}, {}


async def led_there(client: httpx.AsyncClient, address: str = "/c/x") -> str:
    """Where somebody is led who wants in."""
    page = await client.get("/login", params={"next": address})
    assert page.status_code == 200
    start = page.text.partition('href="/login/start')[2].partition('"')[0]
    response = await client.get(f"/login/start{start.replace('&amp;', '&')}")
    assert response.status_code == 303
    return str(response.headers["location"])


async def sign_in(client: httpx.AsyncClient, sso: Provider, sub: str | None, address: str = "/c/x") -> httpx.Response:
    return await client.get(sso.authorize(await led_there(client, address), sub))


def said(response: httpx.Response) -> str:
    """Why somebody was led to the page to sign in again."""
    assert response.status_code == 303
    parts = urlsplit(response.headers["location"])
    assert parts.path == "/login" and not parts.netloc
    return parse_qs(parts.query)["said"][0]


async def is_out(client: httpx.AsyncClient) -> bool:
    return (await client.get("/chats/")).status_code == 303


async def people(api: App) -> dict[str, bool]:
    """The names, and who of them is an administrator."""
    async with opened(api) as store:
        rows = await store.database.read(
            lambda connection: connection.exec_driver_sql("SELECT name, admin FROM person").all()
        )
    return {row.name: bool(row.admin) for row in rows}


# The way there and back


@pytest.mark.everyday
async def test_somebody_signs_in_and_out(client: httpx.AsyncClient, api: Api, sso: Provider) -> None:
    assert (await client.get("/c/x")).headers["location"] == "/login?next=/c/x"
    address = await led_there(client)
    asked = dict(parse_qsl(urlsplit(address).query))
    assert asked["redirect_uri"] == f"{api.url}/login/callback" and asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256" and asked["scope"] == "openid profile email"
    response = await client.get(sso.authorize(address, "ada-1"))
    assert (response.status_code, response.headers["location"]) == (303, "/c/x")
    assert {"HttpOnly", "SameSite=lax"} <= set(response.headers.get_list("set-cookie")[0].split("; "))
    assert (await client.get("/chats/")).status_code == 200
    account = (await client.get("/account")).text
    assert "<h1>Ada</h1>" in account and "Invite" not in account and "New password" not in account
    # A group makes an administrator, who gets the chats from before.
    assert await people(api) == {"Ada": True}
    cookie = session_cookie(client)
    left = await submit(client, "/logout")
    assert left.headers["location"] == "/login?said=signed_out"
    page = (await client.get("/login?said=signed_out")).text
    assert f"Sign out of {urlsplit(sso.issuer).netloc} too" in page and f"{sso.issuer}/oauth2/end_session?" in page
    async with api.client() as other:
        assert (await other.get("/chats/", headers={"Cookie": cookie})).status_code == 401


async def test_asvs_8_3_2_the_provider_says_who_is_an_administrator_and_how_people_are_called(
    api: Api, sso: Provider
) -> None:
    sso.person("cleo-3", preferred_username="Cleo", groups=["staff", "rill-admins"])
    async with browser(api) as first:
        await sign_in(first, sso, "cleo-3")
        assert (await people(api))["Cleo"]
        sso.person("cleo-3", preferred_username="Cleopatra", groups=["staff"])
        async with browser(api) as second:
            await sign_in(second, sso, "cleo-3")
            assert (await second.get("/chats/")).status_code == 200
        found = await people(api)
        assert found["Cleopatra"] is False and "Cleo" not in found
        assert "People" not in (await first.get("/account")).text
    # The same name is another person all the same: only the subject is who they are.
    sso.person("dora-4", preferred_username="cleopatra", groups=["staff"])
    async with browser(api) as other:
        await sign_in(other, sso, "dora-4")
        assert "<h1>cleopatra 2</h1>" in (await other.get("/account")).text


async def test_asvs_10_5_2_an_account_of_before_is_theirs_if_it_was_linked(api: Api, sso: Provider) -> None:
    person = await add_person(api, "Old")
    key = {"Authorization": f"Bearer {await add_key(api, person)}"}
    async with browser(api) as client:
        # An equal name is no proof.
        sso.person("old-0", preferred_username="Old", groups="staff")
        await sign_in(client, sso, "old-0")
        assert "<h1>Old 2</h1>" in (await client.get("/account")).text
    async with opened(api) as store, browser(api) as client:
        await Accounts(store.database).link(person, subject_of(sso.issuer, "old-7"))
        sso.person("old-7", preferred_username="Old", groups="staff")
        made = (await client.post("/messages/", json={"content": "10 C"}, headers=key)).raise_for_status().json()
        await sign_in(client, sso, "old-7")
        assert (await client.get(f"/chats/{made['chat_id']}")).status_code == 200
        # And a session that began with a password does not go on.
        before = await Sessions(store.database).begin(await add_person(api, "By password"))
        cookie = f"{session_cookie(client).partition('=')[0]}={before}"
    async with api.client() as other:
        assert (await other.get("/chats/", headers={"Cookie": cookie})).status_code == 401


async def test_behind_tls_the_way_back_is_by_tls(api: Api, sso: Provider) -> None:
    async with browser(api, **{"X-Forwarded-Proto": "https"}) as client:
        response = await client.get("/login/start")
        [back] = parse_qs(urlsplit(response.headers["location"]).query)["redirect_uri"]
        assert back == f"https://127.0.0.1:{api.port}/login/callback"
        [cookie] = response.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-") and "Secure" in cookie


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example", "/\\evil.example", "/login/start"])
async def test_asvs_3_7_2_no_other_site_is_led_to(client: httpx.AsyncClient, sso: Provider, address: str) -> None:
    response = await sign_in(client, sso, "ada-1", address)
    assert response.headers["location"] == "/"


async def test_two_tabs_sign_in_at_once(client: httpx.AsyncClient, sso: Provider) -> None:
    one, two = await led_there(client, "/c/one"), await led_there(client, "/c/two")
    assert (await client.get(sso.authorize(two, "ada-1"))).headers["location"] == "/c/two"
    # Whoever is in is not told that something failed.
    assert (await client.get(sso.authorize(one, "ada-1"))).headers["location"] == "/"


async def test_nobody_comes_in_by_another_way(client: httpx.AsyncClient, api: Api) -> None:
    form = await client.post("/login", data={"name": "Ada", "password": "correct horse battery"})
    assert form.status_code in (403, 404)
    assert (await client.get(f"/invite/{await invitation(api)}")).status_code == 404


# What does not count


async def test_who_goes_back_or_is_not_meant_is_told_so(client: httpx.AsyncClient, api: Api, sso: Provider) -> None:
    address = await led_there(client)
    back = sso.authorize(address, None)
    # This one forgets what it should send back with its error.
    assert (await client.get(back)).headers["location"] == "/login?said=refused&next=/"
    [state] = parse_qs(urlsplit(address).query)["state"]
    refused = await client.get(f"{back}&state={state}")
    assert refused.headers["location"] == "/login?said=refused&next=/c/x"
    assert "did not sign you in" in (await client.get(refused.headers["location"])).text
    assert said(await sign_in(client, sso, "eve-5")) == "not_allowed"
    assert "eve-5" not in str(await people(api)) and await is_out(client)


async def test_asvs_10_2_1_a_sign_in_of_another_browser_is_refused(api: Api, sso: Provider) -> None:
    async with browser(api) as attacker, browser(api) as victim:
        link = sso.authorize(await led_there(attacker), "ben-2")
        assert said(await victim.get(link)) == "stale"
        await led_there(victim)
        assert said(await victim.get(link)) == "stale" and await is_out(victim)
        query = dict(parse_qsl(urlsplit(link).query))
        for state in ("", "x", query["state"][:-1], "W10=." + query["state"].partition(".")[2]):
            changed = urlencode(query | {"state": state})
            assert said(await attacker.get(f"/login/callback?{changed}")) == "stale"
        assert (await attacker.get(link)).headers["location"] == "/c/x"


async def test_a_code_counts_once(api: Api, client: httpx.AsyncClient, sso: Provider) -> None:
    link = sso.authorize(await led_there(client), "ben-2")
    kept = dict(client.cookies)
    assert (await client.get(link)).headers["location"] == "/c/x"
    async with browser(api) as thief:
        assert said(await thief.get(link)) == "stale"
        # Even with the cookie that the sign-in was tied to.
        thief.cookies.update(kept)
        assert said(await thief.get(link)) == "failed" and await is_out(thief)


def other_key(claims: Claims, _key: RSAKey) -> str:
    return signed(claims, RSAKey.generate_key(auto_kid=True))


def unsigned(claims: Claims, _key: RSAKey) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def by_public_key(claims: Claims, key: RSAKey) -> str:
    """The classic confusion: the provider's public key as if it were a secret that both share."""

    def part(given: bytes) -> str:
        return base64.urlsafe_b64encode(given).decode().rstrip("=")

    told = f"{part(json.dumps({'alg': 'HS256'}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{told}.{part(hmac.digest(key.as_pem(private=False), told.encode(), 'sha256'))}"


def with_claims(**changed: object) -> Forge:
    return lambda claims, key: signed(claims | changed, key)


def without(name: str) -> Forge:
    return lambda claims, key: signed({one: claims[one] for one in claims if one != name}, key)


FORGED: dict[str, Forge] = {
    "asvs 10.5.1: another nonce": with_claims(nonce="0" * 64),
    "asvs 10.5.1: no nonce": without("nonce"),
    "asvs 10.5.4: of another audience": with_claims(aud="another-app"),
    "asvs 10.5.4: of ours and another's, for the other": with_claims(aud=[CLIENT_ID, "another-app"], azp="another-app"),
    "of another issuer": with_claims(iss="https://evil.example"),
    "expired": with_claims(exp=int(time.time()) - 3_600),
    "of tomorrow": with_claims(iat=int(time.time()) + 86_400, nbf=int(time.time()) + 86_400),
    "without an end": without("exp"),
    "of nobody": without("sub"),
    "of another person than the access token": with_claims(sub="forged"),
    "of another access token": with_claims(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "unsigned": unsigned,
    "signed by somebody else": other_key,
    "signed with the public key": by_public_key,
    "no token": lambda _claims, _key: "not.a.token",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_id_token_is_not_believed(
    client: httpx.AsyncClient, api: Api, sso: Provider, forge: Forge
) -> None:
    sso.forge = forge
    assert said(await sign_in(client, sso, "ben-2")) == "failed"
    assert await is_out(client) and "forged" not in await people(api)


async def test_one_that_is_only_signed_once_more_is(client: httpx.AsyncClient, sso: Provider) -> None:
    """So those above are refused for what is wrong with them."""
    sso.forge = with_claims(extra=1)
    assert (await sign_in(client, sso, "ben-2")).headers["location"] == "/c/x"


async def test_a_provider_that_is_down_is_a_sentence(client: httpx.AsyncClient, sso: Provider) -> None:
    for path in ("/oauth2/token", "/userinfo"):
        sso.status = {path: 503}
        answer = await sign_in(client, sso, "ben-2")
        assert said(answer) == "unreachable"
        assert "does not answer" in (await client.get(answer.headers["location"])).text
    sso.status = {}
    back = sso.authorize(await led_there(client), "ben-2")
    assert said(await client.get(f"{back}&iss=https://evil.example")) == "failed"
    assert "<script>" not in (await client.get("/login?said=<script>")).text


async def test_a_new_key_of_the_provider_s_counts(client: httpx.AsyncClient, sso: Provider) -> None:
    await sign_in(client, sso, "ben-2")
    await submit(client, "/logout")
    sso.new_key()
    assert (await sign_in(client, sso, "ben-2")).headers["location"] == "/c/x"


# Starts


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"oidc_issuer": "http://localhost:9"}, "tells nothing about itself"),
        ({"oidc_client_secret": "another one's"}, "does not know OIDC_CLIENT_ID=rill"),
        ({"about": {"issuer": "https://sso.example.org"}}, "calls itself https://sso.example.org"),
        ({"about": {"id_token_signing_alg_values_supported": ["none", "HS256"]}}, "signs by none, HS256 only"),
        ({"about": {"token_endpoint": "http://sso.example.org/token"}}, "no safe token_endpoint"),
    ],
)
async def test_asvs_10_5_3_a_wrong_provider_stops_the_start(sso: Provider, changed: Claims, sentence: str) -> None:
    sso.about = changed.get("about", {})
    given = {name.upper(): value for name, value in {**settings_for(sso), **changed}.items() if name != "about"}
    try:
        with pytest.raises(CannotStart, match=sentence) as caught:
            await OurProvider(load_settings(given)).discover()
        assert CLIENT_SECRET not in str(caught.value) and str(caught.value).endswith(".")
    finally:
        sso.about = {}


# Small things


@pytest.mark.everyday
def test_claims_give_rights() -> None:
    rules = claims_in("groups=admins, realm_access.roles=admin, https://x.example/role=boss, email=a@b.example")
    for claims in (
        {"groups": ["x", "admins"]},
        {"groups": "admins"},
        {"realm_access": {"roles": ["admin"]}},
        {"https://x.example/role": "boss"},
        {"email": "a@b.example", "email_verified": True},
    ):
        assert has_one(claims, rules), claims
    for nothing in ({}, {"groups": "x admins"}, {"groups": None}, {"realm_access": "x"}, {"email": "a@b.example"}):
        assert not has_one(nothing, rules), nothing
    for wrong in ("admins", "=x", "groups="):
        with pytest.raises(ValueError, match="is no claim"):
            claims_in(wrong)


@pytest.mark.everyday
def test_people_are_called_by_what_can_be_seen() -> None:
    claims = {"sub": "1", "preferred_username": "\u200b", "name": "Ada\nLove", "email": 5}
    assert names_of(claims) == ["Ada Love"]
    assert names_of({"sub": "1", "name": " "}) == ["1"]


@pytest.mark.everyday
def test_a_sign_in_under_way_is_one_browsers_for_ten_minutes() -> None:
    begun = flow.begin(b"s" * 32, "browser", "/c/x", now=1_000.0)
    assert flow.resume(b"s" * 32, "browser", begun.state, now=1_600.0) == begun
    assert len({begun.nonce, begun.verifier, begun.state}) == 3 and 43 <= len(begun.verifier) <= 128
    for secret, of, now in (
        (b"t" * 32, "browser", 1_001.0),
        (b"s" * 32, "other", 1_001.0),
        (b"s" * 32, "browser", 1_601.0),
    ):
        with pytest.raises(flow.Stale):
            flow.resume(secret, of, begun.state, now)
    assert flow.begin(b"s" * 32, "browser", "/" + "x" * 5_000, now=0.0).address == "/"
