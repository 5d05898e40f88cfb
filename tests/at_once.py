"""A reply source that answers at once, for tests that ask thousands of times: REPLIES=tests.at_once:reply."""

from collections.abc import AsyncIterator

from chat_app.reply import Piece


async def reply(messages: list[dict[str, str]], **options: object) -> AsyncIterator[Piece]:
    """A thought, a few words with a line separator in them, and what it cost."""
    yield Piece(reasoning="hm")
    yield Piece("At\u2028once, ")
    yield Piece("👋", finish_reason="stop", usage={"completion_tokens": 3}, model=str(options.get("model", "none")))
