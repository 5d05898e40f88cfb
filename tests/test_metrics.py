"""`/metrics` counts what happened, under labels that do not grow; traces go to a collector, where one is named."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from chat_app.config import ROOT
from chat_app.metrics import Metrics
from tests.app import App
from tests.beside import serving
from tests.forked import Api
from tests.provider_client import Provider, script
from tests.sse_client import streaming

pytestmark = pytest.mark.anyio


@pytest.fixture
def app(provider: Provider, tmp_path: Path) -> Iterator[App]:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as app:
        yield app


def metrics(app: App) -> dict[tuple[str, ...], float]:
    """By name and the values of its labels."""
    text = app.http.get("/metrics").raise_for_status().text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


async def ask(client: httpx.AsyncClient, **keys: Any) -> dict[str, Any]:
    reply: dict[str, Any] = (await client.post("/messages/", json={"content": script(**keys)})).json()
    return reply


async def test_it_counts_what_happened(app: App, provider: Provider) -> None:
    async with app.client() as client:
        reply = await ask(client, tokens=4, first_ms=120)
        await ask(client, status=500)
        await ask(client, reset_after=1)
        assert metrics(app)["rill_running_turns",] == 0
        content = {"content": script(tokens=-1, interval_ms=10)}
        async with streaming(client, "POST", "/stream/?ids=1", json=content) as stream:
            await stream.until(lambda frame: "tok2" in frame.data)
            during = metrics(app)
            assert (during["rill_running_turns",], during["rill_readers", "stream"]) == (1, 1)
            assert during["rill_journal_lag_seconds",] < 5
            # Another one goes on in its middle.
            async with streaming(client, "GET", f"/stream/{stream.turn_id}?after=4") as second:
                await second.next()
            await client.post(f"/stream/{stream.turn_id}/stop")
            await stream.rest()
        sent = {"turn_id": reply["id"], "session": "s", "first_ms": 300, "lag_ms": 20}
        assert (await client.post("/measures/", json=sent)).status_code == 204
        whole = {"turn_id": reply["id"], "session": "t", "whole": True, "reason": "buffered", "first_ms": 900}
        assert (await client.post("/measures/", json=whole)).status_code == 204
    counted = metrics(app)
    ended = {state: counted["rill_turns_ended_total", state] for state in ("complete", "failed", "stopped")}
    assert ended == {"complete": 1, "failed": 2, "stopped": 1}
    assert counted["rill_errors_total", "provider_error"] == 2
    assert counted["rill_tokens_total", "written"] >= reply["usage"]["completion_tokens"]
    assert counted["rill_tokens_total", "read"] >= reply["usage"]["prompt_tokens"]
    # The model's own 120 ms are in it: nothing came in less than 100.
    assert counted["rill_first_token_generated_seconds_count",] == 3
    assert counted["rill_first_token_generated_seconds_sum",] >= 0.12
    assert counted["rill_first_token_displayed_seconds_sum",] == pytest.approx(1.2)
    assert counted["rill_first_token_displayed_seconds_bucket", "0.5"] == 1
    assert counted["rill_first_token_lag_seconds_bucket", "0.02"] == 1
    assert counted["rill_fallbacks_total", "buffered"] == 1
    assert counted["rill_resumes_total", "stream"] == 1
    assert (counted["rill_running_turns",], counted["rill_readers", "stream"]) == (0, 0)
    assert counted["rill_database_seconds_count",] > 5
    assert counted["rill_startup_seconds", "database"] > 0


async def test_its_labels_do_not_grow(tmp_path: Path) -> None:
    """Whatever code a user's own error has."""
    with Api(tmp_path, replies="tests.bad_agents:own_code") as app:
        async with app.client() as client:
            for n in range(3):
                await client.post("/messages/", json={"content": f"code_{n}"})
        assert metrics(app)["rill_errors_total", "other"] == 3


class Collector(BaseHTTPRequestHandler):
    """Takes what an exporter sends."""

    taken: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    taken: list[ExportTraceServiceRequest] = []
    with serving(type("Taking", (Collector,), {"taken": taken})) as port:
        yield f"http://127.0.0.1:{port}", taken


def spans(taken: list[ExportTraceServiceRequest]) -> list[tuple[str, dict[str, Any], int]]:
    """Name, attributes and status of each."""
    found = []
    for request in taken:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {one.key: _value(one.value) for one in span.attributes}
                    found.append((span.name, values, span.status.code))
    return found


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


async def test_a_turn_is_a_span(
    provider: Provider, tmp_path: Path, collector: tuple[str, list[ExportTraceServiceRequest]]
) -> None:
    address, taken = collector
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench"}
    with Api(tmp_path, otel_exporter_otlp_endpoint=address, **settings) as app:
        async with app.client() as client:
            reply = await ask(client, tokens=3)
            await ask(client, status=500)
    good, bad = spans(taken)
    assert good[0] == "chat bench"
    attributes = good[1]
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.conversation.id"] == reply["chat_id"]
    assert attributes["gen_ai.response.model"] == "bench"
    assert attributes["gen_ai.usage.output_tokens"] == reply["usage"]["completion_tokens"]
    assert attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert (bad[1]["error.type"], bad[2]) == ("provider_error", 2)
    # What was said is in none of them.
    assert "SCRIPT" not in str(taken)


@pytest.mark.slow
def test_without_a_collector_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from chat_app.config import load_settings; from chat_app.service import build;"
        "service = build(load_settings({}));"
        "print(service.traces, 'opentelemetry.sdk' in sys.modules, 'genai_prices' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["None", "False", "False"]


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {name for expression in expressions for name in re.findall(r"rill_\w+", expression)}
    text = Metrics().text().decode()
    there = {family.name for family in text_string_to_metric_families(text) if not family.name.endswith("_created")}
    assert {re.sub(r"_(bucket|total)$", "", name) for name in asked} == there
