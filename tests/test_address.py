"""The address of the model's server as people paste it, and the proxy that the environment names for it."""

import pytest

from chat_app.address import is_loopback, server_address
from chat_app.config import load_settings
from chat_app.errors import SettingsError
from chat_app.proxy import BadProxy, proxy_for

V1 = "http://localhost:11434/v1"


@pytest.mark.parametrize(
    ("pasted", "address"),
    [
        (V1, V1),
        (f"  {V1}/ \n", V1),
        (f"'{V1}'", V1),
        (f'"{V1}//"', V1),
        (f"`{V1}`", V1),
        (f"<{V1}>", V1),
        (f"{V1}/chat/completions", V1),
        (f"{V1}/chat/completions/", V1),
        (f"{V1}/completions", V1),
        (f"{V1}/models", V1),
        (f"{V1}#top", V1),
        ("HTTP://localhost:11434/v1", V1),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1"),
        ("https://user:pass@example.org/v1", "https://user:pass@example.org/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("https://example.org", "https://example.org"),
        (
            "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "https://x.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
        ),
    ],
)
def test_what_people_paste_is_an_address(pasted: str, address: str) -> None:
    assert server_address(pasted) == address
    assert load_settings({"OPENAI_BASE_URL": pasted}).openai_base_url == address


@pytest.mark.parametrize(
    "pasted",
    [
        "localhost:11434/v1",
        "http://",
        "http:///v1",
        "http://localhost:99999/v1",
        "http://localhost:x/v1",
        "http://[::1/v1",
        "ftp://localhost/v1",
        "http://local host/v1",
        "http://a/v1\nb",
        "sk-12345",
        "http://:80/v1",
    ],
)
def test_what_is_no_address_stops_the_start_with_a_sentence(pasted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"OPENAI_BASE_URL": pasted})
    assert str(caught.value).startswith("The setting OPENAI_BASE_URL cannot be used: ")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "0.0.0.0"]
)
def test_this_machine_has_several_names(host: str) -> None:
    assert is_loopback(host)
    assert proxy_for(f"http://{f'[{host}]' if host == '::1' else host}:80/v1", {"http_proxy": "http://p:1"}) is None


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "10.0.0.1", "128.0.0.1", "::2", "", "127.0.0.1.nip.io"]
)
def test_others_are_not(host: str) -> None:
    assert not is_loopback(host)


PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://example.org", {}, None),
        ("https://example.org", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://example.org", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ("https://example.org", {"HTTP_PROXY": PROXY}, None),
        ("http://example.org", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://example.org", {"ALL_PROXY": PROXY}, PROXY),
        ("https://example.org", {"all_proxy": "proxy:3128"}, PROXY),
        ("https://example.org", {"ALL_PROXY": "socks://x:1", "HTTPS_PROXY": PROXY}, PROXY),
        ("https://example.org", {"HTTPS_PROXY": " "}, None),
        ("https://example.org", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("https://example.org", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a, example.org"}, None),
        ("https://api.example.org", {"HTTPS_PROXY": PROXY, "no_proxy": ".example.org"}, None),
        ("https://api.example.org", {"HTTPS_PROXY": PROXY, "no_proxy": "*.example.org"}, None),
        ("https://notexample.org", {"HTTPS_PROXY": PROXY, "no_proxy": "example.org"}, PROXY),
        ("https://example.org:444", {"HTTPS_PROXY": PROXY, "no_proxy": "example.org:443"}, PROXY),
        ("https://example.org:443", {"HTTPS_PROXY": PROXY, "no_proxy": "example.org:443"}, None),
        ("http://10.1.2.3/v1", {"http_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/v1", {"http_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, PROXY),
        ("http://[fd00::1]:80/v1", {"http_proxy": PROXY, "no_proxy": "[fd00::1]"}, None),
        ("http://[fd00::1]:80/v1", {"http_proxy": PROXY, "no_proxy": "[fd00::1]:80,fe80::/10"}, None),
        ("http://[fd00::1]/v1", {"http_proxy": PROXY, "no_proxy": "fd00::/8"}, None),
        ("http://example.org", {"http_proxy": PROXY, "no_proxy": "[::1],10.0.0.0/8,:,//,[,*.,300.1.1.1/99"}, PROXY),
    ],
)
def test_the_proxy_of_the_environment(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(url, environ) == proxy


BAD_PROXIES = [
    "socks://127.0.0.1:1080",
    "socks4://x:1",
    "http://",
    "http://proxy:99999",
    "http://pro xy:1",
    "://",
    "ftp://x",
]


@pytest.mark.parametrize("value", BAD_PROXIES)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_stops_the_start_with_a_sentence(value: str, name: str) -> None:
    with pytest.raises(BadProxy):
        proxy_for("https://example.org/v1", {name: value})
    for model in ({"OPENAI_API_KEY": "sk-1"}, {"OPENAI_BASE_URL": "https://example.org/v1"}):
        with pytest.raises(SettingsError) as caught:
            load_settings(model | {name: value})
        assert str(caught.value).startswith(f"The setting {name} cannot be used: use an address such as http://")
        assert "NO_PROXY" in str(caught.value)


@pytest.mark.parametrize("value", BAD_PROXIES)
def test_where_none_is_needed_a_bad_proxy_stops_nothing(value: str) -> None:
    for model in ({}, {"OPENAI_BASE_URL": V1}, {"OPENAI_BASE_URL": "http://127.1.1.1/v1"}, {"REPLIES": "a:b"}):
        load_settings(model | {"ALL_PROXY": value, "http_proxy": value, "NO_PROXY": "[::1],10.0.0.0/8"})
    load_settings({"OPENAI_API_KEY": "sk-1", "ALL_PROXY": value, "NO_PROXY": "api.openai.com"})
