"""Turns as OpenTelemetry traces, by the GenAI conventions, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector.

Without it nothing of OpenTelemetry's SDK is imported and no hook is set.
"""

import asyncio
import logging
import time
from typing import Any

from chat_app.config import VERSION, Settings
from chat_app.errors import CannotStart
from chat_app.models import Status
from chat_app.store import measures
from chat_app.store.database import Database
from chat_app.turns.log import Ended
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn

logger = logging.getLogger(__name__)
INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
TRACES_PATH = "/v1/traces"


def traces_of(settings: Settings, database: Database) -> "Traces | None":
    """None where no collector is named. Raises CannotStart: the packages for it are not installed."""
    address = settings.otel_exporter_otlp_traces_endpoint
    if address is None and settings.otel_exporter_otlp_endpoint:
        address = settings.otel_exporter_otlp_endpoint.rstrip("/") + TRACES_PATH
    return None if address is None else Traces(address, settings, database)


class Traces:
    """Sends a span a turn to the collector at `address`, in the background."""

    def __init__(self, address: str, settings: Settings, database: Database) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise CannotStart(
                f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and what sends traces is not installed. Run: {INSTALL}"
            ) from None
        resource = Resource.create({"service.name": settings.otel_service_name, "service.version": VERSION})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
        self._tracer = self._provider.get_tracer("chat_app", VERSION)
        self._source = "rill" if settings.embedded or settings.replies else "openai"
        self._database = database
        self._spans: dict[str, tuple[Any, float]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def watch(self, turns: Turns) -> None:
        turns.on_start(self._on_start)
        turns.on_first(self._on_first)
        turns.on_end(self._on_end)

    async def close(self) -> None:
        """Send what is left."""
        if self._ending:
            await asyncio.wait(self._ending)
        await asyncio.to_thread(self._provider.shutdown)

    def _on_start(self, turn: Turn) -> None:
        from opentelemetry.trace import SpanKind

        known = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._source,
            "gen_ai.conversation.id": turn.chat_id,
            "rill.turn.id": turn.id,
        }
        span = self._tracer.start_span("chat", kind=SpanKind.CLIENT, attributes=known)
        self._spans[turn.id] = span, time.monotonic()

    def _on_first(self, turn: Turn) -> None:
        if known := self._spans.get(turn.id):
            span, began = known
            span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - began)
            span.add_event("gen_ai.first_token")

    def _on_end(self, turn: Turn, ended: Ended) -> None:
        if known := self._spans.pop(turn.id, None):
            task = asyncio.create_task(self._end(known[0], turn, ended, time.time_ns()), name=f"trace {turn.id}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, span: Any, turn: Turn, ended: Ended, at_ns: int) -> None:
        from opentelemetry.trace import StatusCode

        model = await self._model(turn.id)
        usage = ended.usage or {}
        if model:
            span.update_name(f"chat {model}")
        found = {
            "gen_ai.response.model": model,
            "gen_ai.response.finish_reasons": [ended.finish_reason],
            "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
            "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
            "error.type": ended.error["code"] if ended.error else None,
        }
        span.set_attributes({name: value for name, value in found.items() if value is not None})
        if ended.status in (Status.failed, Status.interrupted):
            span.set_status(StatusCode.ERROR)
        span.end(at_ns)

    async def _model(self, turn_id: str) -> str | None:
        try:
            return await self._database.read(lambda connection: measures.model_of(connection, turn_id))
        except Exception:
            logger.warning("the model of a traced turn is not known", exc_info=True)
            return None
