"""What `/metrics` gives to Prometheus: counts and times of this process since it started, under bounded labels."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from chat_app.errors import is_code
from chat_app.measures import Measure, Measures
from chat_app.models import Status
from chat_app.store.database import Database
from chat_app.turns.log import Ended
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn

WAITS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
SHORT = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)
DOORS = ("page", "stream", "websocket", "messages")
STEPS = ("database", "model")
LOOK_S = 1.0


class Metrics:
    """Of one app. Times are in seconds."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def times(name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"rill_{name}_seconds", what, buckets=buckets, registry=registry)

        self._generated = times("first_token_generated", "From a turn's start to its first token", WAITS)
        self._displayed = times("first_token_displayed", "From Enter to the first token shown", WAITS)
        self._lag = times("first_token_lag", "From a first token's arrival to its paint", SHORT)
        self._tokens = Counter("rill_tokens", "Tokens that models read and wrote", ["kind"], registry=registry)
        self._running = Gauge("rill_running_turns", "Turns that run", registry=registry)
        self._readers = Gauge("rill_readers", "Who follows a turn", ["door"], registry=registry)
        self._resumes = Counter("rill_resumes", "Answers that went on after a break", ["door"], registry=registry)
        self._fallbacks = Counter("rill_fallbacks", "Answers that came whole, by why", ["reason"], registry=registry)
        self._ends = Counter("rill_turns_ended", "Turns by how they ended", ["state"], registry=registry)
        self._errors = Counter("rill_errors", "Turns that failed, by the error's code", ["code"], registry=registry)
        self._journal = Gauge("rill_journal_lag_seconds", "How old the oldest unsaved text is", registry=registry)
        self._database = times("database", "How long transactions took", SHORT)
        self._loop = times("event_loop_lag", "How late the event loop is", SHORT)
        self._startup = Gauge("rill_startup_seconds", "How long a start's steps took", ["step"], registry=registry)
        self._began: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None
        for door in DOORS:
            self._readers.labels(door)
        for status in Status:
            if status is not Status.streaming:
                self._ends.labels(status.value)

    def watch(self, turns: Turns, measures: Measures, database: Database) -> None:
        """Count what comes of these."""
        turns.on_start(self._on_start)
        turns.on_first(self._on_first)
        turns.on_end(self._on_end)
        measures.on_measure(self._on_measure)
        database.on_time = self._database.observe
        self._journal.set_function(lambda: turns.unsaved_s)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    @contextmanager
    def reader(self, door: str) -> Iterator[None]:
        """Within the block somebody follows a turn at this door, one of `DOORS`."""
        with self._readers.labels(door).track_inprogress():
            yield

    def resumed(self, door: str) -> None:
        self._resumes.labels(door).inc()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Within the block a step of the start is made, one of `STEPS`."""
        began = time.monotonic()
        yield
        self._startup.labels(name).set(time.monotonic() - began)

    def begin(self) -> None:
        self._looking = asyncio.create_task(self._look(), name="loop lag")

    async def close(self) -> None:
        if self._looking:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _look(self) -> None:
        while True:
            due = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self._loop.observe(max(time.monotonic() - due, 0))

    def _on_start(self, turn: Turn) -> None:
        self._began[turn.id] = time.monotonic()
        self._running.inc()

    def _on_first(self, turn: Turn) -> None:
        if (began := self._began.get(turn.id)) is not None:
            self._generated.observe(time.monotonic() - began)

    def _on_end(self, turn: Turn, ended: Ended) -> None:
        self._began.pop(turn.id, None)
        self._running.dec()
        self._ends.labels(ended.status.value).inc()
        usage = ended.usage or {}
        self._tokens.labels("read").inc(usage.get("prompt_tokens") or 0)
        self._tokens.labels("written").inc(usage.get("completion_tokens") or 0)
        if ended.error:
            code = str(ended.error.get("code"))
            # An error of a user's own class may have any.
            self._errors.labels(code if is_code(code) else "other").inc()

    def _on_measure(self, measure: Measure) -> None:
        if measure.first_ms is not None and not measure.hidden:
            self._displayed.observe(measure.first_ms / 1000)
        if measure.lag_ms is not None and not measure.hidden:
            self._lag.observe(measure.lag_ms / 1000)
        # Others resume at the door of the stream, which counts them.
        if measure.resumed and measure.door == "page":
            self.resumed("page")
        if measure.whole:
            self._fallbacks.labels(measure.reason).inc()
