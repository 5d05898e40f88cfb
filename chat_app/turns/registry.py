"""The core: a turn is one user message and the reply to it, run by one task that no reader can end by leaving.

`start` saves both messages and begins; the task copies the reply source into the turn's log and the database; every
reader replays the log and follows it. Stopping is an explicit act. What is not here: where text comes from (a `Reply`
is handed in), SQL (`store`), and how readers encode what they read (`api`, `ui`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from chat_app.errors import (
    ChatError,
    InternalError,
    InvalidRequest,
    KeyReused,
    NoAnswer,
    NotFound,
    ProviderSilent,
    ShuttingDown,
    TurnRunning,
    no_turn,
    too_long,
)
from chat_app.models import Message, Role, Status
from chat_app.reply import ChatMessage, Given, Reply
from chat_app.store.store import Said, Store
from chat_app.turns.final_write import save_end, tell_end
from chat_app.turns.generation import Generation
from chat_app.turns.journal import Journal
from chat_app.turns.log import Delta, Ended, Event, Log
from chat_app.turns.turn import Turn, replay, stored_turn

logger = logging.getLogger(__name__)

LINGER_S = 60.0
# A provider that is faster than its reader would not let go of the loop: readers are served after so many pieces.
PIECES_A_STEP = 16
# So long a source that was stopped may take to clean up.
STOP_S = 5.0
CONTINUE = "Go on exactly where your answer stopped. Repeat nothing of it and add no introduction."

Begin = Callable[[], Awaitable[tuple[Message, Message, bool]]]
"""Saves the messages of a turn, see `Store.begin_turn`."""


class Turns:
    """All turns of this process. Times are in seconds.

    `context_chars` is how much of a chat the reply source can take, where that is known.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        reply: Reply,
        *,
        max_message_chars: int = 32_000,
        first_token_timeout: float = 120,
        next_token_timeout: float = 60,
        context_chars: int | None = None,
        max_answer_chars: int = 4_000_000,
    ) -> None:
        self._store = store
        self._log = log
        self._reply = reply
        self._max_message_chars = max_message_chars
        self._first_token_timeout = first_token_timeout
        self._next_token_timeout = next_token_timeout
        self._context_chars = context_chars
        self._max_answer_chars = max_answer_chars
        self._journal = Journal(store.add_rows)
        self._generations: dict[str, Generation] = {}
        self._beginning: set[asyncio.Task[str]] = set()
        self._saving: set[asyncio.Future[None]] = set()
        self._bell = asyncio.Event()
        self._closing = False
        self._on_start: list[Callable[[Turn], None]] = []
        self._on_delta: list[Callable[[Turn, Delta], None]] = []
        self._on_end: list[Callable[[Turn, Ended], None]] = []
        self.version = 0

    async def start(
        self,
        content: str,
        chat_id: str | None = None,
        key: str | None = None,
        edit_of: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Turn:
        """Save the user's message and begin the reply; no chat id makes a new chat, a known key gives its turn again.

        With `edit_of` the message is a new version of that question, in its chat. `settings` are those of a new chat,
        as `store.set_chat` takes them.

        Raises:
            ShuttingDown: the server is about to end.
            InvalidRequest: the content is empty, too long, or holds what cannot be stored.
            KeyReused: the key began a turn with other content, in another chat, or of another question.
            NotFound: there is no such chat, or no such question in it.
            TurnRunning: the chat has a running turn.
        """
        if self._closing:
            raise ShuttingDown
        self._check(content)
        if key is not None and (known := await self._store.message_by_key(key)):
            turn = await self.find(known.id)
        else:
            begin = partial(self._store.begin_turn, content, chat_id, key, edit_of, settings)
            turn = await self._shielded(begin)
        # Also after a beginning: another request may have used the key at the same moment.
        if key is not None and not await self._asks_for(turn, content, chat_id, edit_of):
            raise KeyReused
        return turn

    async def regenerate(self, reply_id: str, *, key: str | None = None) -> Turn:
        """Answer a question once more: a new version of the reply, from the start.

        Raises:
            ShuttingDown: the server is about to end.
            KeyReused: the key began a turn of another question.
            NotFound: there is no such reply.
            TurnRunning: the chat has a running turn.
        """
        return await self._another_version(reply_id, key, keep_text=False)

    async def continue_reply(self, reply_id: str, *, key: str | None = None) -> Turn:
        """Go on with a reply where it ended: a new version that begins with its text. Raises as `regenerate` does."""
        return await self._another_version(reply_id, key, keep_text=True)

    async def _another_version(self, reply_id: str, key: str | None, *, keep_text: bool) -> Turn:
        if self._closing:
            raise ShuttingDown
        old = await self._store.message(reply_id)
        if turn := await self._known(key, old):
            return turn
        head = old.content if old and keep_text else ""
        try:
            return await self._shielded(partial(self._begin_reply, reply_id, head, key))
        except TurnRunning:
            # Another request may have used the key at the same moment.
            if turn := await self._known(key, old):
                return turn
            raise

    async def _known(self, key: str | None, old: Message | None) -> Turn | None:
        """The turn that the key has begun, another version of `old`. Raises KeyReused."""
        known = await self._store.message_by_key(key) if key is not None else None
        if known is None:
            return None
        if old is None or known.parent_id != old.parent_id or known.id == old.id:
            raise KeyReused
        return await self.find(known.id)

    async def find(self, turn_id: str) -> Turn:
        """A running turn, or an ended one from its stored message. Raises NotFound."""
        if generation := self._generations.get(turn_id):
            return self._turn(generation)
        reply = await self._store.message(turn_id)
        if reply is None or reply.role != Role.assistant or reply.parent_id is None:
            raise no_turn()
        if reply.status == Status.streaming and self._beginning:
            # Saved a moment ago by a start that has not come to run it.
            await asyncio.wait(self._beginning)
        if generation := self._generations.get(turn_id):
            return self._turn(generation)
        user = await self._store.message(reply.parent_id)
        if user is None:
            raise NotFound("The message that this turn answers was deleted.")
        return stored_turn(user, reply)

    def running(self, chat_id: str) -> Turn | None:
        """The turn that runs in the chat, if one does."""
        of_chat = (generation for generation in self._generations.values() if generation.reply.chat_id == chat_id)
        return next((self._turn(generation) for generation in of_chat if not generation.over), None)

    def answering(self) -> set[str]:
        """The ids of the chats in which a turn runs."""
        return {generation.reply.chat_id for generation in self._generations.values() if not generation.over}

    def next(self, chat_id: str, after: str) -> Turn | None:
        """The first turn of the chat that is newer than the message `after` and in memory: running, or just ended."""
        newer_ones = (
            generation
            for generation in self._generations.values()
            if generation.reply.chat_id == chat_id and generation.reply.id > after
        )
        generation = min(newer_ones, key=lambda generation: generation.reply.id, default=None)
        return self._turn(generation) if generation else None

    async def stop(self, turn_id: str) -> Turn:
        """End a turn and wait until its text is saved; one that has ended stays as it is. Raises NotFound."""
        # Waits for one that is saved already and about to run.
        await self.find(turn_id)
        if generation := self._generations.get(turn_id):
            await self._stop(generation)
        return await self.find(turn_id)

    async def recover(self) -> int:
        """Mark what a dead server left running as interrupted; returns how many turns."""
        return await self._store.interrupt_orphans()

    async def changed(self, since: int) -> int:
        """Wait until `version` is another than `since`: a turn started or ended, or a chat changed. Returns it."""
        while self.version == since:
            await self._bell.wait()
        return self.version

    def announce(self) -> None:
        """Wake those who wait in `changed`."""
        self.version += 1
        self._bell.set()
        self._bell = asyncio.Event()

    def on_start(self, callback: Callable[[Turn], None]) -> None:
        """Call this whenever a turn has begun. As all three, it is called in the loop and must not wait."""
        self._on_start.append(callback)

    def on_delta(self, callback: Callable[[Turn, Delta], None]) -> None:
        """Call this for every delta, reasoning too, once readers can see it."""
        self._on_delta.append(callback)

    def on_end(self, callback: Callable[[Turn, Ended], None]) -> None:
        """Call this whenever a turn has ended and is saved. It must not wait: the page does, for what comes after."""
        self._on_end.append(callback)

    async def drop(self, chat_id: str) -> None:
        """Stop the turns of a chat that has just been deleted, also one that is about to run, and forget them."""
        if self._beginning:
            await asyncio.wait(self._beginning)
        generations = [generation for generation in self._generations.values() if generation.reply.chat_id == chat_id]
        await asyncio.gather(*(self._stop(generation) for generation in generations))
        for generation in generations:
            self._generations.pop(generation.reply.id, None)
        self.announce()

    async def close(self, grace: float = 0) -> None:
        """Start no more turns, let running ones end within `grace` seconds, then stop and save the rest."""
        self._closing = True
        if self._beginning:
            await asyncio.wait(self._beginning)
        tasks = {generation.task for generation in self._generations.values() if not generation.task.done()}
        if tasks and grace:
            await asyncio.wait(tasks, timeout=grace)
        await asyncio.gather(*(self._stop(generation) for generation in list(self._generations.values())))
        await self._journal.close()

    def _check(self, content: str) -> None:
        if not content.strip():
            raise InvalidRequest("The message is empty. Write something first.")
        if len(content) > self._max_message_chars:
            raise too_long(f"{len(content):,}", self._max_message_chars)
        if "\0" in content or any("\ud800" <= char <= "\udfff" for char in content):
            raise InvalidRequest("The message holds characters that are no text (NUL or half a surrogate pair).")

    async def _asks_for(self, turn: Turn, content: str, chat_id: str | None, edit_of: str | None) -> bool:
        """Whether a request with these values could have begun the turn. What it began stands for it: no request is
        stored, so a `chat_id` that a first message was sent without may be named when it is sent again."""
        if content != turn.user.content or chat_id not in (None, turn.chat_id):
            return False
        if edit_of is not None:
            edited = await self._store.message(edit_of)
            return edited is not None and (edited.chat_id, edited.parent_id) == (turn.chat_id, turn.user.parent_id)
        return chat_id is not None or turn.user.parent_id is None

    async def _shielded(self, begin: Begin) -> Turn:
        # Looked at once more: the server may have begun to close while the request was waiting.
        if self._closing:
            raise ShuttingDown
        # A task of its own: a caller that is cancelled meanwhile must not leave saved messages that nobody answers.
        beginning = asyncio.create_task(self._begin(begin))
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        return await self.find(await asyncio.shield(beginning))

    async def _begin(self, begin: Begin) -> str:
        try:
            return await self._save_and_run(begin)
        except TurnRunning as busy:
            if self._saving:
                # One of these may have saved it a moment ago and not come to run it.
                await asyncio.wait(self._saving)
            if (generation := self._generations.get(busy.turn_id)) and not generation.over:
                raise
            # Its end could never be saved, and nobody runs it any more: it must not block its chat for ever.
            await self._store.interrupt(busy.turn_id)
            return await self._save_and_run(begin)

    async def _save_and_run(self, begin: Begin) -> str:
        done = asyncio.get_running_loop().create_future()
        self._saving.add(done)
        try:
            user, reply, new = await begin()
            if new:
                await self._run(user, reply)
        finally:
            self._saving.discard(done)
            done.set_result(None)
        return reply.id

    async def _begin_reply(self, reply_id: str, head: str, key: str | None) -> tuple[Message, Message, bool]:
        user, reply = await self._store.begin_reply(reply_id, head, key)
        return user, reply, True

    async def _run(self, user: Message, reply: Message) -> None:
        await self._log.create(reply.id)
        generation = self._generations[reply.id] = Generation(
            user, reply, self._journal.page(reply.id, len(reply.content)), len(reply.content) + self._max_answer_chars
        )
        if reply.content:
            await self._log.append(reply.id, generation.head(reply.content))
        generation.reading = asyncio.create_task(self._generate(generation), name=f"generation {reply.id}")
        # Of a source that was left behind nobody else asks how it ended.
        generation.reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        generation.task = asyncio.create_task(self._live(generation), name=f"turn {reply.id}")
        self.announce()
        self._tell(generation, self._on_start)

    def _turn(self, generation: Generation) -> Turn:
        ended_at = generation.events[-1].seq if generation.events else None
        return Turn(
            generation.user, generation.reply, ended_at, lambda after, idle: self._follow(generation, after, idle)
        )

    def _follow(self, generation: Generation, after: int, idle: float | None) -> AsyncIterator[list[Event]]:
        return (
            replay(generation.events, after)
            if generation.events
            else self._log.follow(generation.reply.id, after, idle)
        )

    async def _live(self, generation: Generation) -> None:
        """The whole life of a turn. Nobody cancels this task: `stop` cancels the generation inside it."""
        status: Status = Status.failed
        error: ChatError | None = None
        try:
            await asyncio.wait({generation.reading, generation.left}, return_when=asyncio.FIRST_COMPLETED)
            if not generation.left.done():
                await generation.reading
            status = Status.stopped if generation.left.done() else Status.complete
        except asyncio.CancelledError:
            if generation.stopping:
                status = Status.stopped
            else:
                logger.exception("the reply source %s of turn %s cancelled itself", self._source, generation.reply.id)
                error = InternalError()
        except ChatError as problem:
            error = problem
        except Exception:
            logger.exception("turn %s failed", generation.reply.id)
            error = InternalError()
        finally:
            await self._end(generation, status, error)

    async def _generate(self, generation: Generation) -> None:
        settings = await self._store.options(generation.reply.chat_id)
        options = {name: value for name, value in settings.items() if value is not None}
        system_prompt = options.pop("system_prompt", None)
        history = [{"role": "system", "content": system_prompt}] if system_prompt else []
        # The first question of a chat has nothing before it.
        asked: Sequence[Message | Said] = [generation.user]
        if generation.user.parent_id:
            asked = await self._store.context(generation.reply.id, self._context_chars)
        history += [_chat_message(message) for message in asked]
        if generation.reply.content:
            history += [_chat_message(generation.reply), {"role": Role.user.value, "content": CONTINUE}]
        try:
            await self._read(generation, self._reply(history, **options))
        except (ChatError, asyncio.CancelledError):
            raise
        except BaseException as problem:
            # SystemExit, too, is the source's own: out of a task it would end the event loop.
            logger.exception("turn %s failed", generation.reply.id)
            raise InternalError from problem

    async def _read(self, generation: Generation, source: AsyncGenerator[Any, None]) -> None:
        limit = asyncio.timeout(self._first_token_timeout)
        try:
            async with limit, aclosing(source) as pieces:
                count = 0
                async for given in pieces:
                    if generation.stopping:
                        # The source took the cancel for something else.
                        raise asyncio.CancelledError
                    await self._append(generation, given)
                    if generation.full:
                        generation.finish_reason = "length"
                        return
                    # A piece without text, such as the role alone, is no first token.
                    if generation.deltas:
                        limit.reschedule(asyncio.get_running_loop().time() + self._next_token_timeout)
                    count += 1
                    if count % PIECES_A_STEP == 0:
                        await asyncio.sleep(0)
                if not generation.answered:
                    raise NoAnswer("The answer came out empty. Try again.")
        except TimeoutError:
            if not limit.expired():
                raise
            raise ProviderSilent("The model was silent for too long. Try again, or choose a faster model.") from None

    async def _append(self, generation: Generation, given: Given) -> None:
        if generation.page.late():
            await self._journal.catch_up(generation.page)
        if not (events := generation.take(given)):
            return
        if generation.page.far():
            await self._journal.catch_up(generation.page)
        await self._log.append(generation.reply.id, *events)
        if self._on_delta:
            for event in events:
                if isinstance(event, Delta):
                    self._tell(generation, self._on_delta, event)

    async def _end(self, generation: Generation, status: Status, error: ChatError | None) -> None:
        ended = generation.ended(status, error)
        try:
            await self._journal.finish(generation.page)
            await save_end(self._store, generation, ended, lambda: self._closing)
        except BaseException as problem:
            # What was not saved must not be called complete.
            logger.exception("the end of turn %s could not be saved", generation.reply.id)
            ended = generation.ended(Status.failed, InternalError())
            if not isinstance(problem, Exception):
                raise
        finally:
            generation.end(ended)
            tell_end(generation, ended, error)
            await self._log.append(generation.reply.id, ended)
            await self._log.drop(generation.reply.id)
            asyncio.get_running_loop().call_later(LINGER_S, self._generations.pop, generation.reply.id, None)
            self.announce()
            self._tell(generation, self._on_end, ended)

    def _tell(self, generation: Generation, callbacks: Sequence[Callable[..., None]], *event: Event) -> None:
        for callback in callbacks:
            try:
                callback(self._turn(generation), *event)
            except BaseException:
                # SystemExit would end the event loop.
                logger.exception("a callback of turn %s failed", generation.reply.id)

    async def _stop(self, generation: Generation) -> None:
        if generation.task.done():
            return
        generation.stopping = True
        generation.reading.cancel()
        await asyncio.wait({generation.reading, generation.task}, timeout=STOP_S, return_when=asyncio.FIRST_COMPLETED)
        if not generation.reading.done() and not generation.left.done():
            logger.error("the reply source %s does not end when it is stopped; it is left behind", self._source)
            generation.left.set_result(None)
        await asyncio.wait({generation.task})

    @property
    def _source(self) -> str:
        name = getattr(self._reply, "__qualname__", type(self._reply).__qualname__)
        return f"{self._reply.__module__}.{name}"


def _chat_message(message: Message | Said) -> ChatMessage:
    return {"role": message.role, "content": message.content}
