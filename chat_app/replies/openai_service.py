"""`OpenAIService`: any server that speaks OpenAI's chat completions, as plain dicts and as a reply source."""

import asyncio
import codecs
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI

from chat_app.errors import (
    ContextTooLong,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderSilent,
)
from chat_app.replies.ending import Ending, finish_reason
from chat_app.replies.history import alternating
from chat_app.replies.thinking import Thoughts
from chat_app.reply import ChatMessage, Piece

DEFAULT_MODEL = "gpt-4o-mini"
# A rough average over languages, on the safe side: English has about four characters a token.
CHARS_PER_TOKEN = 3
# How long a response may stay open after its `[DONE]` before its connection is given up.
RESPONSE_END_S = 0.1
CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error"}

BaseUrl = Callable[[], Awaitable[str]]


class OpenAIService:
    """A client of one provider.

    `base_url` is an address, a callable that waits for one (the embedded model's), or None for OpenAI itself. Without a
    `model`, the first that the provider lists is used. `context_tokens` is the model's context where it is known: the
    history is then trimmed before it is sent, else when the provider says that it is too long.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | BaseUrl | None = None,
        model: str | None = None,
        system_prompt: str = "",
        context_tokens: int | None = None,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        self._base_url = base_url
        self._model = model or (DEFAULT_MODEL if base_url is None else None)
        self._system_prompt = system_prompt
        self.context_chars = context_tokens * CHARS_PER_TOKEN if context_tokens else None
        self._defaults = defaults or {}
        # No hidden retries: a person sees at once what happened and may try again; a stop is never queued behind one.
        # No time-outs of the SDK's own but for connecting: `turns` knows how long silence may last.
        self._client = AsyncOpenAI(
            api_key=api_key or "none",
            base_url=base_url if isinstance(base_url, str) else None,
            max_retries=0,
            timeout=openai.Timeout(None, connect=10),
        )

    async def close(self) -> None:
        await self._client.close()

    async def model(self) -> str:
        """The model that is asked; without a setting, the first of the provider's list. Raises ProviderError."""
        if self._model is None:
            models = await self.models()
            if not models:
                raise ProviderRefused("The provider lists no model. Set OPENAI_MODEL to the name of one.")
            self._model = models[0]
        return self._model

    async def models(self) -> list[str]:
        """The names in the provider's `/models`. Raises ProviderError."""
        try:
            client = await self._ready_client()
            return [model.id async for model in client.models.list()]
        except openai.OpenAIError as error:
            raise translated(error) from error

    async def chat_completion(self, messages: Sequence[ChatMessage], **kwargs: Any) -> dict[str, Any]:
        """The whole completion, as the provider's own dict (`choices[0].message.content`, `usage`).

        Args:
            messages: `[{"role": …, "content": …}]`, oldest first, sent as they are.
            kwargs: any other parameter of OpenAI's chat completions.

        Raises:
            ProviderError: one of its kinds, translated from the SDK's.
        """
        try:
            client = await self._ready_client()
            response = await client.chat.completions.with_raw_response.create(**await self._request(messages, kwargs))
            return _parsed(response.http_response.content)
        except openai.OpenAIError as error:
            raise translated(error) from error

    async def chat_completion_stream(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a completion as they come, each the provider's own dict with `choices[].delta` preserved.

        Closing the generator closes the provider's connection. Arguments and errors as in `chat_completion`; an error
        that the provider sends in mid-stream is raised too.
        """
        try:
            client = await self._ready_client()
            # The raw response, not the SDK's objects: a pydantic object a chunk costs 25 times the CPU (field notes).
            async with client.chat.completions.with_streaming_response.create(
                **await self._request(messages, kwargs), stream=True
            ) as response:
                events = event_data(response.iter_bytes())
                async for data in events:
                    if data == "[DONE]":
                        await _finish(events)
                        return
                    chunk = _parsed(data)
                    if problem := chunk.get("error"):
                        raise _stream_error(problem)
                    yield chunk
        except openai.OpenAIError as error:
            raise translated(error) from error
        except httpx2.HTTPError as error:
            raise ProviderError("The connection to the model broke off. Try again.") from error

    async def reply(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[Piece, None]:
        """The reply source (`Reply`): the answer to the history, trimmed from its oldest end if too long.

        A system message at its front takes the place of the service's own. `kwargs` as in `chat_completion`.
        """
        system, kept = self._system_and_rest(messages)
        kept = self._fitting(system, kept)
        while True:
            try:
                async with aclosing(self._pieces(alternating([*system, *kept]), kwargs)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except ContextTooLong:
                # Refused before the first token, so nothing was yielded yet.
                if len(kept) <= 1:
                    raise
                kept = _from_question(kept[-(len(kept) // 2) :])

    async def _pieces(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> AsyncGenerator[Piece, None]:
        options = {"stream_options": {"include_usage": True}} | self._defaults | kwargs
        joiners = SurrogateJoiner(), SurrogateJoiner()
        thoughts, ending = Thoughts(), Ending()
        try:
            async with aclosing(self.chat_completion_stream(messages, **options)) as chunks:
                finished = False
                async for chunk in chunks:
                    whole = _piece(chunk, *joiners)
                    finished = finished or whole.finish_reason is not None
                    ending.delta(_delta(chunk))
                    for piece in thoughts.split(whole):
                        ending.piece(piece)
                        yield piece
            if not finished:
                raise ProviderError("The model's answer broke off before its end. Try again.")
        except ProviderError:
            for piece in thoughts.rest():
                yield piece
            raise
        for piece in thoughts.rest():
            ending.piece(piece)
            yield piece
        if problem := ending.problem():
            raise problem

    def _system_and_rest(self, messages: Sequence[ChatMessage]) -> tuple[Sequence[ChatMessage], Sequence[ChatMessage]]:
        if messages and messages[0]["role"] == "system":
            return messages[:1], messages[1:]
        return [{"role": "system", "content": self._system_prompt}] if self._system_prompt else [], messages

    def _fitting(self, system: Sequence[ChatMessage], messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
        """The newest messages that leave a quarter of the context to the answer; always the last one."""
        if self.context_chars is None:
            return messages
        room = self.context_chars * 3 // 4 - sum(len(message["content"]) for message in system)
        first = len(messages)
        while first and room - len(messages[first - 1]["content"]) >= 0:
            first -= 1
            room -= len(messages[first]["content"])
        return _from_question(messages[min(first, len(messages) - 1) :])

    async def _ready_client(self) -> AsyncOpenAI:
        if self._base_url is None or isinstance(self._base_url, str):
            return self._client
        return self._client.with_options(base_url=await self._base_url())

    async def _request(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"model": kwargs.get("model") or await self.model(), "messages": list(messages)} | kwargs


class SurrogateJoiner:
    """Joins a character whose two JSON escapes (`\\ud83d` `\\ude00`) came in two chunks; half a one becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")

    def __call__(self, text: str) -> str:
        if not text or (text.isascii() and not self._decoder.getstate()[0]):
            return text
        return self._decoder.decode(text.encode("utf-16-le", "surrogatepass"))


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The `data:` of each line of an event stream of one-line events.

    Split at line feeds only, on bytes: a provider may send U+2028 and its like raw, where `str.splitlines` (and with it
    httpx's `iter_lines`) would cut the JSON in two.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip().decode("utf-8", "replace")
    if rest.startswith(b"data:"):
        yield rest[5:].strip().decode("utf-8", "replace")


async def _finish(events: AsyncIterator[str]) -> None:
    """Read to the end of the response, which is due at once: only then can the next turn use the connection."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(RESPONSE_END_S):
            async for _ in events:
                pass


def _piece(chunk: dict[str, Any], join_text: SurrogateJoiner, join_reasoning: SurrogateJoiner) -> Piece:
    """What a chunk says; `choices` may be empty, `content` missing or null."""
    choice = (chunk.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    reason = choice.get("finish_reason")
    return Piece(
        text=join_text(delta.get("content") or delta.get("refusal") or ""),
        reasoning=join_reasoning(delta.get("reasoning_content") or delta.get("reasoning") or ""),
        finish_reason=reason and finish_reason(reason),
        usage=chunk.get("usage"),
        model=chunk.get("model"),
    )


def _delta(chunk: dict[str, Any]) -> dict[str, Any]:
    return (chunk.get("choices") or [{}])[0].get("delta") or {}


def _parsed(data: str | bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ProviderError("The model's server sent something that is not JSON. Try again, or check OPENAI_BASE_URL.")
    return parsed


def _stream_error(problem: Any) -> ProviderError:
    code = problem.get("code") or problem.get("type") if isinstance(problem, dict) else None
    text = problem.get("message") if isinstance(problem, dict) else problem
    kind = ProviderBusy if code == "rate_limit_exceeded" else ProviderError
    return kind(f"The model's server reported: {text}")


def _from_question(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """Without the answers at the front: several models refuse a history that does not begin with a question."""
    first = next((i for i, message in enumerate(messages) if message["role"] == "user"), len(messages) - 1)
    return messages[first:]


def translated(error: openai.OpenAIError) -> ProviderError:
    """Our error for one of the SDK's, with a sentence that says what to do."""
    for kind, translate in TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error)
    return ProviderError(f"The request to the model failed: {error}")


def _rate_limited(error: Any) -> ProviderError:
    if error.code == "insufficient_quota":
        return ProviderRefused("The account of this OPENAI_API_KEY has no quota left. Check its plan and billing.")
    seconds = _seconds(error.response.headers.get("retry-after"))
    wait = f"Try again in {seconds:.0f} seconds." if seconds else "Try again in a moment."
    return ProviderBusy(f"The model's server is busy. {wait}", retry_after=seconds)


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value else 0.0
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None


def _status_error(error: Any) -> ProviderError:
    body = error.body if isinstance(error.body, dict) else {}
    text = body.get("message") or error.message
    if {error.code, error.type, body.get("type")} & CONTEXT_CODES:
        return ContextTooLong("The message is too long for the model. Shorten it, or choose a model that reads more.")
    if error.status_code >= 500:
        return ProviderError(f"The model's server has a problem ({error.status_code}). Try again in a moment.")
    return ProviderRefused(f"The model's server refused the request ({error.status_code}): {text}")


TRANSLATIONS: list[tuple[type[openai.OpenAIError], Callable[[Any], ProviderError]]] = [
    (openai.APITimeoutError, lambda _: ProviderSilent("The model's server does not answer. Try again in a moment.")),
    (
        openai.APIConnectionError,
        lambda _: ProviderError(
            "The model's server cannot be reached. Check OPENAI_BASE_URL and the network, then try again."
        ),
    ),
    (openai.RateLimitError, _rate_limited),
    (
        openai.AuthenticationError,
        lambda _: ProviderRefused("The model's server does not accept the key. Check OPENAI_API_KEY, then restart."),
    ),
    (
        openai.NotFoundError,
        lambda error: ProviderRefused(
            f"The model's server does not know what was asked for. Check OPENAI_MODEL ({error.message})."
        ),
    ),
    (openai.APIStatusError, _status_error),
]
"""The first that fits is taken."""
