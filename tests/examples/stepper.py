"""REPLIES: an agent whose steps, sources and suggestions are as odd as the question says. The tests' own.

The question is JSON, a list of `["step", {…}]`, `["source", {…}]`, …, or text; `["wait"]` waits for `go()`.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from rill import Part


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[object]:
    for said in json.loads(messages[-1]["content"]):
        if said == ["wait"]:
            await asyncio.sleep(3600)
        yield said if isinstance(said, str) else Part(said[0], data=said[1])
