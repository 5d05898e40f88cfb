"""What others want to do with turns: change or refuse a question, change what a model is sent, be told.

How a hook is called is handed in (`Call`, `Apart`): here only what is given to it, and what is done with what it gives.
"""

import asyncio
import copy
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chat_app.caller import Person
from chat_app.errors import ChatError, InternalError
from chat_app.reply import ChatMessage, storable
from chat_app.turns.log import Delta, Ended
from chat_app.turns.turn import Turn

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks, before it is saved. `chat_id` is None in a new chat; `person` on a
    server without accounts."""

    content: str
    chat_id: str | None = None
    person: Person | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


QuestionHook = Callable[[Question], Awaitable[str | None] | str | None]
Messages = Sequence[ChatMessage] | None
PromptHook = Callable[[list[ChatMessage]], Awaitable[Messages] | Messages]
Call = Callable[[Callable[..., Any], Any], Awaitable[Any]]
Apart = Callable[[Callable[..., Any]], Callable[..., None]]


async def call_here(hook: Callable[..., Any], argument: Any) -> Any:
    result = hook(argument)
    return await result if inspect.isawaitable(result) else result


class Hooks:
    """`call` calls a hook whose answer is waited for; `apart` makes of a function one that is told of turns and delays
    nobody."""

    def __init__(self, call: Call = call_here, apart: Apart = lambda hook: hook) -> None:
        self._call = call
        self._apart = apart
        self._questions: list[QuestionHook] = []
        self._prompts: list[PromptHook] = []
        self.start: list[Callable[[Turn], None]] = []
        self.first: list[Callable[[Turn], None]] = []
        self.delta: list[Callable[[Turn, Delta], None]] = []
        self.end: list[Callable[[Turn, Ended], None]] = []

    def on_question(self, hook: QuestionHook) -> None:
        self._questions.append(hook)

    def on_prompt(self, hook: PromptHook) -> None:
        self._prompts.append(hook)

    def on_start(self, hook: Callable[..., Any]) -> None:
        self.start.append(self._apart(hook))

    def on_delta(self, hook: Callable[..., Any]) -> None:
        self.delta.append(self._apart(hook))

    def on_end(self, hook: Callable[..., Any]) -> None:
        self.end.append(self._apart(hook))

    @property
    def asks(self) -> bool:
        """Whether a question may be changed."""
        return bool(self._questions)

    async def question(
        self,
        content: str,
        chat_id: str | None,
        metadata: Mapping[str, Any] | None,
        person: Person | None = None,
    ) -> str:
        """The question as the hooks leave it, one after the other. Raises ChatError: one refused it, or failed."""
        for hook in self._questions:
            given = MappingProxyType(copy.deepcopy(dict(metadata or {})))
            changed = await self._called(hook, Question(content, chat_id, person, given))
            if changed is not None:
                content = _text(hook, changed)
        return content

    async def prompt(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """The messages as the hooks leave them. Raises ChatError: one refused them, or failed."""
        told = list(messages)
        for hook in self._prompts:
            changed = await self._called(hook, copy.deepcopy(told))
            if changed is not None:
                told = _messages(hook, changed)
        return told

    async def _called(self, hook: Callable[..., Any], argument: Any) -> Any:
        """What it gives. Where it fails nothing goes on: what it was to keep out must not get through."""
        try:
            return await self._call(hook, argument)
        except ChatError:
            raise
        except BaseException as problem:
            task = asyncio.current_task()
            if isinstance(problem, asyncio.CancelledError) and task and task.cancelling():
                raise
            # SystemExit, too, is the hook's own.
            logger.exception("the hook %s failed", name_of(hook))
            raise InternalError from problem


def name_of(hook: Any) -> str:
    return f"{getattr(hook, '__module__', '')}.{getattr(hook, '__qualname__', type(hook).__qualname__)}"


def _text(hook: Any, changed: Any) -> str:
    if isinstance(changed, str) and changed.strip():
        return storable(changed)
    what = "an empty text" if isinstance(changed, str) else f"a {type(changed).__name__}"
    logger.error("the hook %s returned %s; return the changed question, or None", name_of(hook), what)
    raise InternalError


def _messages(hook: Any, changed: Any) -> list[ChatMessage]:
    if isinstance(changed, list | tuple) and changed and all(_is_message(one) for one in changed):
        return list(changed)
    logger.error("the hook %s returned no messages; return a list of {'role': …, 'content': …}, or None", name_of(hook))
    raise InternalError


def _is_message(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("role"), str) and "content" in one
