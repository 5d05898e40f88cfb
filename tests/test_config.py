"""Settings: what is read, what stops the start and how it says so, and the rules that are made of them."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from chat_app.config import ROOT, Settings, load_settings
from chat_app.errors import SettingsError
from chat_app.periods import Period
from chat_app.rates import rates

SESSIONS = [f"session-{n}" for n in range(10_000)]


def refused(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value)


# Reading


def test_without_any_setting_the_app_serves_the_embedded_model_to_this_machine() -> None:
    settings = load_settings({})
    assert (settings.host, settings.port, settings.url) == ("127.0.0.1", 3000, "http://127.0.0.1:3000")
    assert settings.embedded
    assert settings.feature_streaming == 1
    assert settings.database_url == f"sqlite:///{ROOT}/data/chat.db"
    assert settings.max_message_chars == 32_000
    assert (settings.first_token_timeout, settings.next_token_timeout) == (120, 60)
    assert settings.cors_allowed_origins == settings.allowed_hosts == ()
    assert settings.openai_model is None
    assert settings.local_model_path is None
    assert (settings.database_pool_size, settings.database_timeout, settings.database_wait) == (10, 10, 30)
    assert settings.log_format == "text"


def test_every_setting_can_be_set() -> None:
    settings = load_settings(
        {
            "HOST": "0.0.0.0",
            "PORT": "8080",
            "ALLOWED_HOSTS": "chat.example.org, other.example.org",
            "CORS_ALLOWED_ORIGINS": "https://example.org/, http://localhost:5173",
            "DATABASE_URL": "postgresql://user:password@host/name",
            "OPENAI_API_KEY": "sk-secret",
            "OPENAI_BASE_URL": "https://llm.example.org/v1",
            "OPENAI_MODEL": "some-model",
            "SYSTEM_PROMPT": "Be brief.",
            "FEATURE_STREAMING": "25%",
            "LOCAL_MODEL_PATH": "/models/some.gguf",
            "MAX_MESSAGE_CHARS": "10",
            "MAX_ANSWER_CHARS": "100",
            "MAX_CONTEXT_CHARS": "1000",
            "MAX_EVENT_BYTES": "2000",
            "FIRST_TOKEN_TIMEOUT": "1.5",
            "LIMIT_REQUESTS": "60/minute, 1000/hour",
            "LIMIT_TURNS": "2",
            "LIMIT_TURNS_ALL": "50",
            "LIMIT_TOKENS": "100000/day",
            "LIMIT_COST": "0.5/day, 10/month",
            "LIMIT_CONNECTIONS": "20",
            "LIMIT_FOLLOWERS": "10",
            "LIMIT_MESSAGES": "10/second",
            "LIMIT_MESSAGE_BYTES": "5000",
            "NEXT_TOKEN_TIMEOUT": "2",
            "SHUTDOWN_GRACE": "0.5",
            "DATABASE_POOL_SIZE": "5",
            "DATABASE_TIMEOUT": "2.5",
            "DATABASE_WAIT": "0",
            "LOG_FORMAT": "json",
        }
    )
    assert settings == Settings(
        limit_requests=rates("60/minute, 1000/hour"),
        limit_turns=2,
        limit_turns_all=50,
        limit_tokens={Period.day: 100_000.0},
        limit_cost={Period.day: 0.5, Period.month: 10.0},
        limit_connections=20,
        limit_followers=10,
        limit_messages=rates("10/second"),
        limit_message_bytes=5_000,
        host="0.0.0.0",
        port=8080,
        allowed_hosts=("chat.example.org", "other.example.org"),
        cors_allowed_origins=("https://example.org", "http://localhost:5173"),
        database_url="postgresql://user:password@host/name",
        openai_api_key=SecretStr("sk-secret"),
        openai_base_url="https://llm.example.org/v1",
        openai_model="some-model",
        system_prompt="Be brief.",
        feature_streaming="25%",
        local_model_path=Path("/models/some.gguf"),
        max_message_chars=10,
        max_answer_chars=100,
        max_context_chars=1_000,
        max_event_bytes=2_000,
        first_token_timeout=1.5,
        next_token_timeout=2,
        shutdown_grace=0.5,
        database_pool_size=5,
        database_timeout=2.5,
        database_wait=0,
        log_format="json",
    )


def test_empty_is_unset() -> None:
    unset = {name.upper(): "" for name in Settings.model_fields if name != "system_prompt"}
    assert load_settings(unset) == load_settings({})


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_system_prompt_is_none(empty: str) -> None:
    assert load_settings({"SYSTEM_PROMPT": empty}).system_prompt == ""
    assert load_settings({}).system_prompt


def test_spaces_and_line_ends_around_a_value_are_no_part_of_it() -> None:
    """A key that was read from a file often ends in one, and no request could be sent with it."""
    settings = load_settings(
        {"OPENAI_API_KEY": " sk-secret\n", "OPENAI_BASE_URL": "http://localhost:1/v1 ", "PORT": "  "}
    )
    assert settings.openai_api_key == SecretStr("sk-secret")
    assert settings.openai_base_url == "http://localhost:1/v1"
    assert settings.port == 3000


def test_unknown_variables_are_ignored() -> None:
    assert load_settings({"PATH": "/bin", "PORTS": "x"}) == load_settings({})


def test_the_real_environment_is_read() -> None:
    code = "from chat_app.config import load_settings; print(load_settings().port)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PORT": "1234"}, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "1234"


@pytest.mark.parametrize(
    ("environ", "embedded"),
    [
        ({}, True),
        ({"OPENAI_MODEL": "m"}, True),
        ({"OPENAI_API_KEY": ""}, True),
        ({"OPENAI_API_KEY": "sk"}, False),
        ({"OPENAI_BASE_URL": "http://localhost:8000/v1"}, False),
    ],
)
def test_the_embedded_model_serves_without_key_and_base_url(environ: dict[str, str], embedded: bool) -> None:
    assert load_settings(environ).embedded is embedded


# Refusing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "web"),
        ("PORT", "80.5"),
        ("MAX_MESSAGE_CHARS", "0"),
        ("MAX_MESSAGE_CHARS", "many"),
        ("OPENAI_MODEL", "gpt\x07"),
        ("OPENAI_MODEL", "gpt\u202e-4"),
        ("OPENAI_MODEL", "gpt\u200b-4"),
        ("MAX_ANSWER_CHARS", "0"),
        ("MAX_ANSWER_CHARS", "4 MB"),
        ("MAX_EVENT_BYTES", "999"),
        ("MAX_EVENT_BYTES", "-1"),
        ("MAX_EVENT_BYTES", "8M"),
        ("MAX_EVENT_BYTES", "1e6"),
        ("MAX_EVENT_BYTES", "99999999999"),
        ("LIMIT_REQUESTS", "60"),
        ("LIMIT_REQUESTS", "0/minute"),
        ("LIMIT_REQUESTS", "60/fortnight"),
        ("LIMIT_TURNS", "0"),
        ("LIMIT_TOKENS", "100000"),
        ("LIMIT_TOKENS", "100000/hour"),
        ("LIMIT_COST", "nan/day"),
        ("LIMIT_COST", "-5/day"),
        ("LIMIT_COST", "5 dollars/day"),
        ("LIMIT_MESSAGES", "often"),
        ("FIRST_TOKEN_TIMEOUT", "0"),
        ("FIRST_TOKEN_TIMEOUT", "inf"),
        ("FIRST_TOKEN_TIMEOUT", "nan"),
        ("NEXT_TOKEN_TIMEOUT", "-1"),
        ("NEXT_TOKEN_TIMEOUT", "inf"),
        ("FEATURE_STREAMING", "maybe"),
        ("FEATURE_STREAMING", "0.25"),
        ("FEATURE_STREAMING", "101%"),
        ("FEATURE_STREAMING", "-1%"),
        ("FEATURE_STREAMING", "nan%"),
        ("FEATURE_STREAMING", "%"),
        ("CORS_ALLOWED_ORIGINS", "example.org"),
        ("CORS_ALLOWED_ORIGINS", "https://example.org/path"),
        ("CORS_ALLOWED_ORIGINS", "https://good.example, bad"),
        ("OPENAI_BASE_URL", "localhost:8000/v1"),
        ("OPENAI_API_KEY", "sk-with-…-ellipsis"),
        ("OPENAI_API_KEY", "two words"),
        ("DATABASE_URL", "mysql://user:password@host/name"),
        ("DATABASE_URL", "chat.db"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence_that_names_it(name: str, value: str) -> None:
    sentence = refused(**{name: value})
    assert sentence.startswith(f"The setting {name}")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    shown = name not in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL")
    assert (value in sentence) is shown


def test_no_secret_is_ever_shown() -> None:
    """A refused address may hold a password, and other settings are refused beside a key."""
    for sentence in (
        refused(DATABASE_URL="mysql://user:hunter2@host/name"),
        refused(OPENAI_BASE_URL="user:hunter2@host"),
        refused(OPENAI_API_KEY="hunter2 hunter2"),
        refused(OPENAI_API_KEY="hunter2", PORT="x"),
    ):
        assert "hunter2" not in sentence
    assert "hunter2" not in repr(load_settings({"OPENAI_API_KEY": "hunter2"}))


def test_the_reason_says_what_to_write_instead() -> None:
    assert "25%" in refused(FEATURE_STREAMING="some")
    assert "sqlite:///" in refused(DATABASE_URL="chat.db")
    assert "https://example.org" in refused(CORS_ALLOWED_ORIGINS="example.org")
    assert "http://" in refused(OPENAI_BASE_URL="localhost")


# FEATURE_STREAMING


@pytest.mark.parametrize(
    ("value", "share"),
    [
        *itertools.product(["true", "True", "1", "on", "YES", "100%"], [1.0]),
        *itertools.product(["false", "FALSE", "0", "off", "no", "0%"], [0.0]),
        ("25%", 0.25),
        (" 12.5% ", 0.125),
    ],
)
def test_feature_streaming_is_yes_no_or_a_share(value: str, share: float) -> None:
    assert load_settings({"FEATURE_STREAMING": value}).feature_streaming == share


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("false", False)])
def test_all_or_none_is_for_every_session(value: str, expected: bool) -> None:
    settings = load_settings({"FEATURE_STREAMING": value})
    assert {settings.streams(session) for session in ["", *SESSIONS]} == {expected}


@pytest.mark.parametrize("percent", [1, 25, 50, 90])
def test_a_share_is_that_share_of_the_sessions(percent: int) -> None:
    settings = load_settings({"FEATURE_STREAMING": f"{percent}%"})
    streaming = sum(settings.streams(session) for session in SESSIONS) / len(SESSIONS)
    assert abs(streaming - percent / 100) < 0.02


def test_a_session_keeps_its_side_also_in_another_process_and_when_the_share_grows() -> None:
    quarter, half = load_settings({"FEATURE_STREAMING": "25%"}), load_settings({"FEATURE_STREAMING": "50%"})
    chosen = [session for session in SESSIONS if quarter.streams(session)]
    assert all(half.streams(session) for session in chosen)
    # Written down: what a session gets may not change with a new version or a new process.
    assert [quarter.streams(f"session-{n}") for n in range(8)] == [True, *[False] * 7]


# Hosts and origins


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LOCALHOST:3000",
        "127.0.0.1",
        "127.0.0.1:3000",
        "192.168.1.20:3000",
        "[::1]",
        "[::1]:3000",
        "[fe80::1]:3000",
    ],
)
def test_localhost_and_addresses_in_digits_are_ours(host: str) -> None:
    assert load_settings({}).knows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127.0.0.1",
        "[evil.example]:3000",
        "localhost, evil.example",
    ],
)
def test_a_foreign_name_is_not_ours(host: str) -> None:
    assert not load_settings({}).knows_host(host)


@pytest.mark.parametrize("host", ["chat.example.org", "chat.example.org:443", "Chat.Example.org"])
@pytest.mark.parametrize("setting", ["HOST", "ALLOWED_HOSTS"])
@pytest.mark.parametrize("value", ["chat.example.org", "Chat.example.ORG"])
def test_a_name_is_ours_once_it_is_set(setting: str, value: str, host: str) -> None:
    settings = load_settings({setting: value})
    assert settings.knows_host(host)
    assert not settings.knows_host(f"evil.{host}")
    assert not settings.knows_host("example.org")


def test_origins_are_our_own_and_the_allowed() -> None:
    settings = load_settings({"PORT": "8080", "CORS_ALLOWED_ORIGINS": "https://example.org"})
    assert set(settings.origins) == {"http://127.0.0.1:8080", "http://localhost:8080", "https://example.org"}


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("https://Example.org", "https://example.org"),
        ("https://example.org:443/", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[0:0::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_allowed_origin_is_kept_as_browsers_write_it(value: str, origin: str) -> None:
    assert load_settings({"CORS_ALLOWED_ORIGINS": value}).cors_allowed_origins == (origin,)
    assert load_settings({"PORT": "80"}).origins == ("http://127.0.0.1", "http://localhost")


@pytest.mark.parametrize("host", ["chat.example.org", "chat.example.org.", "CHAT.example.org:8443", "bücher.example"])
def test_a_host_may_be_allowed_in_any_spelling(host: str) -> None:
    settings = load_settings({"ALLOWED_HOSTS": host})
    name = "xn--bcher-kva.example" if host.startswith("b") else "chat.example.org"
    assert settings.allowed_hosts == (name,)
    assert settings.knows_host(f"{name}.:443")


@pytest.mark.parametrize("path", ["/rill", "rill/", "/a/b", "https://example.org/rill"])
def test_a_path_to_serve_below_stops_the_start(path: str) -> None:
    with pytest.raises(SettingsError, match=r"BASE_PATH=.*a host of its own.*\.$"):
        load_settings({"BASE_PATH": path})


@pytest.mark.parametrize("path", ["", "/"])
def test_the_top_is_no_path(path: str) -> None:
    assert load_settings({"BASE_PATH": path}).base_path == "/"


@pytest.mark.parametrize("host", ["https://chat.example.org", "*", "*.example.org", "a b", "chat.example.org/rill"])
def test_what_is_no_host_name_stops_the_start(host: str) -> None:
    with pytest.raises(SettingsError, match=r"ALLOWED_HOSTS.*is no host name"):
        load_settings({"ALLOWED_HOSTS": host})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("0.0.0.0", "http://127.0.0.1:3000"),
        ("::", "http://127.0.0.1:3000"),
        ("::1", "http://[::1]:3000"),
        ("chat.lan", "http://chat.lan:3000"),
    ],
)
def test_the_address_to_open_is_one_that_a_browser_can_open(host: str, url: str) -> None:
    assert load_settings({"HOST": host}).url == url
    assert url in load_settings({"HOST": host}).origins
