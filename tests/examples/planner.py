"""REPLIES: an answer of several parts, one of a kind that the app does not know."""

from collections.abc import AsyncGenerator
from typing import Any

from chat_app.parts import Part
from chat_app.reply import Given

CHART = {"title": "Rain", "values": [1, 2, 3]}


async def reply(messages: list[dict[str, str]], **options: Any) -> AsyncGenerator[Given, None]:
    yield Part("reasoning", "They want ")
    yield Part("reasoning", "a chart.")
    yield "Here "
    yield Part("chart", data=CHART)
    yield Part("text", "it is.")
