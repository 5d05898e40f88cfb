"""API keys in the Python client and in the terminal, against a server with accounts."""

import asyncio
from collections.abc import Iterator

import pytest

from chat_app.caller import Scope
from chat_app.client import ChatClient, ClientError, SyncChatClient, Text
from chat_app.client.__main__ import FAILED, parser, run
from tests.forked import Api
from tests.people import add_key, add_person
from tests.provider_client import Provider, script

pytestmark = pytest.mark.anyio
HOW = "Make one on the server's page /account"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("keys")
    with Api(folder, auth="password", openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


@pytest.fixture(scope="module")
async def keys(api: Api, anyio_backend: str) -> dict[Scope, str]:
    ada = await add_person(api, "Ada")
    return {scope: await add_key(api, ada, scope) for scope in Scope}


async def said(client: ChatClient) -> str:
    return "".join([event.text async for event in client.stream(script(text="Hello Ada")) if isinstance(event, Text)])


async def test_the_client_sends_a_key(api: Api, keys: dict[Scope, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatClient(api.url, api_key=keys[Scope.chat], measures=True) as client:
        assert await said(client) == "Hello Ada"
        assert len(await client.chats()) == 1
    with pytest.raises(ClientError) as refused:
        async with ChatClient(api.url, api_key=keys[Scope.read]) as client:
            await said(client)
    assert refused.value.code == "read_only" and "`chat`" in refused.value.message
    monkeypatch.setenv("RILL_API_KEY", keys[Scope.chat] + "\n")
    async with ChatClient(api.url) as client:
        assert await said(client) == "Hello Ada"

    def without_await() -> str:
        with SyncChatClient(api.url, api_key=keys[Scope.chat]) as client:
            return client.send(script(text="Hello Ada")).content

    assert await asyncio.to_thread(without_await) == "Hello Ada"


@pytest.mark.parametrize(
    ("key", "begins"), [("", "The server needs an API key."), ("rill_x", "The server does not know")]
)
async def test_a_401_says_how_to_get_one(api: Api, key: str, begins: str) -> None:
    async with ChatClient(api.url, api_key=key) as client:
        for asked in (said(client), client.send("Hello"), client.chats()):
            with pytest.raises(ClientError) as refused:
                await asked
            error = refused.value
            assert (error.code, error.status, error.retryable) == ("not_signed_in", 401, False)
            assert error.message.startswith(begins) and HOW in error.message


@pytest.mark.parametrize("key", ["rill x", "rill_\u00e9", "rill_\n"])
def test_what_can_be_no_key_is_told_before_it_is_sent(key: str) -> None:
    with pytest.raises(ClientError) as refused:
        ChatClient(api_key=key)
    assert refused.value.code == "bad_key"


async def test_the_terminal_reads_the_key_from_the_environment(
    api: Api, keys: dict[Scope, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def terminal() -> int:
        return run(parser("rill chat").parse_args([script(text="Hello Ada"), "--url", api.url]))

    monkeypatch.delenv("RILL_API_KEY", raising=False)
    assert await asyncio.to_thread(terminal) == FAILED
    assert HOW in capsys.readouterr().err
    monkeypatch.setenv("RILL_API_KEY", keys[Scope.chat])
    assert await asyncio.to_thread(terminal) == 0
    assert capsys.readouterr().out == "Hello Ada\n"
