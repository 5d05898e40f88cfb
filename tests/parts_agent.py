"""An agent whose answers alternate between all kinds of parts: REPLIES=tests.parts_agent:reply.

The question says how: `{"seed": 1, "count": 300, "interval_ms": 5}`, without a count it does not end. So whoever knows
the question knows the answer.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterator
from itertools import count, islice
from typing import Any

from chat_app.parts import Part
from chat_app.reply import Piece
from tests import places
from tests.places import Places

KINDS = ["text", "text", "reasoning", "tool", "file", "weather"]
TEXTS = ["word ", "👋🏽 ", "é\u2028", "\n\n", "longer than the others, by far ", '"\\ ']
INCLUDE = "reasoning,tools,files,weather"


def question(seed: int, pieces: int | None = None, interval_ms: float = 5) -> str:
    return json.dumps({"seed": seed, "count": pieces, "interval_ms": interval_ms})


async def reply(messages: list[dict[str, str]]) -> AsyncGenerator[Any, None]:
    asked = json.loads(messages[-1]["content"])
    for kind, said in pieces_of(asked):
        if asked["interval_ms"]:
            await asyncio.sleep(asked["interval_ms"] / 1000)
        if kind == "text":
            yield said
        elif kind == "reasoning":
            yield Piece(reasoning=said)
        else:
            yield Part(kind, data=said)


def pieces_of(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return islice(_pieces(random.Random(asked["seed"])), asked["count"])


def _pieces(chance: random.Random) -> Iterator[tuple[str, Any]]:
    for number in count():
        kind = chance.choice(KINDS)
        text = chance.choice(TEXTS)
        yield kind, text if kind in ("text", "reasoning") else {"id": str(number), "name": text, "of": [number, None]}


def places_of(asked: str, most: int) -> Places:
    """The answer's first `most` places, or all."""
    found: Places = []
    for kind, said in pieces_of(json.loads(asked)):
        found += places.of_part(kind, said)
        if len(found) >= most:
            break
    return found[:most]
