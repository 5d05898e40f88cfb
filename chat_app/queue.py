"""Questions that were asked while an answer was being written: each waits on the server until it is its turn.

The line of a chat goes on when its answer is complete. After one that was stopped, failed or was cut off it is held:
what comes next may depend on an answer that is not there, so a person says when it goes on. Nothing here decides what
is true of a turn or of the line: the one is asked of `Turns`, the other is a table, which a question leaves in the same
transaction that begins its turn.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from chat_app.backoff import Backoff
from chat_app.caller import LOCAL, Caller, Kind
from chat_app.errors import ChatError, DatabaseUnavailable, NotFound, ShuttingDown, TurnRunning, not_queued
from chat_app.limits import Limits
from chat_app.models import Queued, new_id
from chat_app.store import queue as statements
from chat_app.store.queue import Line
from chat_app.store.store import Store
from chat_app.turns.log import Ended
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn

logger = logging.getLogger(__name__)
EMPTY = Line()


class Queue:
    """The lines of all chats, from `open` to `close`."""

    def __init__(self, store: Store, turns: Turns, limits: Limits | None = None, *, accounts: bool = False) -> None:
        self._accounts = accounts
        self._store = store
        self._limits = limits
        self._turns = turns
        # Where it is worth to look, and whose it is: nearly every chat has never had a line.
        self._chats: dict[str, str] = {}
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._going: set[asyncio.Task[None]] = set()
        self._closed = False
        turns.on_end(self._ended)

    async def open(self) -> None:
        """What may go on goes on: an answer may have been complete when the server ended. In chats from before there
        were accounts nobody asks any more, until they are somebody's."""
        self._chats |= await self._store.database.read(statements.chats)
        for chat_id, owner in list(self._chats.items()):
            if owner or not self._accounts:
                self._soon(self._go_on(chat_id), chat_id)

    async def close(self) -> None:
        """From now on no line goes on: answers that end after this would have it read from a database that closes."""
        self._closed = True
        for task in self._going:
            task.cancel()
        if self._going:
            await asyncio.wait(self._going)

    async def ask(
        self,
        content: str,
        chat_id: str | None = None,
        key: str | None = None,
        edit_of: str | None = None,
        settings: Mapping[str, Any] | None = None,
        caller: Caller = LOCAL,
        *,
        counted: bool = False,
    ) -> Turn | Queued:
        """`Turns.start`, but where the chat has a running turn the question waits. So it does behind those that are
        about to be asked; those that are held do not hold it up.

        A new version of a question (`edit_of`) never waits. `counted`: as a request, by the door.

        Raises as `Turns.start` does, QueueFull, TooManyRequests.
        """
        if self._limits and not counted:
            await self._limits.count_request(caller, "")
        question = None
        if chat_id and edit_of is None:
            question = Queued(chat_id=chat_id, content=content, key=key or new_id(), caller=_kept(caller))
            if await self._busy(chat_id, caller) and await self._add(question, caller):
                return question
        try:
            return await self._turns.start(content, chat_id, key, edit_of, settings, caller=caller)
        except TurnRunning:
            if question is None or not await self._add(question, caller):
                raise
            return question

    async def line(self, chat_id: str, owner: str = "") -> Line:
        """What waits in a chat of the owner's."""
        if chat_id not in self._chats:
            return EMPTY
        line = await self._store.database.read(lambda connection: statements.line(connection, owner, chat_id))
        if line.questions and self._chats[chat_id] != owner:
            # Adopted since, perhaps by another process.
            self._chats[chat_id] = owner
            self._soon(self._go_on(chat_id), chat_id)
        return line

    async def change(self, chat_id: str, question_id: str, content: str, owner: str = "") -> None:
        """Raises InvalidRequest; NotFound: it does not wait any more."""
        self._turns.check(content)
        await self._store.database.write(
            lambda connection: statements.change(connection, owner, chat_id, question_id, content)
        )
        self._tell(chat_id)

    async def remove(self, chat_id: str, question_id: str, owner: str = "") -> None:
        """Raises NotFound: it does not wait any more."""
        await self._store.database.write(lambda connection: statements.remove(connection, owner, chat_id, question_id))
        self._tell(chat_id)
        # Those behind it may have waited for it only.
        self._soon(self._go_on(chat_id), chat_id)

    async def send_now(self, chat_id: str, question_id: str, owner: str = "") -> Turn:
        """Ask it although the line is held. Raises NotFound: it does not wait any more, and as `Turns.start` does."""
        found = [one for one in (await self.line(chat_id, owner)).questions if one.id == question_id]
        if not found:
            raise not_queued()
        turn = await self._start(found[0])
        self._tell(chat_id)
        return turn

    @contextmanager
    def bell(self, chat_id: str) -> Iterator[asyncio.Event]:
        """It rings whenever the line of the chat has changed, but for a question that begins: a turn tells that."""
        bell = asyncio.Event()
        self._bells.setdefault(chat_id, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[chat_id].discard(bell)
            if not self._bells[chat_id]:
                del self._bells[chat_id]

    async def _busy(self, chat_id: str, caller: Caller) -> bool:
        if await self._turns.running(chat_id, caller):
            return True
        line = await self.line(chat_id, caller.owner)
        return bool(line.questions) and not line.held

    async def _add(self, question: Queued, caller: Caller) -> bool:
        """Whether it waits; if not, its key has begun a turn."""
        self._turns.check(question.content)
        if not await self._store.database.write(lambda connection: statements.add(connection, caller.owner, question)):
            return False
        self._chats[question.chat_id] = caller.owner
        self._tell(question.chat_id)
        if not await self._turns.running(question.chat_id, caller):
            # It has ended since, and saw nobody waiting.
            self._soon(self._go_on(question.chat_id), question.chat_id)
        return True

    def _ended(self, turn: Turn, _ended: Ended) -> None:
        if turn.chat_id in self._chats and not self._closed:
            self._soon(self._go_on(turn.chat_id), turn.chat_id)

    async def _go_on(self, chat_id: str) -> None:
        """Ask the first in the line, if it may go on; whoever sees the line is told how it is."""
        backoff = Backoff("a question that waits could not be asked")
        while True:
            try:
                if not await self._next(chat_id):
                    return
            except DatabaseUnavailable:
                await backoff.failed()
            except (ShuttingDown, TurnRunning):
                # The next start goes on, or the end of that turn.
                return

    async def _next(self, chat_id: str) -> bool:
        """Whether there is more to do. Raises ChatError: it is not the question's fault."""
        owner = self._chats[chat_id]
        line = await self.line(chat_id, owner)
        if line.held:
            self._tell(chat_id)
        if line.held or not line.questions:
            return False
        first = line.questions[0]
        try:
            turn = await self._start(first)
        except (DatabaseUnavailable, ShuttingDown, TurnRunning):
            raise
        except NotFound as gone:
            # Changed or removed meanwhile, or its chat was.
            if (await self.line(chat_id, owner)).questions[:1] == (first,):
                await self._refuse(first, gone)
            return True
        except Exception as problem:
            await self._refuse(first, problem)
            return True
        if turn.ended_at is None:
            return False
        # One that its key had begun before has left no room in the line.
        with suppress(NotFound):
            await self.remove(chat_id, first.id, owner)
        return True

    async def _start(self, question: Queued) -> Turn:
        return await self._turns.start(
            question.content, question.chat_id, question.key, caller=caller_of_question(question), queued=question
        )

    async def _refuse(self, question: Queued, problem: Exception) -> None:
        error = problem if isinstance(problem, ChatError) else None
        if error is None:
            logger.error("a question that waited could not be asked", exc_info=problem)
        told = (error or ChatError("Something went wrong on the server. Send it once more.")).as_dict()
        await self._store.database.write(lambda connection: statements.refuse(connection, question, told))

    def _tell(self, chat_id: str) -> None:
        for bell in self._bells.get(chat_id, ()):
            bell.set()

    def _soon(self, work: Coroutine[Any, Any, None], chat_id: str) -> None:
        task = asyncio.create_task(work, name=f"queue {chat_id}")
        self._going.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            logger.error("the questions that wait in a chat do not go on", exc_info=problem)


def _kept(caller: Caller) -> dict[str, str]:
    """Who asks, as it is stored with the question."""
    return {"owner": caller.owner, "name": caller.name, "kind": caller.kind, "key_id": caller.key_id}


def caller_of_question(question: Queued) -> Caller:
    """Who asked; they could when they did."""
    return Caller(**question.caller | {"kind": Kind(question.caller["kind"])})


class OwnQueue:
    """The lines of one caller's chats; what changes one raises ReadOnly where the caller may only read."""

    def __init__(self, queue: Queue, caller: Caller) -> None:
        self._queue = queue
        self._caller = caller
        self.bell = queue.bell

    async def ask(
        self,
        content: str,
        chat_id: str | None = None,
        key: str | None = None,
        edit_of: str | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        counted: bool = False,
    ) -> Turn | Queued:
        self._caller.may_change()
        return await self._queue.ask(content, chat_id, key, edit_of, settings, self._caller, counted=counted)

    async def line(self, chat_id: str) -> Line:
        return await self._queue.line(chat_id, self._caller.owner)

    async def change(self, chat_id: str, question_id: str, content: str) -> None:
        self._caller.may_change()
        await self._queue.change(chat_id, question_id, content, self._caller.owner)

    async def remove(self, chat_id: str, question_id: str) -> None:
        self._caller.may_change()
        await self._queue.remove(chat_id, question_id, self._caller.owner)

    async def send_now(self, chat_id: str, question_id: str) -> Turn:
        self._caller.may_change()
        return await self._queue.send_now(chat_id, question_id, self._caller.owner)
