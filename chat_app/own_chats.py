"""The chats of one caller: all that a door can read and change. `service.of(caller)` gives it.

Whose a chat is, is a part of every statement below, so that somebody else's is not found by the same way as one that
never was. What changes something asks first whether the caller may.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from chat_app.bills import Bill, Bills
from chat_app.caller import Caller
from chat_app.errors import InvalidRequest, shown
from chat_app.insights import Figures
from chat_app.measures import Measure, Measures, Survey
from chat_app.models import Chat, Message
from chat_app.queue import OwnQueue, Queue
from chat_app.store.chatfiles.process import read
from chat_app.store.chatfiles.reading import Imported
from chat_app.store.library import Library
from chat_app.store.store import Store
from chat_app.trash import Trash
from chat_app.turns.own import OwnTurns
from chat_app.turns.registry import Turns


@dataclass(frozen=True, slots=True)
class Shared:
    """What all callers' chats stand on. `source_models` is what REPLIES lets people choose from."""

    store: Store
    turns: Turns
    trash: Trash
    measures: Measures
    bills: Bills
    queue: Queue
    source_models: tuple[str, ...] = ()


class OwnChats:
    """They read chats from `library` and turns from `turns`, and change them by what is here, which announces it.

    What changes something raises ReadOnly where the caller may only read.
    """

    def __init__(self, caller: Caller, shared: Shared) -> None:
        self.caller = caller
        self.library = Library(shared.store.database).of(caller.owner)
        self.turns = OwnTurns(shared.turns, caller)
        self.queue = OwnQueue(shared.queue, caller)
        self._shared = shared
        self._store = shared.store.of(caller.owner)
        self._announce = partial(shared.turns.announce, caller.owner)

    async def stop(self, turn: str) -> Message:
        """End a turn, named by its id or by the idempotency key that began it; one that has ended stays as it is.

        Returns:
            The reply with its text so far.

        Raises:
            NotFound: there is no such turn.
        """
        self.caller.may_change()
        known = await self._store.message_by_key(turn)
        stopped = await self.turns.stop(known.id if known else turn)
        return await self._store.message(stopped.id) or stopped.reply

    async def create_chat(self, title: str | None = None) -> Chat:
        """Without a title, the chat gets one from its first message."""
        self.caller.may_change()
        chat = await self._store.create_chat(title)
        await self._announce()
        return chat

    async def set_chat(self, chat_id: str, **values: Any) -> Chat:
        """`store.set_chat`, announced. Raises NotFound; InvalidRequest: it has no such model."""
        self.caller.may_change()
        models = self._shared.source_models
        if models and values.get("model") and values["model"] not in models:
            listed = ", ".join(models)
            raise InvalidRequest(f"There is no model {shown(str(values['model']))!r} here. Choose one of: {listed}.")
        chat = await self._store.set_chat(chat_id, **values)
        await self._announce()
        return chat

    async def rename_chat(self, chat_id: str, title: str) -> Chat:
        """Raises NotFound."""
        return await self.set_chat(chat_id, title=title)

    async def choose(self, message_id: str) -> Chat:
        """`store.choose`, announced. Raises NotFound."""
        self.caller.may_change()
        chat = await self._store.choose(message_id)
        await self._announce()
        return chat

    async def rate(self, message_id: str, rating: int, remark: str = "") -> Message:
        """`store.rate`, announced. Raises InvalidRequest, NotFound."""
        self.caller.may_change()
        message = await self._store.rate(message_id, rating, remark)
        await self._shared.measures.rated(message_id)
        await self._announce()
        return message

    async def import_chat(self, data: str | bytes) -> Chat:
        """`store.import_chat`, announced. Raises InvalidRequest."""
        self.caller.may_change()
        chat = await self._store.import_chat(data)
        await self._announce()
        return chat

    async def import_file(self, path: Path) -> AsyncGenerator[Imported, None]:
        """Import all chats of a file, or none; says after each step how far it is, and at the end what has come.

        Not read to the end, or closed, it imports nothing. Raises InvalidRequest, with a sentence.
        """
        self.caller.may_change()
        imported = Imported()
        async with self._store.importing() as add, aclosing(read(path)) as batches:
            async for batch in batches:
                await add(batch.chats, batch.messages)
                imported.add(batch)
                yield imported
        await self._announce()

    async def delete_chat(self, chat_id: str) -> None:
        """Delete the chat for good and stop what runs in it. Raises NotFound."""
        self.caller.may_change()
        # First deleted, so that nothing begins in it any more.
        await self._store.delete_chat(chat_id)
        await self._shared.turns.drop(chat_id, self.caller.owner)
        self._shared.trash.forget_soon()

    async def trash_chat(self, chat_id: str) -> None:
        """Delete the chat, so that `restore_chat` can bring it back for `TRASH_S` seconds, and stop what runs in it.

        Raises:
            NotFound: there is no such chat.
        """
        self.caller.may_change()
        await self._store.trash_chat(chat_id)
        await self._shared.turns.drop(chat_id, self.caller.owner)
        self._shared.trash.empty_later(chat_id)

    async def restore_chat(self, chat_id: str) -> Chat:
        """Raises NotFound: there is no such chat, also not in the trash."""
        self.caller.may_change()
        chat = await self._store.restore_chat(chat_id)
        await self._announce()
        return chat

    # What it costs, and how it came

    async def bill_of_answer(self, message_id: str) -> Bill | None:
        """None: it is gone, or nothing is known of it."""
        return await self._shared.bills.of_answer(message_id, self.caller.owner)

    async def bill_of_chat(self, chat_id: str) -> Bill | None:
        """All its answers, other versions too: they were paid for."""
        return await self._shared.bills.of_chat(chat_id, self.caller.owner)

    async def filled(self, chat_id: str) -> float | None:
        """Which share of the model's context the chat filled with its last answer; None where that is not known."""
        return await self._shared.bills.filled(chat_id, self.caller.owner)

    async def report(self, measure: Measure, address: str) -> None:
        """Keep what a browser measured of an own answer. Raises as `Measures.take` does."""
        self.caller.may_change()
        await self._shared.measures.take(measure, address, self.caller.owner)

    async def answer_survey(self, survey: Survey, address: str) -> None:
        """Raises as `Measures.answer_survey` does."""
        self.caller.may_change()
        await self._shared.measures.answer_survey(survey, address)

    async def figures(self, days: int) -> Figures:
        """Of all people, but of what they wrote of single answers only the caller's own.

        Raises:
            AdministratorsOnly.
        """
        self.caller.must_run_the_server()
        return await self._shared.measures.figures(days, self.caller.owner)
