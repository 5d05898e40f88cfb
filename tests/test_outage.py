"""A database that fails for a moment ends nothing that is followed on a websocket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import Api
from tests.outage import outage
from tests.provider_client import Provider, script
from tests.ws_client import Socket

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path, provider: Provider) -> Iterator[Api]:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as api:
        yield api


async def test_what_is_followed_on_a_websocket_outlives_a_failure_of_the_database(api: Api, provider: Provider) -> None:
    internal = {"code": "internal_error", "retryable": True}
    async with Socket(f"{api.url}/stream/ws") as socket:
        await socket.send({"content": script(tokens=6, hold=[3])})
        turn = await socket.receive()
        # By then the answer is under way: what it needs of the database has been read.
        while "tok2" not in (await socket.receive())["delta"]:
            pass
        with outage(api.folder):
            for command in (
                {"content": "Another?"},
                {"content": "Here?", "chat_id": turn["chat_id"]},
                {"resume": {"turn_id": "unknown"}},
                {"stop": "unknown"},
            ):
                await socket.send(command)
                while "error" not in (told := await socket.receive()):
                    assert told["turn_id"] == turn["turn_id"]
                assert internal.items() <= told["error"].items()
        provider.go()
        *_, end = await socket.until("finish_reason")
        assert (end["turn_id"], end["finish_reason"]) == (turn["turn_id"], "stop")
        await socket.send({"content": script(tokens=1)})
        *_, end = await socket.until("finish_reason")
        assert end["turn_id"] != turn["turn_id"]
    assert "a command of a websocket failed" in api.logged()
