"""A chat's title, made by the model in the background after the first complete exchange. Failures are silent: the first
line of the question is there already."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chat_app.models import Role, Status
from chat_app.names import clean_name
from chat_app.replies.chunk import completion_text
from chat_app.replies.thinking import spoken
from chat_app.reply import ChatMessage
from chat_app.store.store import Store
from chat_app.turns.log import Ended
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn

logger = logging.getLogger(__name__)

TITLE_S = 30.0
MAX_TITLE_CHARS = 60
READ_CHARS = 2_000
INSTRUCTION = (
    "You name conversations. Answer with a title of two to six words for the conversation below, in its language: "
    "one line, no quotation marks, no period, nothing else."
)

Complete = Callable[..., Awaitable[dict[str, Any]]]
"""`OpenAIService.chat_completion`."""


class Titles:
    """Listens to the turns from its making to `close`."""

    def __init__(self, store: Store, turns: Turns, complete: Complete) -> None:
        self._store = store
        self._turns = turns
        self._complete = complete
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        turns.on_end(self._ended)

    async def close(self) -> None:
        """Give up what is under way and begin nothing more."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, turn: Turn, ended: Ended) -> None:
        chat_id = turn.chat_id
        if self._closed or ended.status is not Status.complete or chat_id in self._tasks:
            return
        task = self._tasks[chat_id] = asyncio.create_task(
            self._name(chat_id, turn.caller.owner), name=f"title {chat_id}"
        )
        task.add_done_callback(lambda _: self._tasks.pop(chat_id))

    async def _name(self, chat_id: str, owner: str) -> None:
        store = self._store.of(owner)
        try:
            if (request := await _request(store, chat_id)) and (title := await self._ask(*request)):
                # Shielded: a cancelled statement costs its connection.
                named = await asyncio.shield(store.name_chat(chat_id, title))
                if named:
                    await self._turns.announce(owner)
        except Exception as problem:
            logger.debug("chat %s gets no title of the model's: %s", chat_id, problem)

    async def _ask(self, messages: Sequence[ChatMessage], model: str | None) -> str | None:
        options = {"model": model} if model else {}
        async with asyncio.timeout(TITLE_S):
            completion = await self._complete(messages, **options)
        return sane_title(completion_text(completion))


async def _request(store: Store, chat_id: str) -> tuple[list[ChatMessage], str | None] | None:
    """What to ask and which model, where a title is wanted: in the first exchange of a chat without a name."""
    chat = await store.chat(chat_id)
    if chat.named:
        return None
    match [item.message for item in (await store.path_page(chat_id, limit=3)).items]:
        case [question, answer] if question.role == Role.user and answer.role == Role.assistant and answer.content:
            return title_request(question.content, answer.content), chat.model
    return None


def title_request(question: str, answer: str) -> list[ChatMessage]:
    exchange = f"Question:\n{question[:READ_CHARS]}\n\nAnswer:\n{answer[:READ_CHARS]}"
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": exchange}]


def sane_title(text: Any) -> str | None:
    """The title in a model's answer, without what models like to put around it; None if it is none."""
    if not isinstance(text, str):
        return None
    title = re.sub(r"^[#*_\s]*title[*_\s]*[:：][*_\s]*", "", spoken(text).strip(), flags=re.IGNORECASE)
    title = title.strip(" \t#*_`\"'“”„«»‘’「」『』").rstrip(".。 ")
    if not 0 < len(title) <= MAX_TITLE_CHARS or clean_name(title) != title:
        return None
    return title
