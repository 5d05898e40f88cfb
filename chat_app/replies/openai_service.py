"""`OpenAIService`: any server that speaks OpenAI's chat completions, as plain dicts and as a reply source."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import anyio
import httpx2
import openai
from openai import AsyncOpenAI

from chat_app.address import OPENAI_URL
from chat_app.connections import no_descriptors
from chat_app.errors import (
    ContextTooLong,
    ProviderError,
    ProviderRefused,
    ProviderSilent,
    ServerBusy,
)
from chat_app.proxy import proxy_for
from chat_app.replies.chunk import ChunkReader, message_in, says
from chat_app.replies.completion import Chunks, completion_batches, parsed, whole_completion
from chat_app.replies.dialect import Dialect, refused_part, without
from chat_app.replies.ending import Ending
from chat_app.replies.event_stream import MAX_EVENT_BYTES
from chat_app.replies.history import alternating
from chat_app.replies.http import ProviderClient
from chat_app.replies.model_list import chat_models, listed_models
from chat_app.replies.problem import BASE_URL_LOOKS_WRONG, Reported, is_page, problem_of_response
from chat_app.replies.redaction import Secrets
from chat_app.replies.thinking import Thoughts
from chat_app.reply import ChatMessage, Piece

DEFAULT_MODEL = "gpt-4o-mini"
# A rough average over languages, on the safe side: English has about four characters a token.
CHARS_PER_TOKEN = 3
AZURE = (".azure.com", ".azure.us", ".azure-api.net")
"""Hosts that want the key in a header of their own."""

NO_LIST = f"{BASE_URL_LOOKS_WRONG} If it is right, set OPENAI_MODEL."
CONTEXT_FULL = (
    "The model's context was full before the end of the answer. Ask for less, or choose a model that reads more."
)
# What reading a response may raise beside the SDK's errors.
BROKEN = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, anyio.EndOfStream)

BaseUrl = Callable[[], Awaitable[str]]
Source = Callable[[dict[str, Any]], AsyncGenerator[Chunks, None]]
"""A request's chunks as they come, or its one completion. Raises Reported, ProviderError."""


class OpenAIService:
    """A client of one provider.

    `base_url` is an address, a callable that waits for one (the embedded model's), or None for OpenAI itself. Without a
    `model`, the first that the provider lists is used. `context_tokens` is the model's context where it is known: the
    history is then trimmed before it is sent, else when the provider says that it is too long. One event of the
    provider's, or one line, has at most `max_event_bytes`.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | BaseUrl | None = None,
        model: str | None = None,
        system_prompt: str = "",
        context_tokens: int | None = None,
        max_event_bytes: int = MAX_EVENT_BYTES,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        self._base_url = base_url
        self._model = model or (DEFAULT_MODEL if base_url is None else None)
        self._system_prompt = system_prompt
        self.context_chars = context_tokens * CHARS_PER_TOKEN if context_tokens else None
        self._max_event_bytes = max_event_bytes
        self._defaults = defaults or {}
        self._dialect = Dialect()
        # An address that comes late is the embedded model's, on this machine.
        address = OPENAI_URL if base_url is None else base_url if isinstance(base_url, str) else ""
        parts = urlsplit(address)
        password = unquote(parts.password or "")
        query = dict(parse_qsl(parts.query))
        self._secrets = Secrets(api_key, password, f"{unquote(parts.username or '')}:{password}", *query.values())
        self._proxy = proxy_for(address) if address else None
        # No hidden retries: a person sees at once what happened and may try again; a stop is never queued behind one.
        self._client = AsyncOpenAI(
            api_key=api_key or "none",
            base_url=urlunsplit(parts._replace(query="")) or OPENAI_URL,
            default_query=query,
            default_headers={"api-key": api_key} if api_key and (parts.hostname or "").endswith(AZURE) else None,
            max_retries=0,
            http_client=ProviderClient(self._proxy),
        )

    async def warm(self) -> None:
        """Load now what the SDK and its connections load with their first request, some 50 ms; none is sent."""
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(_no_completion)) as client:
            await self._client.copy(http_client=client).chat.completions.with_raw_response.create(messages=[], model="")
        # The code of its connections for the event loop that runs.
        anyio.Event()

    async def close(self) -> None:
        await self._client.close()

    async def model(self) -> str:
        """The model that is asked; without a setting, the first that can chat of the provider's list.

        Raises:
            ProviderError: the list cannot be read, or has no such model.
        """
        if self._model is None:
            body = await self._list()
            suitable = chat_models(body)
            if not suitable:
                listed = listed_models(body) or []
                only = (
                    f"only models that do not chat, such as {self._secrets.quoted(listed[0])}" if listed else "no model"
                )
                raise ProviderRefused(f"The provider lists {only}. Set OPENAI_MODEL to the name of one that chats.")
            self._model = suitable[0]
        return self._model

    async def models(self) -> list[str]:
        """The names in the provider's `/models`. Raises ProviderError."""
        return listed_models(await self._list()) or []

    async def chat_completion(self, messages: Sequence[ChatMessage], **kwargs: Any) -> dict[str, Any]:
        """The whole completion, as the provider's own dict (`choices[0].message.content`, `usage`).

        Args:
            messages: `[{"role": …, "content": …}]`, oldest first, sent as they are.
            kwargs: any other parameter of OpenAI's chat completions. What the server refuses of it is left out.

        Raises:
            ProviderError: one of its kinds, translated from the SDK's.
        """
        async with aclosing(self._answer(self._completion, messages, kwargs)) as completions:
            return (await anext(completions))[0]

    async def chat_completion_stream(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a completion as they come, each the provider's own dict with `choices[].delta` preserved.

        From a server that does not stream it is one chunk, the whole completion, with `choices[].message`. Closing the
        generator closes the provider's connection. Arguments and errors as in `chat_completion`; an error that the
        provider sends in mid-stream is raised too, and so is an answer without its end.
        """
        async with aclosing(self._answer(self._chunks, messages, kwargs | {"stream": True})) as batches:
            async for chunks in batches:
                for chunk in chunks:
                    yield chunk

    async def reply(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[Piece, None]:
        """The reply source (`Reply`): the answer to the history, trimmed from its oldest end if too long.

        A system message at its front takes the place of the service's own. `kwargs` as in `chat_completion`.
        """
        async with aclosing(self.reply_at_once(messages, **kwargs)) as batches:
            async for pieces in batches:
                for piece in pieces:
                    yield piece

    async def reply_at_once(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[list[Piece], None]:
        """The same; what came in one read from the provider is one list."""
        system, kept = self._system_and_rest(messages)
        kept = self._fitting(system, kept)
        said = False
        while True:
            try:
                async with aclosing(self._pieces(alternating([*system, *kept]), kwargs)) as batches:
                    async for pieces in batches:
                        said = said or any(piece.text or piece.reasoning for piece in pieces)
                        yield pieces
                return
            except ContextTooLong:
                if said:
                    raise ProviderError(CONTEXT_FULL) from None
                if len(kept) <= 1:
                    raise
                kept = _from_question(kept[-(len(kept) // 2) :])

    async def _pieces(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> AsyncGenerator[list[Piece], None]:
        request = {"stream_options": {"include_usage": True}} | self._defaults | kwargs | {"stream": True}
        reader, thoughts, ending = ChunkReader(), Thoughts(), Ending()
        try:
            async with aclosing(self._answer(self._chunks, messages, request)) as batches:
                async for chunks in batches:
                    yield _read(chunks, reader, thoughts, ending)
        except ProviderError:
            yield list(thoughts.rest())
            raise
        rest = list(thoughts.rest())
        for piece in rest:
            ending.piece(piece)
        yield rest
        if problem := ending.problem():
            raise problem

    async def _answer(
        self, source: Source, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> AsyncGenerator[Chunks, None]:
        """What the source gives for the request, asked again without what the server says that it does not take.

        Each part is left out at most once, and only while nothing was said; what helped is remembered for the model.
        """
        request = self._dialect.request(await self._request(messages, kwargs))
        refused: list[str] = []
        said = False
        while True:
            try:
                async with aclosing(source(request)) as batches:
                    async for chunks in batches:
                        if not said and any(map(says, chunks)):
                            said = True
                            self._dialect.remember(request["model"], refused)
                        yield chunks
                return
            except Reported as reported:
                part = None if said else refused_part(reported.problem, request)
                if part is None or part in refused:
                    raise reported.problem.error(self._secrets) from reported
                request = without(request, part)
                refused.append(part)

    async def _chunks(self, request: dict[str, Any]) -> AsyncGenerator[Chunks, None]:
        try:
            client = await self._ready_client()
            # The raw response, not the SDK's objects: a pydantic object a chunk costs 25 times the CPU (field notes).
            async with (
                client.chat.completions.with_streaming_response.create(**_as_it_is(request)) as response,
                aclosing(completion_batches(response.iter_bytes(), self._max_event_bytes)) as batches,
            ):
                async for chunks in batches:
                    yield chunks
        except openai.OpenAIError as error:
            raise self._translated(error) from error
        except BROKEN as error:
            raise ProviderError("The connection to the model broke off. Try again.") from error

    async def _completion(self, request: dict[str, Any]) -> AsyncGenerator[Chunks, None]:
        try:
            client = await self._ready_client()
            response = await client.chat.completions.with_raw_response.create(**_as_it_is(request))
            yield [whole_completion(response.http_response.content)]
        except openai.OpenAIError as error:
            raise self._translated(error) from error

    async def _list(self) -> Any:
        """The body of `/models`. Raises ProviderError."""
        try:
            client = await self._ready_client()
            response = await client.models.with_raw_response.list()
            body = parsed(response.http_response.content)
        except openai.NotFoundError as error:
            raise ProviderRefused(f"The model's server has no list of models (404). {NO_LIST}") from error
        except openai.OpenAIError as error:
            problem = self._translated(error)
            raise problem.problem.error(self._secrets) if isinstance(problem, Reported) else problem from error
        except ValueError as error:
            what = "a web page" if is_page(response.http_response.text) else "something that is not JSON"
            raise ProviderRefused(f"The model's server has no list of models ({what}). {NO_LIST}") from error
        if listed_models(body) is None:
            raise ProviderRefused(f"The model's server has no list of models. {NO_LIST}")
        return body

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

    def _translated(self, error: openai.OpenAIError) -> ProviderError | ServerBusy | Reported:
        """Our error for one of the SDK's, with a sentence that says what to do; of an error's status, what it says."""
        match error:
            case openai.APIConnectionError() if no_descriptors(error):
                return ServerBusy()
            case openai.APIStatusError(response=response):
                wait = _seconds(response.headers.get("retry-after"))
                location = response.headers.get("location", "")
                return Reported(
                    problem_of_response(response.status_code, response.content, wait=wait, location=location)
                )
            case openai.APITimeoutError():
                return ProviderSilent(f"The model's server does not answer. Try again in a moment.{self._by_proxy()}")
            case openai.APIConnectionError() if "CERTIFICATE_VERIFY_FAILED" in str(error.__cause__):
                return ProviderError(
                    "The certificate of the model's server is not trusted. Set SSL_CERT_FILE to its authority's file."
                )
            case openai.APIConnectionError():
                return ProviderError(
                    "The model's server cannot be reached. Check OPENAI_BASE_URL and the network, then try again."
                    + self._by_proxy()
                )
        return ProviderError(f"The request to the model failed: {self._secrets.quoted(str(error))}")

    def _by_proxy(self) -> str:
        return " It is asked through the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY." if self._proxy else ""

    async def _request(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"model": kwargs.get("model") or await self.model(), "messages": list(messages)} | kwargs


def _as_it_is(request: dict[str, Any]) -> dict[str, Any]:
    """The same request: what is in `extra_body` the SDK does not look through, which takes it a third of a millisecond
    for each message."""
    return request | {
        "messages": [],
        "extra_body": {"messages": request["messages"]} | (request.get("extra_body") or {}),
    }


def _read(chunks: Chunks, reader: ChunkReader, thoughts: Thoughts, ending: Ending) -> list[Piece]:
    read: list[Piece] = []
    for chunk in chunks:
        ending.delta(message_in(chunk))
        for whole in reader.pieces(chunk):
            for piece in thoughts.split(whole):
                ending.piece(piece)
                read.append(piece)
    return read


def _from_question(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """Without the answers at the front: several models refuse a history that does not begin with a question."""
    first = next((i for i, message in enumerate(messages) if message["role"] == "user"), len(messages) - 1)
    return messages[first:]


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value else 0.0
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None


def _no_completion(_request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json={"choices": []})
