"""AUTH: no server that others can reach starts without a word on who may use it."""

import pytest
from starlette.types import Scope

from chat_app.config import load_settings
from chat_app.errors import SettingsError
from chat_app.own_pages import RESERVED
from chat_app.peers import Peers
from chat_app.people.accounts import key_of
from chat_app.people.addresses import own_address
from chat_app.people.pages import PAGES, ROUTES

DISCOVERY = ".well-known/openid-configuration"


def refused(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ).check_auth()
    return str(caught.value)


@pytest.mark.parametrize(
    "reached",
    [
        {"HOST": "0.0.0.0"},
        {"HOST": "::"},
        {"HOST": "192.168.1.2"},
        {"HOST": "chat.example.org"},
        {"ALLOWED_HOSTS": "localhost, chat.example.org"},
        {"CORS_ALLOWED_ORIGINS": "http://localhost:5173, https://example.org"},
        {"CORS_ALLOWED_ORIGINS": "https://localhost.example.org"},
    ],
)
def test_where_others_can_reach_it_auth_is_needed(reached: dict[str, str]) -> None:
    [(name, value)] = reached.items()
    sentence = refused(**reached)
    assert sentence.startswith(f"With {name}={value.rpartition(', ')[2]} others can reach this server: set AUTH=")
    assert sentence.endswith(".") and "\n" not in sentence
    for auth in ("password", "none"):
        load_settings(reached | {"AUTH": auth}).check_auth()


@pytest.mark.parametrize(
    "alone",
    [
        {},
        {"HOST": "localhost"},
        {"HOST": "::1"},
        {"HOST": "127.0.0.9"},
        {"ALLOWED_HOSTS": "rill.localhost, 127.0.0.1"},
        {"CORS_ALLOWED_ORIGINS": "http://localhost:5173, http://[::1]:80"},
    ],
)
def test_one_person_on_this_machine_needs_none(alone: dict[str, str]) -> None:
    settings = load_settings(alone)
    settings.check_auth()
    assert settings.auth is None and not settings.accounts


def test_a_proxy_is_named() -> None:
    assert "set TRUSTED_PROXIES" in refused(AUTH="proxy")
    load_settings({"AUTH": "proxy", "TRUSTED_PROXIES": "10.0.0.5, fd00::/8"}).check_auth()


def test_a_provider_is_named() -> None:
    assert "set OIDC_ISSUER" in refused(AUTH="oidc")
    assert "OIDC_CLIENT_ID" in refused(AUTH="oidc", OIDC_ISSUER="https://sso.example.org")
    given = {"AUTH": "oidc", "OIDC_CLIENT_ID": "rill", "OIDC_CLIENT_SECRET": "hush", "OIDC_SCOPES": "email, groups"}
    for issuer in ("https://sso.example.org/realms/home/", "https://sso.example.org/realms/home/" + DISCOVERY):
        settings = load_settings(given | {"OIDC_ISSUER": issuer})
        settings.check_auth()
        assert settings.oidc_issuer == "https://sso.example.org/realms/home"
    assert settings.oidc_scopes == "openid email groups" and "hush" in settings.secrets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH", "passwords"),
        ("OIDC_ISSUER", "http://sso.example.org"),
        ("OIDC_ISSUER", "sso.example.org"),
        ("OIDC_ISSUER", "https://sso.example.org/?realm=x"),
        ("OIDC_ADMIN", "ada"),
        ("OIDC_ALLOWED", "groups="),
        ("TRUSTED_PROXIES", "proxy.example.org"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("AUTH_HEADER", "X Remote"),
        ("AUTH_HEADER", "X-Remote:"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    assert refused(**{name: value}).startswith(f"The setting {name}={value.split(',')[0]}"[:20])


# Where a request is from


def scope(peer: str | None, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"type": "http", "client": (peer, 1) if peer else None, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("::ffff:127.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", ["6.6.6.6, 1.1.1.1, 127.0.0.2"], "1.1.1.1"),
        ("127.0.0.1", ["6.6.6.6, evil"], "127.0.0.1"),
        ("127.0.0.1", ["1.1.1.1:4321"], "1.1.1.1"),
        ("127.0.0.1", ["[2001:db8::1]:4321"], "2001:db8::1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        (None, ["1.1.1.1"], "unknown"),
    ],
)
def test_only_proxies_say_whom_they_serve(peer: str | None, forwarded: list[str], address: str) -> None:
    assert Peers().address(scope(peer, *forwarded)) == address


def test_where_a_proxy_is_named_this_machine_is_none() -> None:
    peers = Peers(["10.0.0.0/8"])
    assert peers.is_proxy(scope("10.1.2.3")) and not peers.is_proxy(scope("127.0.0.1"))
    assert peers.address(scope("10.1.2.3", "1.1.1.1")) == "1.1.1.1"
    assert peers.address(scope("127.0.0.1", "1.1.1.1")) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", [], "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("127.0.0.1", ["2001:db8:1:2::1"], "2001:db8:1:2::/64"),
        ("::1", [], "::1"),
        (None, [], "unknown"),
    ],
)
def test_who_has_an_ipv6_address_has_its_network(peer: str | None, forwarded: list[str], network: str) -> None:
    assert Peers().network(scope(peer, *forwarded)) == network


# Small things


@pytest.mark.parametrize("address", ["/", "/c/x", "/c/x?y=1#z", "/insights", "/account", "/c/é"])
def test_an_address_of_ours_is_gone_back_to(address: str) -> None:
    assert own_address(address) == address


def test_names_are_compared_as_people_do() -> None:
    assert key_of(" ADA ") == key_of("ada") == key_of("\uff21da")
    assert key_of("Å") == key_of("A\u030a") == key_of("å")
    assert key_of("ada") != key_of("adà")


def test_no_page_of_one_s_own_takes_an_address_of_accounts() -> None:
    assert PAGES <= RESERVED
    assert {route.path.split("/")[1] for route in ROUTES} == PAGES
