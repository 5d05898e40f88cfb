"""AUTH=proxy: whom the proxy in front names, and nobody who says so without it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.forked import Api
from tests.people import add_key, add_person, browser, submit
from tests.ws_client import Refused, Socket

pytestmark = pytest.mark.anyio
HEADER = "X-Who"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The tests are the proxy."""
    settings = {
        "auth": "proxy",
        "auth_header": HEADER,
        "trusted_proxies": "127.0.0.1",
        "replies": "tests.examples.rules:reply",
    }
    with Api(tmp_path_factory.mktemp("proxy"), **settings) as api:
        yield api


async def test_who_is_named_gets_in_and_an_account(api: Api) -> None:
    async with browser(api, **{HEADER: "Zoë".encode()}) as client:
        assert (await client.get("/chats/")).status_code == 200
        account = await client.get("/account")
        assert "Zoë" in account.text and "Sign out" not in account.text and "Change the password" not in account.text
        made = await submit(client, "/account/keys", name="k", scope="read")
        key = made.text.partition('class="secret">')[2].partition("<")[0]
        async with Socket(api.url.replace("http", "ws", 1) + "/stream/ws", **{HEADER: "zoë"}) as _:
            pass
    async with browser(api, Authorization=f"Bearer {key}") as program:
        assert (await program.get("/chats/")).status_code == 200
    async with browser(api, **{HEADER: "ZOË".encode()}) as client:
        assert "Revoke k" in (await client.get("/account")).text


@pytest.mark.parametrize("headers", [[], [(HEADER, "")], [(HEADER, "ada"), (HEADER, "ben")], [(HEADER, "x" * 100)]])
async def test_who_is_not_named_does_not(api: Api, headers: list[tuple[str, str]]) -> None:
    async with api.client() as client:
        for path in ("/chats/", "/", "/account"):
            response = await client.get(path, headers=[*headers, ("Accept", "text/html")])
            assert response.status_code in (401, 303), path
        assert (await client.get("/chats/", headers=headers)).status_code == 401
        assert (await client.get("/healthz")).status_code == 200


async def test_from_elsewhere_the_header_counts_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"auth": "proxy", "trusted_proxies": "10.0.0.5", "replies": "tests.examples.rules:reply"}
    with Api(tmp_path_factory.mktemp("elsewhere"), **settings) as api:
        person = await add_person(api, "Ada")
        claims = {"X-Remote-User": "Ada", "X-Forwarded-For": "10.0.0.5"}
        response = httpx.get(f"{api.url}/chats/", headers=claims)
        assert response.status_code == 401 and "through the proxy" in response.json()["error"]["message"]
        with pytest.raises(Refused):
            async with Socket(api.url.replace("http", "ws", 1) + "/stream/ws", **claims):
                pass
        key = {"Authorization": f"Bearer {await add_key(api, person)}"}
        assert httpx.get(f"{api.url}/chats/", headers=key).status_code == 200
