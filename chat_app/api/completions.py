"""`/v1`: OpenAI's own chat completions, so that whatever speaks to OpenAI can speak to this app.

Without a chat a request is stateless: it goes to the model, or to REPLIES, and ends when its client leaves. With
`metadata.chat_id`, or `store: true`, it is a turn like any other: kept, live on the page, and it goes on without its
client.
"""

import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from openai.resources.chat.completions import AsyncCompletions
from pydantic import BaseModel, ConfigDict, Field

from chat_app.answer import pieces
from chat_app.api import sse
from chat_app.api.bodies import bounded, json_body
from chat_app.api.completion_chunks import Head, Step, choice_step, completion, event_step, piece_steps
from chat_app.api.own import own_chats
from chat_app.api.parameters import IdempotencyKey
from chat_app.api.problems import error_response, tell_refusal
from chat_app.api.stream import PING_S, streamed, turn_headers
from chat_app.caller import Caller
from chat_app.context import of_no_chat
from chat_app.errors import ChatError, InternalError, InvalidRequest, NotFound, StreamingOff, shown, status_of
from chat_app.extend import CONTEXT, option_names
from chat_app.models import Role, new_id
from chat_app.own_chats import OwnChats
from chat_app.reply import ChatMessage
from chat_app.service import Service, get_service
from chat_app.store.chatfile import title_from
from chat_app.turns.allowance import Allowance
from chat_app.turns.hooks import Hooks
from chat_app.turns.turn import Turn

router = APIRouter(prefix="/v1", tags=["openai"])
ROLES = {"system", "developer", "user", "assistant"}
SENDABLE = set(inspect.signature(AsyncCompletions.create).parameters)
"""What OpenAI's client takes by name; anything else goes along in the body."""
HARMLESS: dict[str, Any] = {
    "n": 1,
    "top_p": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logprobs": False,
    "response_format": {"type": "text"},
    "tools": [],
    "modalities": ["text"],
}
"""Values that ask for nothing; the parameters of `WHOSE` concern nobody here."""
WHOSE = {"user", "safety_identifier", "prompt_cache_key", "service_tier", "seed"}


class Asked(BaseModel):
    """What is read here of OpenAI's request; the rest is the model's."""

    model_config = ConfigDict(extra="allow")

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    kept: Annotated[bool | None, Field(alias="store")] = None
    metadata: dict[str, Any] | None = None

    @property
    def chat_id(self) -> str | None:
        """The chat that the request names."""
        chat_id = (self.metadata or {}).get("chat_id")
        if chat_id is not None and not isinstance(chat_id, str):
            raise InvalidRequest("metadata.chat_id is a text, the id of a chat.")
        return chat_id

    @property
    def own_metadata(self) -> dict[str, Any]:
        """Without what is read here."""
        given = {name: value for name, value in (self.metadata or {}).items() if name != "chat_id"}
        try:
            return bounded(given)
        except ValueError as problem:
            raise InvalidRequest(f"metadata: {problem}.") from None

    @property
    def options(self) -> dict[str, Any]:
        """All further parameters that ask for something."""
        given = (self.model_extra or {}).items()
        return {name: value for name, value in given if value is not None and HARMLESS.get(name, ...) != value}


@dataclass
class Answer:
    """An answer under way: `steps` as they come, and what else its client gets."""

    head: Head
    steps: AsyncGenerator[Step | None, None]
    headers: dict[str, str] = field(default_factory=dict)


@router.get("/models", include_in_schema=False)
async def list_models() -> JSONResponse:
    """What `model` may be."""
    return JSONResponse({"object": "list", "data": [_model(name) for name in await _models(get_service())]})


@router.get("/models/{name:path}", include_in_schema=False)
async def read_model(name: str) -> JSONResponse:
    if name not in await _models(get_service()):
        raise NotFound(f"There is no model {shown(name)!r} here. See /v1/models.")
    return JSONResponse(_model(name))


@router.post("/chat/completions", include_in_schema=False)
async def complete(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """OpenAI's `chat/completions`, whole or as a stream."""
    try:
        asked = await json_body(Asked)(request)
        own = await own_chats(request)
        if asked.stream:
            await streamed(own, request)
        own.caller.may_change()
        answer = await _answer(own, get_service(), asked, idempotency_key)
    except StreamingOff:
        raise
    except ChatError as error:
        tell_refusal(error, request.scope)
        return _refused(error)
    if not asked.stream:
        return await _whole(answer)
    usage = bool((asked.stream_options or {}).get("include_usage"))
    body = _blocks(answer, with_usage=usage)
    return StreamingResponse(body, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS | answer.headers)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "rill"}


async def _models(service: Service) -> list[str]:
    if service.source_name:
        return list(service.source_models) or [service.source_name]
    if service.local_model:
        return [service.local_model.name]
    names = await service.openai.models()
    own = await service.openai.model()
    return [own, *(name for name in names if name != own)]


async def _answer(own: OwnChats, service: Service, asked: Asked, key: str | None) -> Answer:
    if service.source_name or service.local_model:
        known = await _models(service)
        if asked.model and asked.model not in known:
            names = " or ".join(map(repr, known))
            raise NotFound(f"There is no model {shown(asked.model)!r} here; this is {names}. See /v1/models.")
        asked.model = asked.model if asked.model in service.source_models else None
    if asked.chat_id is not None or asked.kept:
        return await _turn(own, service, asked, key)
    allowance = await service.limits.allow(len(await service.turns.answering()), 0, own.caller)
    asked.messages = await _let_through(service.turns.hooks, asked, own.caller)
    answer = _from_source(service, asked, own.caller) if service.source_name else _from_provider(service, asked)
    answer.steps = _limited(service, answer.steps, allowance, own.caller)
    return answer


async def _limited(
    service: Service, steps: AsyncGenerator[Step | None, None], allowance: Allowance | None, caller: Caller
) -> AsyncGenerator[Step | None, None]:
    """Counted as a turn is, though it is none. Raises LimitReached."""
    name, model = new_id(), ""
    usage: dict[str, Any] = {}
    if allowance:
        allowance.begin(name)
    with service.limits.apart():
        try:
            async with aclosing(steps):
                async for step in steps:
                    yield step
                    if step and allowance:
                        usage, model = step.usage or usage, step.model or model
                        texts = (step.delta.get("content"), step.delta.get("reasoning_content"))
                        allowance.wrote(sum(len(text) for text in texts if isinstance(text, str)), model)
        finally:
            service.spending.count(name, usage, caller, model)


async def _let_through(hooks: Hooks, asked: Asked, caller: Caller) -> list[dict[str, Any]]:
    """The messages as the hooks leave them, as in a turn. Raises ChatError: one refused them."""
    messages = list(asked.messages)
    question = next((i for i in range(len(messages) - 1, -1, -1) if messages[i].get("role") == Role.user), None)
    if hooks.asks and question is not None:
        text = _text(messages[question], others=True)
        if (changed := await hooks.question(text, None, asked.own_metadata, caller.person)) != text:
            messages[question] = messages[question] | {"content": changed}
    return await hooks.prompt(messages)


def _from_provider(service: Service, asked: Asked) -> Answer:
    """As the provider sends it, tools, pictures and all."""
    options = dict(asked.model_extra or {})
    extra = {name: options.pop(name) for name in list(options) if name not in SENDABLE}
    if extra:
        options["extra_body"] = extra
    if asked.model:
        options["model"] = asked.model
    options["stream_options"] = {"include_usage": True}
    steps = _provided(service.openai.chat_completion_stream(asked.messages, **options))
    return Answer(Head(asked.model or ""), steps)


async def _provided(chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[Step | None, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            usage, model = chunk.get("usage"), chunk.get("model")
            choices = chunk.get("choices") or []
            for choice in choices:
                yield choice_step(choice, model)
            if usage:
                yield Step(usage=usage, model=model)


def _from_source(service: Service, asked: Asked, caller: Caller) -> Answer:
    """What REPLIES says to these messages, and no more: nothing is kept."""
    taken = option_names(service.reply)
    if taken is not None:
        _refuse_others(asked, taken - {CONTEXT})
    messages = [{"role": _role(message), "content": _text(message)} for message in asked.messages]
    options = asked.options | ({"model": asked.model} if asked.model else {})
    if taken is not None and CONTEXT in taken:
        settings = {"model": asked.model} if asked.model else {}
        options[CONTEXT] = of_no_chat(asked.own_metadata, settings, caller.person)
    return Answer(Head(asked.model or service.source_name), _told(service, messages, options))


async def _told(
    service: Service, messages: Sequence[ChatMessage], options: Mapping[str, Any]
) -> AsyncGenerator[Step | None, None]:
    settings = service.settings
    source = service.reply(messages, **options)
    async with aclosing(pieces(source, settings.first_token_timeout, settings.next_token_timeout)) as given:
        async for piece in given:
            for step in piece_steps(piece):
                yield step


async def _turn(own: OwnChats, service: Service, asked: Asked, key: str | None) -> Answer:
    """A turn of a chat. One that is named has the messages before the last already; a new one gets them."""
    _refuse_others(asked, {"temperature"})
    *before, last = [{"role": _role(message), "content": _text(message)} for message in asked.messages]
    if last["role"] != Role.user:
        raise InvalidRequest("The last message of a turn is the user's. Send one whose role is user.")
    if asked.chat_id is None:
        turn = await _first_turn(own, asked, before, last["content"], key)
    else:
        turn = await own.turns.start(last["content"], asked.chat_id, key, metadata=asked.own_metadata)
    return Answer(Head(asked.model or await service.model_name(), turn), _followed(turn), turn_headers(turn))


async def _first_turn(
    own: OwnChats, asked: Asked, before: Sequence[ChatMessage], question: str, key: str | None
) -> Turn:
    prompt = "\n\n".join(message["content"] for message in before if message["role"] == "system").strip()
    settings = {"model": asked.model, "temperature": asked.options.get("temperature"), "system_prompt": prompt or None}
    earlier = [message for message in before if message["role"] != "system"]
    if not earlier:
        return await own.turns.start(question, None, key, settings=settings, metadata=asked.own_metadata)
    if key is not None and (known := await own.library.message_by_key(key)):
        return await own.turns.start(question, known.chat_id, key, metadata=asked.own_metadata)
    chat = await own.import_chat(_chat_file(settings, earlier))
    try:
        return await own.turns.start(question, chat.id, key, metadata=asked.own_metadata)
    except BaseException:
        await own.delete_chat(chat.id)
        raise


def _chat_file(settings: Mapping[str, Any], messages: Sequence[ChatMessage]) -> str:
    """A chat that was held elsewhere, as `POST /chats/import` takes it."""
    title = title_from(messages[0]["content"])
    chained = [
        {"id": str(number), "parent_id": str(number - 1) if number else None, **message}
        for number, message in enumerate(messages)
    ]
    return json.dumps({"version": 1, "chat": {"title": title, "named": False, **settings}, "messages": chained})


async def _followed(turn: Turn) -> AsyncGenerator[Step | None, None]:
    async for batch in turn.batches(0, idle=PING_S):
        if not batch:
            yield None
        for event in batch:
            if step := event_step(event):
                yield step


async def _whole(answer: Answer) -> Response:
    try:
        async with aclosing(answer.steps):
            steps = [step async for step in answer.steps if step]
    except Exception as error:
        return _refused(error if isinstance(error, ChatError) else InternalError())
    if problem := next((step.error for step in steps if step.error), None):
        return JSONResponse({"error": _openai_error(problem)}, status_of(problem), answer.headers)
    return JSONResponse(completion(answer.head, steps), headers=answer.headers)


async def _blocks(answer: Answer, *, with_usage: bool) -> AsyncIterator[bytes]:
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    yield _block(answer.head.first())
    try:
        async with aclosing(answer.steps):
            async for step in answer.steps:
                if step is None:
                    yield sse.PING
                    continue
                usage, error = step.usage or usage, step.error or error
                if chunk := answer.head.chunk(step):
                    yield _block(chunk)
    except ChatError as problem:
        error = problem.as_dict()
    if error:
        yield _block({"error": _openai_error(error)})
    elif with_usage:
        yield _block(answer.head.last(usage))
    yield sse.block(sse.DONE)


def _block(value: Any) -> bytes:
    return f"data: {sse.dumps(value)}\n\n".encode()


def _refused(error: ChatError) -> JSONResponse:
    return error_response(_openai_error(error.as_dict()))


def _openai_error(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Ours, with the two further names that OpenAI's have."""
    kind = "invalid_request_error" if problem["code"] in ("invalid_request", "not_found") else "server_error"
    return {**problem, "type": kind, "param": None}


def _refuse_others(asked: Asked, taken: set[str]) -> None:
    """What would be left out is refused: a client must not believe that it counts."""
    if others := sorted(asked.options.keys() - taken - WHOSE):
        raise InvalidRequest(
            f"{', '.join(others)} cannot be given here. Leave {'it' if len(others) == 1 else 'them'} out."
        )


def _role(message: Mapping[str, Any]) -> str:
    role = message.get("role")
    if role not in ROLES:
        raise InvalidRequest(f"A message's role is one of {', '.join(sorted(ROLES))}, not {shown(str(role))!r}.")
    return "system" if role == "developer" else str(role)


def _text(message: Mapping[str, Any], others: bool = False) -> str:
    """Its text, which may come in parts; `others` may be beside it."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    if others:
        return "".join(text for text in texts if isinstance(text, str))
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("Only text can be sent here. Send a message's content as a text.")
    return "".join(map(str, texts))
