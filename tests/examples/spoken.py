"""A function that is a model anywhere: whatever speaks to OpenAI can ask it, under the name Parrot.

REPLIES=tests.examples.spoken:reply
"""

from collections.abc import AsyncIterator

from chat_app.reply import ChatMessage, Piece


async def reply(messages: list[ChatMessage], temperature: float | None = None) -> AsyncIterator[str | Piece]:
    yield Piece(reasoning="A greeting.")
    yield messages[-1]["content"]
    if temperature is not None:
        yield f" at {temperature}"


reply.model_name = "Parrot"
