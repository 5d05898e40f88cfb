"""An event stream as a test reads it: frame by frame, on httpx-sse."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent


class EventStream:
    """The open response to a request for a stream."""

    def __init__(self, response: httpx.Response, frames: AsyncGenerator[ServerSentEvent, None]) -> None:
        self.response = response
        self._frames = frames

    @property
    def turn_id(self) -> str:
        return str(self.response.headers["X-Turn-Id"])

    @property
    def chat_id(self) -> str:
        return str(self.response.headers["X-Chat-Id"])

    async def next(self) -> ServerSentEvent:
        return await anext(self._frames)

    async def until(self, condition: Callable[[ServerSentEvent], bool]) -> list[ServerSentEvent]:
        """The frames up to the first for which `condition` holds, that one too."""
        frames = [await self.next()]
        while not condition(frames[-1]):
            frames.append(await self.next())
        return frames

    async def rest(self) -> list[ServerSentEvent]:
        """All up to the end of the response."""
        return [frame async for frame in self._frames]


@asynccontextmanager
async def streaming(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> AsyncIterator[EventStream]:
    """Send a request whose answer is an event stream; leaving the block closes the connection."""
    async with client.stream(method, url, **request) as response:
        if not response.is_success:
            await response.aread()
            raise AssertionError(f"{response.status_code}: {response.text}")
        async with aclosing(EventSource(response).aiter_sse()) as frames:
            yield EventStream(response, frames)


def text_of(frames: Sequence[ServerSentEvent]) -> str:
    """The answer's text in the frames; the user's, thoughts and `[DONE]` left out."""
    answer = (value(one) for one in frames if one.event == "message" and one.data != "[DONE]")
    return "".join(one["delta"] for one in answer if one["role"] == "assistant")


def value(frame: ServerSentEvent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frame.data)
    return found
