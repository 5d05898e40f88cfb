"""The exact bytes of our streams, read by the clients that people use: none may read anything else than the others."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
from openai import APIError, AsyncOpenAI, AsyncStream
from openai._streaming import SSEDecoder
from playwright.async_api import Browser, Page

from tests.forked import Api
from tests.npm import npm_install
from tests.provider import EMOJI, SEPARATORS
from tests.provider_client import Provider, script

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PING = b": ping\n"
PING_S = 0.1
EVENTSOURCE_PARSER = "eventsource-parser@4.1.3"
SIZES = [1, 7, 1_000_000]
"""Of the pieces in which a parser gets the bytes."""

Block = tuple[str, str, str]
"""An event's id, its name and its data."""

TEXT = SEPARATORS + EMOJI + "tok2 tok3 tok4 "
ANSWER = {"tokens": 3, "separators": True, "split_emoji": True}
PAUSES = {"first_ms": 350, "interval_ms": 250}
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("", ANSWER),
    "ids": ("?ids=1", ANSWER),
    "heartbeats": ("", ANSWER | PAUSES),
    "heartbeats and ids": ("?ids=1", ANSWER | PAUSES),
    "error": ("", ANSWER | {"drop_after": 5}),
    "error, heartbeats and ids": ("?ids=1", ANSWER | PAUSES | {"drop_after": 5}),
    "reasoning": ("?ids=1&include=reasoning", ANSWER | {"reasoning": ["hm\n\n", "so"]}),
}


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("interop")
    with Api(folder, openai_base_url=provider.base_url, openai_model="bench", ping_s=str(PING_S)) as api:
        yield api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


@pytest.fixture(scope="module")
def recorded(api: Api) -> dict[str, bytes]:
    """The bytes of each of STREAMS, as they came."""
    return {
        name: api.http.post(f"/stream/{query}", json={"content": script(**keys)}).raise_for_status().content
        for name, (query, keys) in STREAMS.items()
    }


def check(blocks: list[Block], name: str) -> None:
    """Whether a client has read what was sent."""
    query, keys = STREAMS[name]
    user, *pieces, end, done = blocks
    assert json.loads(user[2]) == {"role": "user", "delta": script(**keys)}
    answer = [json.loads(data)["delta"] for _, event, data in pieces if event == "message"]
    thoughts = [json.loads(data)["delta"] for _, event, data in pieces if event == "reasoning"]
    assert "".join(answer) == TEXT
    assert "".join(thoughts) == "".join(keys.get("reasoning", []))
    assert done[1:] == ("message", "[DONE]")
    last = json.loads(end[2])
    if "drop_after" in keys:
        assert (end[1], last["error"]["code"]) == ("error", "provider_error")
    else:
        assert (end[1], last["finish_reason"]) == ("message", "stop")
    check_ids([id for id, _, _ in blocks], "ids" in query)


def check_ids(ids: list[str], wanted: bool) -> None:
    if not wanted:
        assert set(ids) == {""}
        return
    assert len({id.rpartition(":")[0] for id in ids}) == 1
    numbers = [int(id.rpartition(":")[2]) for id in ids]
    assert numbers == sorted(numbers) and numbers[0] == 0


# Parsers, fed with pieces of any size


def by_httpx_sse(data: bytes, size: int) -> list[Block]:
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=iter(pieces(data, size)))
    return [(one.id, one.event, one.data) for one in httpx_sse.EventSource(response).iter_sse()]


def by_openai(data: bytes, size: int) -> list[Block]:
    decoded = SSEDecoder().iter_bytes(iter(pieces(data, size)))
    return [(one.id or "", one.event or "message", one.data) for one in decoded]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("read", [by_httpx_sse, by_openai], ids=lambda read: read.__name__)
@pytest.mark.parametrize("name", STREAMS)
def test_python_parsers(
    name: str, read: Callable[[bytes, int], list[Block]], size: int, recorded: dict[str, bytes]
) -> None:
    assert recorded[name].isascii()
    assert PING in recorded[name] or "heartbeats" not in name
    check(read(recorded[name], size), name)


NODE = """
import { createParser } from "eventsource-parser";
const { streams, sizes } = JSON.parse(await new Response(process.stdin).text());
const read = (bytes, size) => {
  const blocks = [];
  const decoder = new TextDecoder();
  const parser = createParser({
    onEvent: ({ id, event, data }) => blocks.push([id ?? "", event ?? "message", data]),
    onError: (error) => { throw error; },
  });
  for (let at = 0; at < bytes.length; at += size) {
    parser.feed(decoder.decode(bytes.subarray(at, at + size), { stream: true }));
  }
  return blocks;
};
const all = Object.entries(streams).map(([name, text]) => {
  const bytes = Buffer.from(text, "base64");
  return [name, sizes.map((size) => read(bytes, size))];
});
console.log(JSON.stringify(Object.fromEntries(all)));
"""


def test_eventsource_parser_under_node(recorded: dict[str, bytes], tmp_path: Path) -> None:
    npm_install(tmp_path, EVENTSOURCE_PARSER)
    program = tmp_path / "read.mjs"
    program.write_text(NODE)
    streams = {name: base64.b64encode(data).decode() for name, data in recorded.items()}
    given = json.dumps({"streams": streams, "sizes": SIZES})
    ran = subprocess.run(
        [Path(sys.executable).parent / "node", program], input=given, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    read = json.loads(ran.stdout)
    assert read.keys() == STREAMS.keys()
    for name, by_size in read.items():
        for blocks in by_size:
            check([(id, event, data) for id, event, data in blocks], name)


# Clients, on the live server


async def test_the_openai_sdk_itself(api: Api) -> None:
    async with AsyncOpenAI(base_url=api.url, api_key="none", max_retries=0) as sdk:

        async def ask(keys: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            stream = await sdk.post(
                "/stream/?ids=1",
                body={"content": script(**keys)},
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
            async for one in stream:
                assert isinstance(one, dict)
                yield one

        user, *deltas, end = [one async for one in ask(ANSWER | PAUSES)]
        assert user["role"] == "user"
        assert "".join(one["delta"] for one in deltas) == TEXT
        assert end["finish_reason"] == "stop"
        with pytest.raises(APIError, match="broke off"):
            _ = [one async for one in ask(ANSWER | {"drop_after": 2})]


@pytest.mark.parametrize("name", STREAMS)
async def test_curl_that_asks(name: str, api: Api) -> None:
    query, keys = STREAMS[name]
    body = json.dumps({"content": script(**keys)})
    check(by_httpx_sse(await curl("--data", body, f"{api.url}/stream/{query}"), 1_000), name)


async def test_curl_that_resumes_gets_the_rest(client: httpx.AsyncClient) -> None:
    asked = await client.post("/stream/?ids=1", json={"content": script(**ANSWER)})
    url = f"{client.base_url}/stream/{asked.headers['X-Turn-Id']}"
    blocks = by_httpx_sse(asked.content, 1_000)
    late = by_httpx_sse(await curl(url), 1_000)
    check(late, "ids")
    assert (late[0], late[-2:]) == (blocks[0], blocks[-2:])
    *rest, end, done = by_httpx_sse(await curl("--header", f"Last-Event-ID: {blocks[2][0]}", url), 1_000)
    had = "".join(json.loads(data)["delta"] for _, _, data in blocks[1:3])
    assert had + "".join(json.loads(data)["delta"] for _, _, data in rest) == TEXT
    assert [end, done] == blocks[-2:]
    header = f"Last-Event-ID: {done[0]}"
    assert await curl("--header", header, "--write-out", "%{http_code}", url) == b"204"


async def curl(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--max-time", "30", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


# A browser

EVENT_SOURCE = """
(path) => new Promise((resolve) => {
  const source = new EventSource(path);
  const blocks = [];
  let opened = 0;
  const add = ({ lastEventId, type, data }) => blocks.push([lastEventId, type, data]);
  source.onopen = () => { opened += 1; };
  source.onmessage = add;
  source.addEventListener("reasoning", add);
  // Our block of that name has data; the browser's own event of that name is a lost connection.
  source.addEventListener("error", (event) => {
    if (event.data) add(event);
    else if (source.readyState === EventSource.CLOSED) resolve({ blocks, opened });
  });
})
"""

FETCH = """
async ([path, body]) => {
  const response = await fetch(path, { method: "POST", body });
  const decoder = new TextDecoder();
  const blocks = [];
  let rest = "";
  for await (const bytes of response.body) {
    rest += decoder.decode(bytes, { stream: true });
    const whole = rest.split("\\n\\n");
    rest = whole.pop();
    for (const block of whole) {
      const fields = { id: "", event: "message", data: "" };
      for (const line of block.split("\\n").filter((line) => !line.startsWith(":"))) {
        const [name, value] = line.split(/:(.*)/s);
        fields[name] = value.trimStart();
      }
      blocks.push([fields.id, fields.event, fields.data]);
    }
  }
  return blocks;
}
"""


@pytest.fixture
async def page(api: Api, browser: Browser) -> AsyncIterator[Page]:
    """A tab of the server's own origin."""
    page = await browser.new_page()
    await page.goto(f"{api.url}/ping")
    yield page
    await page.close()


async def test_a_browsers_event_source_reads_to_the_end_and_stops(page: Page, client: httpx.AsyncClient) -> None:
    answered: list[tuple[str, int]] = []
    page.on("response", lambda response: answered.append((response.url, response.status)))
    names = ["ids", "heartbeats and ids", "error, heartbeats and ids", "reasoning"]
    paths = {name: await begin(client, name) for name in names}
    read = await asyncio.gather(*(page.evaluate(EVENT_SOURCE, path) for path in paths.values()))
    for (name, path), one in zip(paths.items(), read, strict=True):
        check([(id, event, data) for id, event, data in one["blocks"]], name)
        assert one["opened"] == 1
        # It comes back once, as it always does, and is told that there is nothing more.
        assert [status for url, status in answered if url.endswith(path)] == [200, 204]


async def begin(client: httpx.AsyncClient, name: str) -> str:
    """Ask and leave; returns the path of the turn's stream."""
    query, keys = STREAMS[name]
    async with client.stream("POST", "/stream/", json={"content": script(**keys)}) as response:
        include = "?include=reasoning" if "reasoning" in query else ""
        return f"/stream/{response.headers['X-Turn-Id']}{include}"


async def test_a_browsers_event_source_is_told_that_the_server_died(
    api: Api, page: Page, client: httpx.AsyncClient
) -> None:
    keys = {"tokens": -1, "interval_ms": 20}
    async with client.stream("POST", "/stream/", json={"content": script(**keys)}) as response:
        turn_id = response.headers["X-Turn-Id"]
    async with page.expect_response(f"**/stream/{turn_id}"):
        reading = asyncio.create_task(page.evaluate(EVENT_SOURCE, f"/stream/{turn_id}"))
    api.kill()
    await asyncio.to_thread(api.start)
    read = await asyncio.wait_for(reading, 60)
    stored = await client.get(f"/stream/{turn_id}")
    *_, end, done = by_httpx_sse(stored.content, 1_000)
    assert [tuple(block) for block in read["blocks"][-2:]] == [end, done]
    assert (end[1], json.loads(end[2])["error"]["code"]) == ("error", "interrupted")
    assert read["opened"] == 2


@pytest.mark.parametrize("name", STREAMS)
async def test_a_browsers_fetch(name: str, page: Page) -> None:
    query, keys = STREAMS[name]
    blocks = await page.evaluate(FETCH, [f"/stream/{query}", json.dumps({"content": script(**keys)})])
    check([(id, event, data) for id, event, data in blocks], name)
