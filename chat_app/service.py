"""Builds the graph once: settings → store → replies → turns. The doors call `get_service()` and nothing below it."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chat_app import logs
from chat_app.agent import contain_exits, contain_forks
from chat_app.bills import Bills
from chat_app.caller import Caller
from chat_app.config import VERSION, Settings, load_settings
from chat_app.context import Contexts
from chat_app.errors import ChatError, DatabaseUnavailable, ProviderRefused, ShuttingDown
from chat_app.extend import Agent, own_code, reply_source, setup_of
from chat_app.hooks import Told, call
from chat_app.limits import Limits
from chat_app.measures import Measures
from chat_app.metrics import Metrics
from chat_app.own_chats import OwnChats, Shared
from chat_app.prices import Prices
from chat_app.queue import Queue
from chat_app.readiness import Model, problem_of
from chat_app.replies.openai_service import OpenAIService
from chat_app.reply import Reply
from chat_app.spending import Spending
from chat_app.store.claim import claim
from chat_app.store.search import Hit as Hit
from chat_app.store.store import Store
from chat_app.store.tree import PathItem as PathItem
from chat_app.store.trouble import where
from chat_app.titles import Titles
from chat_app.traces import Traces, traces_of
from chat_app.trash import Trash
from chat_app.turns.hooks import Hooks
from chat_app.turns.memory import MemoryBackplane
from chat_app.turns.registry import Turns
from chat_app.watchdog import watching

if TYPE_CHECKING:
    from chat_app.replies.local_model import LocalModel

logger = logging.getLogger(__name__)

READERS_S = 0.7
"""How long a reader may take to take the end of its turn when the server ends."""


@dataclass(frozen=True)
class Service:
    """What the doors use. They reach chats and turns by `of`, for the one who asks: never by the `store` or by `turns`,
    which know all. `local_model` is None unless the embedded model serves.

    `source_name` is what REPLIES' function is called, empty without one, and `source_models` what it lets people choose
    from; `openai` then waits for that function to use
    it: `get_service().openai`. `setup` is HOOKS' function.
    """

    settings: Settings
    store: Store
    shared: Shared
    reply: Reply
    openai: OpenAIService
    turns: Turns
    queue: Queue
    limits: Limits
    spending: Spending
    local_model: "LocalModel | None"
    titles: Titles | None
    prices: Prices
    measures: Measures
    metrics: Metrics
    traces: Traces | None
    source_name: str = ""
    source_models: tuple[str, ...] = ()
    setup: Callable[["Service"], None] | None = None
    _model_asked: Model = field(default_factory=lambda: Model(None))
    _told: Told = field(default_factory=Told)
    _held: ExitStack = field(default_factory=ExitStack)
    _readers: set[asyncio.Future[None]] = field(default_factory=set)

    async def model_name(self) -> str:
        """What serves, as the page shows it; empty while the provider cannot be asked."""
        if self.source_name:
            return self.source_name
        if self.local_model:
            return self.local_model.name
        with suppress(ChatError):
            return await self.openai.model()
        return ""

    async def models(self) -> list[str]:
        """What a person may choose from, for a chat. Raises ChatError: the provider cannot be asked."""
        return list(self.source_models) if self.source_name else await self.openai.models()

    def of(self, caller: Caller) -> OwnChats:
        """The chats of one caller, for the doors."""
        return OwnChats(caller, self.shared)

    async def forget_owner(self, owner: str) -> None:
        """Somebody was removed, with their chats: their turns end too, and nothing is left of what began meanwhile."""
        await self.turns.drop_owner(owner)
        await self.store.drop_owner(owner)
        self.shared.trash.forget_soon()

    async def open(self) -> None:
        """Raises CannotStart: another server uses the database, or it cannot be brought up to date."""
        if claimed := await asyncio.to_thread(claim, self.settings.database_url):
            self._held.enter_context(claimed)
        with self.metrics.step("database"):
            await self.store.database.claim(end_this_server)
            await self.store.open()
        await self.shared.trash.open()
        if orphans := await self.turns.recover():
            logs.event("answers were cut off when the server last ended; their text is kept", answers=orphans)
        # Or the first to ask would wait for it.
        await self.openai.warm()
        await self.store.rehearse()
        with self.metrics.step("model"):
            if self.local_model:
                await self.local_model.start()
        if self.source_name or self.setup or self.settings.pages:
            contain_exits(asyncio.get_running_loop())
            contain_forks(asyncio.get_running_loop())
            self._held.enter_context(watching())
        if self.setup:
            with self._told.outside(), own_code("HOOKS", self.settings.hooks):
                self.setup(self)
        self.measures.begin()
        self.metrics.begin()
        await self.queue.open()
        logs.event(
            "server started",
            version=VERSION,
            address=self.settings.url,
            database=f"{self.store.database.url.get_backend_name()} {where(self.store.database.url)}",
            model=self._serves,
        )

    @property
    def _serves(self) -> str:
        """What answers, as far as it is known without asking: for the log."""
        if self.source_name or self.local_model:
            return self.source_name or (self.local_model.name if self.local_model else "")
        host = urlsplit(self.settings.provider_url or "").hostname or ""
        return f"{self.settings.openai_model or 'the first listed'} at {host}"

    async def checks(self) -> dict[str, str | None]:
        """What keeps it from working, by what it is: `database`, `model`, `server`; None: nothing."""
        database, model = await asyncio.gather(
            problem_of(self.store.database.answers, DatabaseUnavailable().message), self._model_asked.problem()
        )
        return {"database": database, "model": model, "server": ShuttingDown().message if self.turns.closing else None}

    async def end_turns(self) -> None:
        """Let running turns end for a while, then stop and save them, and let all who read them take their end."""
        logs.event("server stopping", running=len(await self.turns.answering()), grace_s=self.settings.shutdown_grace)
        await self.turns.close(self.settings.shutdown_grace)
        if self._readers:
            await asyncio.wait(self._readers, timeout=READERS_S)

    @contextmanager
    def reading(self, door: str) -> Iterator[None]:
        """Within the block a client is given a turn: the server is not to end before it has the turn's end. `door` is
        one of `metrics.DOORS`."""
        done = asyncio.get_running_loop().create_future()
        self._readers.add(done)
        try:
            with self.metrics.reader(door):
                yield
        finally:
            self._readers.discard(done)
            done.set_result(None)

    async def close(self) -> None:
        await self.shared.trash.close()
        if self.titles:
            await self.titles.close()
        await self.queue.close()
        await self.turns.close()
        await self.spending.close()
        await self._told.close()
        await self.measures.close()
        await self.metrics.close()
        if self.traces:
            await self.traces.close()
        await self.openai.close()
        if self.local_model:
            await self.local_model.close()
        await self.store.close()
        self._held.close()


def end_this_server() -> None:
    """In order, as an operator would: running answers are saved first."""
    os.kill(os.getpid(), signal.SIGTERM)


def build(settings: Settings) -> Service:
    """The graph for these settings; nothing is opened or started yet."""
    store = Store(
        settings.database_url,
        pool_size=settings.database_pool_size,
        limit_s=settings.database_timeout,
        wait_s=settings.database_wait,
    )
    local_model = None
    if settings.embedded:
        from chat_app.replies.local_model import LocalModel

        # One model for all workers of one app: they share its port.
        local_model = LocalModel(settings.local_model_path)
        openai = OpenAIService(
            base_url=local_model.base_url,
            system_prompt=settings.system_prompt,
            context_tokens=local_model.context_tokens,
            max_event_bytes=settings.max_event_bytes,
        )
    else:
        openai = OpenAIService(
            api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
            base_url=settings.openai_base_url or (None if settings.openai_api_key else _no_provider),
            model=settings.openai_model,
            system_prompt=settings.system_prompt,
            max_event_bytes=settings.max_event_bytes,
        )
    agent = reply_source(settings.replies) if settings.replies else Agent(openai.reply_at_once, "")
    told = Told()
    hooks = Hooks(call, told.apart)
    prices = Prices(settings.model_prices, settings.provider_url)
    spending = Spending(store.database, prices, settings.limit_tokens, settings.limit_cost)
    limits = Limits(settings, spending)
    # What a source of the user's can take is not known.
    room = (None if settings.replies else openai.context_chars) or settings.max_context_chars
    turns = Turns(
        store,
        MemoryBackplane(),
        agent.reply,
        max_message_chars=settings.max_message_chars,
        max_answer_chars=settings.max_answer_chars,
        first_token_timeout=settings.first_token_timeout,
        next_token_timeout=settings.next_token_timeout,
        context_chars=min(settings.max_context_chars, room),
        context=Contexts(store).of_turn if agent.with_context else None,
        hooks=hooks,
        allow=limits.allow,
    )
    turns.on_end(spending.ended)
    # Not by the embedded model: its titles are worse than the first line. Nor by a source that may be no model.
    wanted = settings.chat_titles and not settings.embedded and not settings.replies
    titles = Titles(store, turns, partial(_complete, openai, hooks)) if wanted else None
    measures = Measures(settings, store.database, prices)
    turns.on_first(lambda turn: measures.arrived(turn.id))
    metrics = Metrics()
    metrics.watch(turns, measures, store.database)
    traces = traces_of(settings, store.database)
    if traces:
        traces.watch(turns)
    setup = setup_of(settings.hooks) if settings.hooks else None
    # A child's health costs nothing to ask; a function of the user's is not asked.
    look = local_model.base_url if local_model else None if settings.replies else openai.models
    bills = Bills(store.database, prices, local_model.context_tokens if local_model else settings.context_tokens)
    queue = Queue(store, turns, limits, accounts=settings.accounts)
    shared = Shared(store, turns, Trash(store), measures, bills, queue, agent.models)
    return Service(
        settings,
        store,
        shared,
        agent.reply,
        openai,
        turns,
        queue,
        limits,
        spending,
        local_model,
        titles,
        prices,
        measures,
        metrics,
        traces,
        agent.name,
        agent.models,
        setup,
        _model_asked=Model(look),
        _told=told,
    )


async def _complete(openai: OpenAIService, hooks: Hooks, messages: Sequence[Any], **options: Any) -> dict[str, Any]:
    """What a hook keeps from the provider is kept out of what asks for a title, too."""
    return await openai.chat_completion(await hooks.prompt(messages), **options)


async def _no_provider() -> str:
    raise ProviderRefused("No model is configured beside REPLIES. Set OPENAI_BASE_URL or OPENAI_API_KEY.")


_service: Service | None = None


@asynccontextmanager
async def serving(settings: Settings | None = None) -> AsyncIterator[Service]:
    """The service for the time that the app serves."""
    global _service
    _service = build(settings or load_settings())
    try:
        await _service.open()
        yield _service
        logs.event("server stopped")
    finally:
        # Shielded: a second cancel at shutdown must not cut the final writes short.
        await asyncio.shield(_service.close())
        _service = None
        logs.repeats.flush()


def get_service() -> Service:
    """The service of the running app."""
    if _service is None:
        raise RuntimeError("The service runs only while the app serves: enter chat_app.service.serving() first.")
    return _service
