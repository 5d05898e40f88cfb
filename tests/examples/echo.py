"""The smallest agent there is.

REPLIES=tests.examples.echo:reply
"""

from collections.abc import AsyncIterator


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[str]:
    yield "You said: "
    yield messages[-1]["content"]
