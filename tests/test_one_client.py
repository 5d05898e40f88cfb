"""One client that asks for hundreds of answers at once: the others are answered meanwhile. How soon is a figure."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming
from tests.ws_client import Socket

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TURNS = 300
ASKED = 20


async def test_hundreds_of_turns_of_one_socket_leave_others_their_answers(
    provider: Provider, tmp_path: Path, figure: Callable[[object], None]
) -> None:
    settings = {"limit_turns_all": str(TURNS + 1), "limit_followers": str(TURNS), "openai_model": "bench"}
    with Api(tmp_path, openai_base_url=provider.base_url, **settings) as api:
        async with Socket(f"{api.url}/stream/ws") as socket, api.client() as client:
            for _ in range(TURNS):
                await socket.send({"content": script(tokens=-1, interval_ms=200)})
            begun: set[str] = set()
            while len(begun) < TURNS:
                begun.add((await socket.receive())["turn_id"])
            before = os.times()
            waits = []
            for _ in range(ASKED):
                # Nobody reads the socket meanwhile: a client that takes nothing is worse than one that does.
                asked = time.monotonic()
                async with streaming(client, "POST", "/stream/", json={"content": script(tokens=2)}) as stream:
                    await stream.next()
                    await stream.next()
                    waits.append((time.monotonic() - asked) * 1000)
                    await stream.rest()
            after = os.times()
            refused = await client.post("/messages/", json={"content": "Answered too"})
            assert refused.status_code == 200
        figure(
            f"beside {TURNS} running turns of one socket: first token p50 {statistics.median(waits):.0f} ms, "
            f"slowest {max(waits):.0f} ms of {ASKED}, in {after.elapsed - before.elapsed:.1f} s"
        )


async def test_beyond_the_limit_one_socket_gets_no_more(provider: Provider, tmp_path: Path) -> None:
    settings = {"limit_turns_all": "100", "limit_followers": str(TURNS), "openai_model": "bench"}
    with Api(tmp_path, openai_base_url=provider.base_url, **settings) as api:
        async with Socket(f"{api.url}/stream/ws") as socket, api.client() as client:
            for _ in range(TURNS):
                await socket.send({"content": script(tokens=-1, hold=[0])})
            begun: set[str] = set()
            refused = 0
            while len(begun) + refused < TURNS:
                given = await socket.receive()
                refused += given.get("error", {}).get("code") == "too_many_turns"
                begun |= {given["turn_id"]} if "turn_id" in given else set()
            assert (len(begun), refused) == (100, TURNS - 100)
            for turn in begun:
                assert (await client.post(f"/stream/{turn}/stop")).status_code == 200
            assert (await client.post("/messages/", json={"content": "There is room again"})).status_code == 200
