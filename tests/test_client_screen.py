"""What the terminal client shows of what others wrote, and how a proxy and a redirect are taken."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.client import ChatClient, ClientError
from chat_app.client.address import is_loopback, proxy_for
from chat_app.client.screen import CONTROLS, DIRECTIONS, Cleaner, clean
from chat_app.config import ROOT
from tests.app import App, free_port
from tests.listening import listening
from tests.provider_client import script

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# Text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("é 👩‍👧 שלום \u200f", "é 👩‍👧 שלום \u200f"),
        ("\x1b[2J\x1b[H", "\ufffd[2J\ufffd[H"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("\x1b]8;;http://x\x1b\\y", "\ufffd]8;;http://x\ufffd\\y"),
        ("\x9b31m\x90q\x9c\x85", "\ufffd31m\ufffdq\ufffd\ufffd"),
        ("one\r\ntwo\rthree", "one\ntwo\ufffdthree"),
        ("\b\x7f\0\v\f", "\ufffd" * 5),
        ("a\u202eb\u2066c\u2069", "abc"),
    ],
    ids=ascii,
)
def test_what_is_shown_cannot_steer_the_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown
    cleaner = Cleaner()
    assert "".join(map(cleaner, text)) == shown


@given(st.lists(st.text(st.characters() | st.sampled_from("\r\n\x1b\x9b[")), max_size=6))
def test_no_cut_lets_anything_through(pieces: list[str]) -> None:
    cleaner = Cleaner()
    shown = "".join(map(cleaner, [*pieces, "\n"]))
    assert shown == clean("".join(pieces) + "\n")
    assert not CONTROLS.search(shown) and not DIRECTIONS.search(shown)


# Servers that are not what they should be


@asynccontextmanager
async def server(answer: bytes, asked: list[bytes]) -> AsyncIterator[str]:
    """Gives this answer to every request; `asked` gets what came in."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


async def terminal(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """The program in a pipe: its exit code, stdout and stderr."""
    command = [sys.executable, "-m", "chat_app.client", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=os.environ | {"TERM": "dumb"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.anyio
async def test_the_sentence_of_a_server_cannot_steer_the_terminal() -> None:
    body = rb'{"error":{"code":"x","message":"No\u001b]0;pwned\u0007 \u202eyes\u009b2J.","retryable":false}}'
    answer = b"HTTP/1.1 418 I am\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with server(answer + body, []) as url:
        assert await terminal("--url", url, "Hi") == (1, "", "No\ufffd]0;pwned\ufffd yes\ufffd2J.\n")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"])
@pytest.mark.parametrize("target", ["{other}/stream/", "//evil.example/x", "https://u:p@evil.example", "http://[::"])
async def test_a_redirect_is_not_followed_with_the_conversation(status: bytes, target: str) -> None:
    asked: list[bytes] = []
    async with server(b"", asked) as other:
        location = target.replace("{other}", other).encode()
        answer = b"HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location)
        async with server(answer, []) as url, ChatClient(url) as client:
            with pytest.raises(ClientError, match="give its address") as streamed:
                [event async for event in client.stream("secret")]
            with pytest.raises(ClientError, match="give its address"):
                await client.send("secret")
    assert (streamed.value.code, streamed.value.retryable) == ("redirected", False)
    assert "u:p" not in str(streamed.value)
    assert asked == []


# Proxies


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "rill.localhost", "127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::ffff:127.0.0.1"],
)
def test_this_machine_is_reached_without_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://bad")
    assert is_loopback(host)
    assert proxy_for(httpx.URL(scheme="http", host=host)) is None


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "localhost.example.org", "128.0.0.1", "fe80::1"])
def test_other_machines_are_reached_through_it(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example.org:3128")
    proxy = proxy_for(httpx.URL(scheme="http", host=host))
    assert proxy and proxy.url == "http://proxy.example.org:3128"
    assert proxy_for(httpx.URL(scheme="https", host=host)) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "excepted"),
    [
        ("*", "example.org", True),
        ("example.org", "example.org", True),
        ("example.org", "chat.example.org", True),
        (".example.org", "chat.example.org", True),
        ("*.example.org", "chat.example.org", True),
        ("example.org", "badexample.org", False),
        ("a, example.org:8080 ,b", "example.org", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("[fe80::1]", "fe80::1", True),
        ("[fe80::1]:80", "fe80::1", True),
        ("fe80::/10", "fe80::1", True),
        ("[::1],,; ,ü.de,/,http://x,[", "example.org", False),
        ("", "example.org", False),
    ],
)
def test_no_proxy_is_read_as_it_is_written(
    no_proxy: str, host: str, excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (proxy_for(httpx.URL(scheme="http", host=host)) is None) == excepted


@pytest.mark.parametrize(
    "proxy",
    ["socks://127.0.0.1:9", "socks4://x", "://", "http://", "http://[bad", "http://a:99999999", "ftp://x", "a b:x"],
)
def test_a_proxy_that_cannot_be_used_is_a_sentence(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY" if proxy.startswith("http") else "ALL_PROXY", proxy)
    with pytest.raises(ClientError, match="proxy that cannot be used") as bad:
        ChatClient("http://chat.example.org")
    assert bad.value.code == "bad_proxy"


def test_socks_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ClientError, match="socksio") as bad:
        ChatClient("http://chat.example.org")
    assert bad.value.code == "bad_proxy"


@pytest.mark.anyio
async def test_a_proxy_gets_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    async with server(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", asked) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        async with ChatClient("http://chat.example.org") as client:
            with pytest.raises(ClientError, match="403"):
                await client.send("Hi")
    assert asked[0].startswith(b"POST http://chat.example.org/messages/ HTTP/1.1\r\n")


@pytest.mark.anyio
async def test_the_terminal_reaches_this_machine_whatever_the_environment_says(app: App) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    odd = {"HTTP_PROXY": dead, "http_proxy": dead, "ALL_PROXY": "socks://x", "NO_PROXY": "[::1],10.0.0.0/8"}
    assert await terminal("--url", app.url, script(text="Hello"), **odd) == (0, "Hello\n", "")
    code, out, err = await terminal("--url", "http://chat.example.org", "Hi", ALL_PROXY="socks://x")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "proxy" in err and "Traceback" not in err
