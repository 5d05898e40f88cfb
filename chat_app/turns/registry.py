"""The core: a turn is one user message and the reply to it, run by one task that no reader can end by leaving.

`start` saves both messages and begins; the task copies the reply source into the turn's log and the database; every
reader replays the log and follows it. Stopping is an explicit act. What is not here: where text comes from (a `Reply`
is handed in), SQL (`store`), and how readers encode what they read (`api`, `ui`).
"""

import asyncio
import hashlib
import logging
import math
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

from chat_app.caller import LOCAL, Caller, Kind, Person
from chat_app.errors import (
    BadReply,
    ChatError,
    InternalError,
    InvalidRequest,
    KeyReused,
    LimitReached,
    NotFound,
    ShuttingDown,
    TurnRunning,
    no_turn,
    too_long,
)
from chat_app.models import Message, Queued, Role, Status, new_id
from chat_app.reply import ChatMessage, Given, Reply
from chat_app.store.statements import Prompt, Said
from chat_app.store.store import Store
from chat_app.turns.allowance import Allowance
from chat_app.turns.backplane import Backplane, Entry
from chat_app.turns.final_write import give_up, save_end, tell_end, tell_fault
from chat_app.turns.generation import Generation
from chat_app.turns.hooks import Hooks, PromptHook, QuestionHook
from chat_app.turns.journal import Journal
from chat_app.turns.log import Delta, Ended, Event, Rest
from chat_app.turns.source import Stopped, not_silent, own_faults, said_nothing
from chat_app.turns.turn import Turn, stored_turn
from chat_app.turns.whereabouts import whereabouts

logger = logging.getLogger(__name__)

# A provider that is faster than its reader would not let go of the loop: readers are served after so many pieces.
PIECES_A_STEP = 16
# So long a source that was stopped may take to clean up.
STOP_S = 5.0
CONTINUE = "Go on exactly where your answer stopped. Repeat nothing of it and add no introduction."

ContextOf = Callable[[Message, Message, Mapping[str, Any], Person | None], AbstractAsyncContextManager[Any]]
"""What a reply source gets as `context`, where it asks for one: of the question, the reply, the
chat's settings, and who asks."""
Begin = Callable[[Prompt], Awaitable[tuple[Message, Message, bool]]]
"""Saves the messages of a turn and fills in its prompt, see `Store.begin_turn`."""


Allow = Callable[[int, int, Caller], Awaitable[Allowance | None]]
"""Asked before a turn begins: how many run, how many of the caller's own, and the caller. It may raise a ChatError."""


async def no_limits(_running: int, _own: int, _caller: Caller) -> None:
    return None


class Turns:
    """All turns. Those that are started here run in this process. Times are in seconds.

    A `caller` finds the turns of their own chats and no others; `OwnTurns` is what the doors have of all this.

    `context_chars` is how much of a chat the reply source is given, from its newest message on.
    """

    def __init__(
        self,
        store: Store,
        backplane: Backplane,
        reply: Reply,
        *,
        max_message_chars: int = 32_000,
        first_token_timeout: float = 120,
        next_token_timeout: float = 60,
        context_chars: int = 400_000,
        max_answer_chars: int = 4_000_000,
        context: ContextOf | None = None,
        hooks: Hooks | None = None,
        allow: Allow = no_limits,
    ) -> None:
        self._store = store
        self._backplane = backplane
        self._name = new_id()
        self._reply = reply
        self._max_message_chars = max_message_chars
        self._first_token_timeout = first_token_timeout
        self._next_token_timeout = next_token_timeout
        self._context_chars = context_chars
        self._max_answer_chars = max_answer_chars
        self._context = context
        self._allow = allow
        self._journal = Journal(store.add_rows)
        # What this process has under way. What is true of a turn is asked of the backplane.
        self._beginning: set[asyncio.Task[tuple[str, bool]]] = set()
        self._running: set[Generation] = set()
        self._starting = Counter[str]()
        self._closing = False
        self.hooks = hooks or Hooks()

    async def start(
        self,
        content: str,
        chat_id: str | None = None,
        key: str | None = None,
        edit_of: str | None = None,
        settings: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        caller: Caller = LOCAL,
        queued: Queued | None = None,
    ) -> Turn:
        """Save the user's message and begin the reply; no chat id makes a new chat, a known key gives its turn again.

        With `edit_of` the message is a new version of that question, in its chat. `settings` are those of a new chat,
        as `store.set_chat` takes them, and `metadata` is JSON that the reply source may ask for. A `queued` question
        leaves its line as the turn begins.

        Raises:
            ShuttingDown: the server is about to end.
            InvalidRequest: the content is empty, too long, or holds what cannot be stored.
            KeyReused: the key began a turn with other content, in another chat, or of another question.
            NotFound: there is no such chat, or no such question in it, or the `queued` one does not wait any more.
            TurnRunning: the chat has a running turn.
        """
        self._refuse_if_closing()
        self.check(content)
        turn, new = await self._let_through(key, caller), False
        if turn is None:
            asked, sent = content, None
            if self.hooks.asks:
                asked = await self.hooks.question(content, chat_id, metadata, caller.person)
                sent = digest(content) if asked != content else None
            store, allowed = self._store.of(caller.owner), self._refuse_if_closing
            begin = partial(
                store.begin_turn, asked, chat_id, key, edit_of, settings, allowed, metadata, sent, queued=queued
            )
            try:
                turn, new = await self._shielded(lambda prompt: begin(prompt=prompt), caller)
            except LimitReached:
                # What is sent again takes nothing.
                known = await store.message_by_key(key) if key is not None else None
                if known is None:
                    raise
                turn = await self.find(known.id, caller)
        if not new and not await self._asks_for(turn, content, chat_id, edit_of, metadata):
            raise KeyReused
        return turn

    async def regenerate(self, reply_id: str, *, key: str | None = None, caller: Caller = LOCAL) -> Turn:
        """Answer a question once more: a new version of the reply, from the start.

        Raises:
            ShuttingDown: the server is about to end.
            KeyReused: the key began a turn of another question.
            NotFound: there is no such reply.
            TurnRunning: the chat has a running turn.
        """
        return await self._another_version(reply_id, key, caller, keep_text=False)

    async def continue_reply(self, reply_id: str, *, key: str | None = None, caller: Caller = LOCAL) -> Turn:
        """Go on with a reply where it ended: a new version that begins with its text. Raises as `regenerate` does."""
        return await self._another_version(reply_id, key, caller, keep_text=True)

    async def _another_version(self, reply_id: str, key: str | None, caller: Caller, *, keep_text: bool) -> Turn:
        self._refuse_if_closing()
        content, store = None if keep_text else "", self._store.of(caller.owner)

        async def begin(prompt: Prompt) -> tuple[Message, Message, bool]:
            return *await store.begin_reply(reply_id, content, key, self._refuse_if_closing, prompt=prompt), True

        try:
            turn, _ = await self._shielded(begin, caller)
            return turn
        except (LimitReached, NotFound, TurnRunning):
            # Asked only now: nearly every key is new.
            if known := await self._known(key, reply_id, caller):
                return known
            raise

    async def _known(self, key: str | None, reply_id: str, caller: Caller) -> Turn | None:
        """The turn that the key has begun, another version of the reply. Raises KeyReused."""
        store = self._store.of(caller.owner)
        known = await store.message_by_key(key) if key is not None else None
        if known is None:
            return None
        old = await store.message(reply_id)
        if old is None or known.parent_id != old.parent_id or known.id == old.id:
            raise KeyReused
        return await self.find(known.id, caller)

    async def find(self, turn_id: str, caller: Caller = LOCAL) -> Turn:
        """A running turn, or an ended one from its stored message. Raises NotFound."""
        store = self._store.of(caller.owner)
        if entry := await self._entry(turn_id, caller):
            return self._turn(entry)
        # Of somebody else's turn that runs, the database says the same as of none.
        reply = await store.message(turn_id)
        if reply is None or reply.role != Role.assistant or reply.parent_id is None:
            raise no_turn()
        if reply.status == Status.streaming:
            # Saved a moment ago by a start that has not come to run it; it may even have ended by now.
            await self._backplane.begun()
            if entry := await self._entry(turn_id, caller):
                return self._turn(entry)
            reply = await store.message(turn_id) or reply
        user = await store.message(reply.parent_id or "")
        if user is None:
            raise NotFound("The message that this turn answers was deleted.")
        return stored_turn(user, reply, caller)

    async def _entry(self, turn_id: str, caller: Caller) -> Entry | None:
        entry = await self._backplane.turn(turn_id)
        return entry if entry and entry.caller.owner == caller.owner else None

    async def _of_chat(self, chat_id: str, caller: Caller) -> list[Entry]:
        entries = await self._backplane.of_chat(chat_id)
        return [entry for entry in entries if entry.caller.owner == caller.owner]

    async def running(self, chat_id: str, caller: Caller = LOCAL) -> Turn | None:
        """The turn that runs in the chat, if one does."""
        entries = await self._of_chat(chat_id, caller)
        return next((self._turn(entry) for entry in entries if entry.ended_at is None), None)

    async def answering(self) -> set[str]:
        """The ids of the chats in which a turn runs."""
        return await self._backplane.answering()

    async def next(self, chat_id: str, after: str, caller: Caller = LOCAL) -> Turn | None:
        """The first turn of the chat that is newer than the message `after`, and runs or has just ended."""
        entries = await self._of_chat(chat_id, caller)
        return next((self._turn(entry) for entry in entries if entry.turn_id > after), None)

    async def stop(self, turn_id: str, caller: Caller = LOCAL) -> Turn:
        """End a turn and wait until its text is saved; one that has ended stays as it is. Raises NotFound."""
        # Waits for one that is saved already and about to run.
        turn = await self.find(turn_id, caller)
        if turn.ended_at is not None:
            return turn
        await self._stop(turn)
        return await self.find(turn_id, caller)

    async def recover(self) -> int:
        """Mark what a dead server left running as interrupted; returns how many turns.

        At the start of the only server that uses the database, see `store.claim`: whatever runs then, nobody runs.
        """
        return await self._store.interrupt_orphans()

    def version(self, owner: str = "") -> int:
        """Another one after each change of this owner's chats."""
        return self._backplane.version(owner)

    async def changed(self, since: int, owner: str = "") -> int:
        """Wait until `version` is another than `since`: a turn started or ended, or a chat changed. Returns it."""
        return await self._backplane.changed(since, owner)

    async def announce(self, owner: str = "") -> None:
        """Wake those who wait in `changed`."""
        await self._backplane.announce(owner)

    def on_question(self, callback: QuestionHook) -> None:
        """Call this before a question is saved. What it returns, unless that is None, is asked in its place; a
        `ChatError` that it raises refuses it."""
        self.hooks.on_question(callback)

    def on_prompt(self, callback: PromptHook) -> None:
        """Call this with the messages before they go to the reply source. What it returns, unless that is None, goes
        there in their place."""
        self.hooks.on_prompt(callback)

    def on_start(self, callback: Callable[[Turn], Any]) -> None:
        """Call this whenever a turn has begun. As the next two, a function of the app's own is called in the loop and
        must not wait."""
        self.hooks.on_start(callback)

    def on_first(self, callback: Callable[[Turn], None]) -> None:
        """Call this once a turn, when the first of its reply has come and nobody has seen it yet: of the app's own."""
        self.hooks.first.append(callback)

    def on_delta(self, callback: Callable[[Turn, Delta], Any]) -> None:
        """Call this for every delta, reasoning too, once readers can see it."""
        self.hooks.on_delta(callback)

    def on_end(self, callback: Callable[[Turn, Ended], Any]) -> None:
        """Call this whenever a turn has ended and is saved. It must not wait: the page does, for what comes after."""
        self.hooks.on_end(callback)

    async def drop(self, chat_id: str, owner: str = "") -> None:
        """Stop the turns of a chat that has just been deleted, also one that is about to run, and forget them."""
        await self._backplane.begun()
        entries = await self._backplane.of_chat(chat_id)
        await asyncio.gather(*(self._stop(self._turn(entry)) for entry in entries if entry.ended_at is None))
        await self._backplane.forget(chat_id)
        await self.announce(owner)

    def of_people(self) -> Counter[str]:
        """How many turns run in this process, by the id of whose they are; only those of people with accounts."""
        return Counter(one.caller.owner for one in self._running if one.caller.kind is Kind.person)

    async def drop_owner(self, owner: str) -> None:
        """The same for all chats of somebody who was removed."""
        await self._backplane.begun()
        for chat_id in {one.reply.chat_id for one in self._running if one.caller.owner == owner}:
            await self.drop(chat_id, owner)

    @property
    def unsaved_s(self) -> float:
        """For how many seconds the oldest text of a running turn waits to be saved."""
        return self._journal.unsaved_s

    @property
    def closing(self) -> bool:
        """Whether no more turns are started: the server is about to end."""
        return self._closing

    async def close(self, grace: float = 0) -> None:
        """Start no more turns, let running ones end within `grace` seconds, then stop and save the rest.

        Of this process only: others go on.
        """
        self._closing = True
        if self._beginning:
            await asyncio.wait(self._beginning)
        if self._running and grace:
            await asyncio.wait({generation.task for generation in self._running}, timeout=grace)
        for generation in self._running:
            generation.stop()
        if self._running:
            await asyncio.wait({generation.task for generation in self._running})
        await self._journal.close()

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise ShuttingDown

    def check(self, content: str) -> None:
        """Raises InvalidRequest: the content is empty, too long, or holds what cannot be stored."""
        if not content.strip():
            raise InvalidRequest("The message is empty. Write something first.")
        if len(content) > self._max_message_chars:
            raise too_long(f"{len(content):,}", self._max_message_chars)
        if "\0" in content or any("\ud800" <= char <= "\udfff" for char in content):
            raise InvalidRequest("The message holds characters that are no text (NUL or half a surrogate pair).")

    async def _let_through(self, key: str | None, caller: Caller) -> Turn | None:
        """What the key has begun: the hooks let it through then, and may say something else by now."""
        if not self.hooks.asks or key is None:
            return None
        known = await self._store.of(caller.owner).message_by_key(key)
        return await self.find(known.id, caller) if known else None

    async def _asks_for(
        self,
        turn: Turn,
        content: str,
        chat_id: str | None,
        edit_of: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> bool:
        """Whether a request with these values could have begun the turn. What it began stands for it: no request is
        stored, so a `chat_id` that a first message was sent without may be named when it is sent again."""
        if chat_id not in (None, turn.chat_id):
            return False
        if content != turn.user.content or metadata:
            request = await self._store.request(turn.user.id)
            if request.given != (metadata or request.given):
                return False
            if content != turn.user.content and request.digest != digest(content):
                return False
        if edit_of is not None:
            edited = await self._store.of(turn.caller.owner).message(edit_of)
            return edited is not None and (edited.chat_id, edited.parent_id) == (turn.chat_id, turn.user.parent_id)
        return chat_id is not None or turn.user.parent_id is None

    async def _shielded(self, begin: Begin, caller: Caller) -> tuple[Turn, bool]:
        """The turn, and whether it is new."""
        # Looked at once more: the server may have begun to close while the request was waiting.
        self._refuse_if_closing()
        # A task of its own: a caller that is cancelled meanwhile must not leave saved messages that nobody answers.
        beginning = asyncio.create_task(self._begin(begin, caller))
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        turn_id, new = await asyncio.shield(beginning)
        return await self.find(turn_id, caller), new

    async def _begin(self, begin: Begin, caller: Caller) -> tuple[str, bool]:
        try:
            return await self._save_and_run(begin, caller)
        except TurnRunning as busy:
            # It may have been saved a moment ago by a start that has not come to run it.
            await self._backplane.begun()
            if await self._backplane.owner(busy.turn_id):
                raise
            # Its end could never be saved, and nobody runs it any more: it must not block its chat for ever.
            await self._store.interrupt(busy.turn_id)
            return await self._save_and_run(begin, caller)

    async def _save_and_run(self, begin: Begin, caller: Caller) -> tuple[str, bool]:
        prompt = Prompt(self._context_chars)
        self._starting[caller.owner] += 1
        try:
            allowance = await self._allow(*await self._running_with(caller), caller)
            async with self._backplane.beginning():
                user, reply, new = await begin(prompt)
                if new:
                    await self._run(user, reply, prompt, caller, allowance)
        finally:
            self._starting[caller.owner] -= 1
            if not self._starting[caller.owner]:
                del self._starting[caller.owner]
        return reply.id, new

    async def _running_with(self, caller: Caller) -> tuple[int, int]:
        """How many turns run, and how many of the caller's, this one left out. Those about to run count as well."""
        own = sum(generation.caller.owner == caller.owner for generation in self._running)
        running = len(await self._backplane.answering())
        return running + self._starting.total() - 1, own + self._starting[caller.owner] - 1

    async def _run(
        self, user: Message, reply: Message, prompt: Prompt, caller: Caller, allowance: Allowance | None
    ) -> None:
        page = self._journal.page(reply.id, len(reply.content))
        generation = Generation(user, reply, page, len(reply.content) + self._max_answer_chars, caller)
        if allowance:
            allowance.begin(reply.id)
            generation.allowance = allowance
        entry = self._entry_of(generation)
        generation.on_first = partial(self._tell, entry, self.hooks.first)
        await self._backplane.add(entry, generation.stop)
        if reply.content:
            await self._backplane.log.append(reply.id, generation.head(reply.content))
        generation.page.show = partial(self._show_stored, generation)
        generation.task = asyncio.create_task(self._live(generation, prompt), name=f"turn {reply.id}")
        self._running.add(generation)
        generation.task.add_done_callback(lambda _: self._running.discard(generation))
        await self.announce(caller.owner)
        self._tell(entry, self.hooks.start)

    def _turn(self, entry: Entry) -> Turn:
        follow = partial(self._follow, entry)
        return Turn(entry.user, entry.reply, entry.ended_at, follow, entry.caller)

    def _entry_of(self, generation: Generation, ended_at: int | None = None) -> Entry:
        return Entry(generation.user, generation.reply, self._name, ended_at, generation.caller)

    def _follow(self, entry: Entry, after: int, idle: float | None, rest: Rest | None) -> AsyncIterator[list[Event]]:
        try:
            return self._backplane.log.follow(entry.turn_id, after, idle, rest)
        except KeyError:
            # It ended a while ago, and is read only now.
            return self._read_stored(entry, after)

    async def _read_stored(self, entry: Entry, after: int) -> AsyncIterator[list[Event]]:
        reply = await self._store.of(entry.caller.owner).message(entry.turn_id) or entry.reply
        async for batch in stored_turn(entry.user, reply).batches(after):
            yield batch

    async def _live(self, generation: Generation, prompt: Prompt) -> None:
        """The whole life of a turn. Nobody cancels this task: it cancels the one inside it when it is to stop."""
        status: Status = Status.failed
        error: ChatError | None = None
        reading = asyncio.create_task(self._generate(generation, prompt), name=f"generation {generation.reply.id}")
        # Of a source that is left behind nobody else asks how it ended.
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.wait({reading, generation.stopped}, return_when=asyncio.FIRST_COMPLETED)
            if await self._let_go(generation, reading):
                await reading
                status = Status.complete
            else:
                status = Status.stopped
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

    async def _let_go(self, generation: Generation, reading: "asyncio.Task[None]") -> bool:
        """Cancel what still reads, and wait a while for it; whether it has ended."""
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading}, timeout=STOP_S)
        if not reading.done():
            logger.error(
                "the reply source %s does not end when it is stopped; it is left behind at %s",
                self._source,
                whereabouts(generation.source),
            )
        return reading.done()

    async def _generate(self, generation: Generation, prompt: Prompt) -> None:
        known = {name: value for name, value in prompt.options.items() if value is not None}
        options = {name: value for name, value in known.items() if name != "system_prompt"}
        history = _history(generation, prompt)
        with own_faults(f"turn {generation.reply.id}"):
            history = await self.hooks.prompt(history)
            async with self._told(generation, known) as told:
                await self._read(generation, self._reply(history, **options, **told))
            if generation.unseen:
                await self._journal.catch_up(generation.page)

    @asynccontextmanager
    async def _told(self, generation: Generation, known: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """What the reply source is told beside the messages and the options."""
        if self._context is None:
            yield {}
            return
        person = generation.caller.person
        async with self._context(generation.user, generation.reply, known, person) as context:
            yield {"context": context}

    async def _read(self, generation: Generation, source: AsyncGenerator[Any, None]) -> None:
        generation.source = source
        async with not_silent(self._first_token_timeout) as limit, aclosing(source) as pieces:
            count = 0
            async for given in pieces:
                if generation.stopping:
                    # Its cancel is still to come, or the source took it for something else.
                    raise Stopped
                try:
                    await self._append(generation, given)
                except BadReply as problem:
                    tell_fault(generation, str(problem), whereabouts(source))
                    raise
                if generation.full:
                    generation.finish_reason = "length"
                    return
                # A piece without text, such as the role alone, is no first token.
                if generation.deltas:
                    limit.put_off(self._next_token_timeout)
                count += max(len(given), 1) if isinstance(given, list) else 1
                if count >= PIECES_A_STEP:
                    count = 0
                    await asyncio.sleep(0)
            if not generation.answered:
                raise said_nothing()

    async def _append(self, generation: Generation, given: Given) -> None:
        if generation.page.late():
            await self._journal.catch_up(generation.page)
        before = generation.seq
        if events := generation.take(given):
            generation.unseen += events
            await self._show(generation, self._journal.reach(generation.page))
            if generation.allowance:
                generation.allowance.wrote(generation.seq - before, generation.model)

    async def _show(self, generation: Generation, reach: float) -> None:
        """Give readers what has come, up to that number."""
        # The journal and the generation do, and none may overtake the other.
        async with generation.showing:
            if not (events := generation.seen(reach)):
                return
            await self._backplane.log.append(generation.reply.id, *events)
        if self.hooks.delta:
            entry = self._entry_of(generation)
            for event in events:
                if isinstance(event, Delta):
                    self._tell(entry, self.hooks.delta, event)

    async def _show_stored(self, generation: Generation) -> None:
        if generation.unseen:
            await self._show(generation, self._journal.reach(generation.page))

    async def _end(self, generation: Generation, status: Status, error: ChatError | None) -> None:
        ended = generation.ended(status, error)
        try:
            await self._journal.finish(generation.page)
            await save_end(self._store, generation, ended, lambda: self._closing)
        except BaseException as problem:
            # What was not saved must not be called complete.
            logger.exception("the end of turn %s could not be saved", generation.reply.id)
            error = InternalError()
            ended = generation.ended(Status.failed, error)
            if not isinstance(problem, Exception):
                raise
            await give_up(self._store, generation, ended)
        finally:
            await self._show(generation, math.inf)
            tell_end(generation, ended, error)
            await self._backplane.end(generation.reply.id, generation.events(ended))
            await self.announce(generation.caller.owner)
            self._tell(self._entry_of(generation, ended.seq), self.hooks.end, ended)

    async def _stop(self, turn: Turn) -> None:
        await self._backplane.stop(turn.id)
        await turn.end()

    def _tell(self, entry: Entry, callbacks: Sequence[Callable[..., None]], *event: Event) -> None:
        for callback in callbacks:
            try:
                callback(self._turn(entry), *event)
            except BaseException:
                # SystemExit would end the event loop.
                logger.exception("a callback of turn %s failed", entry.turn_id)

    @property
    def _source(self) -> str:
        name = getattr(self._reply, "__qualname__", type(self._reply).__qualname__)
        return f"{self._reply.__module__}.{name}"


def digest(content: str) -> str:
    """Tells a question that a hook has changed when it is sent again."""
    return hashlib.sha256(content.encode()).hexdigest()


def _history(generation: Generation, prompt: Prompt) -> list[ChatMessage]:
    """What the reply source is given."""
    said = [*prompt.said]
    if system := prompt.options.get("system_prompt"):
        said.insert(0, Said("system", system))
    if head := generation.reply.content:
        said += [Said(Role.assistant, head), Said(Role.user, CONTINUE)]
    return [{"role": str(role), "content": content} for role, content in said]
