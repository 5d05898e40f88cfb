"""REPLIES: an answer of just the parts that the question lists. The tests' own.

The question is JSON: `{"parts": [["text", "Hel"], ["tool", {"id": "1"}]], "together": false}`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from chat_app.parts import GROWING, Part
from chat_app.reply import Given

PAUSE_S = 0.001


async def reply(messages: list[dict[str, str]], **options: Any) -> AsyncGenerator[Given, None]:
    asked = json.loads(messages[-1]["content"])
    parts = [Part(kind, said) if kind in GROWING else Part(kind, data=said) for kind, said in asked["parts"]]
    if asked["together"]:
        yield list(parts)
        return
    for part in parts:
        yield part
        # Readers come and go while it grows.
        await asyncio.sleep(PAUSE_S)
