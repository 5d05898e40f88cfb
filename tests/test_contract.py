"""The API is what its OpenAPI says: schemathesis sends what that allows and what it forbids, and checks each answer."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from httpx_sse import EventSource

from chat_app.api import create_api
from tests.forked import Api

CONFIG = Path(__file__).with_name("schemathesis.toml")
SEED = 20_260_131
CASES = 2_000
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
SPEC: dict[str, Any] = create_api().openapi()
COMPONENTS = SPEC["components"]


# It computes for half a minute, longer where other tests do the same.
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_api_is_what_its_openapi_says(tmp_path: Path, figure: Callable[[object], None]) -> None:
    figure(f"schemathesis: seed {SEED}")
    report = tmp_path / "report.json"
    with Api(tmp_path, replies="tests.at_once:reply") as api:
        program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", "--no-color"]
        options = ["--seed", str(SEED), "--report-json-path", str(report)]
        described = tmp_path / "openapi.json"
        described.write_text(json.dumps(of_single_events(SPEC)))
        command = [*program, *options, "--url", api.url, str(described)]
        # No proxy from the environment: what is asked here is on this machine.
        environment = os.environ | {"no_proxy": "127.0.0.1"}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
        assert run.returncode == 0, run.stdout + run.stderr
        assert "Traceback" not in api.logged()
    told = json.loads(report.read_text())
    cases, operations = told["test_cases"]["generated"], told["operations"]
    figure(f"schemathesis: {cases} cases of {operations['tested']} operations in {told['running_time']:.0f} s")
    assert cases >= CASES
    assert operations["tested"] == operations["total"]
    assert {name for name, phase in told["phases"].items() if phase["status"] == "success"} == PHASES


def of_single_events(value: Any) -> Any:
    """As schemathesis reads OpenAPI 3.1: the schema of an event stream is that of one event, ours that of the text."""
    if isinstance(value, list):
        return [of_single_events(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "x-data" in value:
        frame = {"type": "string", "contentMediaType": "application/json", "contentSchema": value["x-data"]}
        return {
            "type": "object",
            "required": ["data"],
            "properties": {"data": {"anyOf": [frame, {"const": "[DONE]"}]}},
        }
    return {key: of_single_events(one) for key, one in value.items() if not (key == "example" and in_stream(value))}


def in_stream(media: dict[str, Any]) -> bool:
    return "x-data" in media.get("schema", {})


def fits(schema: dict[str, Any], value: Any) -> None:
    jsonschema_rs.validator_for(schema | {"components": COMPONENTS}).validate(value)


def with_schema(value: Any) -> Iterator[dict[str, Any]]:
    """All that has a schema: parameters, headers and bodies."""
    if isinstance(value, dict):
        if "schema" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from with_schema(one)


def test_an_example_fits_its_schema() -> None:
    count = 0
    for one in with_schema(SPEC["paths"]):
        examples = [named["value"] for named in one.get("examples", {}).values()]
        for example in examples + ([one["example"]] if "example" in one else []):
            fits(one["schema"], example)
            count += 1
    assert count > 100


def test_the_events_of_a_stream_are_what_their_schema_says() -> None:
    streams = [one for one in with_schema(SPEC["paths"]) if "[DONE]" in str(one.get("example"))]
    assert len(streams) == 4
    for media in streams:
        # As httpx reads the response of a server.
        response = httpx.Response(200, text=media["example"], headers={"Content-Type": "text/event-stream"})
        *frames, done = [event.data for event in EventSource(response).iter_sse()]
        assert done == "[DONE]" and frames
        for data in frames:
            fits(media["schema"]["x-data"], json.loads(data))
