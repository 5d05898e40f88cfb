"""The log: one line an event, as text and as JSON; what repeats is counted; no texts, keys or passwords."""

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from chat_app import logs
from chat_app.errors import ProviderRefused
from tests.forked import Api
from tests.provider_client import Provider, script

Lines = Callable[[], list[str]]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a logger named "trial" writes goes there alone."""
    stream = io.StringIO()
    logger = logging.getLogger("trial")
    logger.propagate, logger.handlers = False, []
    logger.setLevel(logging.INFO)
    monkeypatch.setattr(logs, "logger", logger)
    yield stream
    logger.handlers = []


def handled(stream: io.StringIO, formatter: logging.Formatter, again_s: float = 60) -> logs.Repeats:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    repeats = logs.Repeats(again_s)
    handler.addFilter(repeats)
    logging.getLogger("trial").addHandler(handler)
    return repeats


def test_a_line_of_text(stream: io.StringIO) -> None:
    handled(stream, logs.TextLine())
    logs.event("turn ended", turn="0199-a", state="complete", tokens=12, model="a model", code=None)
    logs.event("odd", level=logging.WARNING, value='two\nlines "quoted"')
    first, second = stream.getvalue().splitlines()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(time + r' INFO turn ended turn=0199-a state=complete tokens=12 model="a model"', first)
    assert second.endswith(r'WARNING odd value="two\nlines \"quoted\""')


@pytest.mark.parametrize("formatter", [logs.TextLine, logs.JsonLine])
def test_a_line_has_an_end(stream: io.StringIO, formatter: type[logs.Line]) -> None:
    """Whatever an exception says; and no half of a secret stays where it is cut."""
    handled(stream, formatter(["secret-key"]))
    try:
        raise ValueError("begin " + "secret-key " * 1_000_000 + " end")
    except ValueError:
        logging.getLogger("trial").exception("it failed: %s", "long " * 1_000_000)
    written = stream.getvalue()
    assert len(written) < 50_000
    assert "begin" in written and written.rstrip('"}\n').endswith(" end")
    assert "key" not in written and "secre" not in written


def test_a_line_of_json(stream: io.StringIO) -> None:
    handled(stream, logs.JsonLine())
    logs.event("turn ended", turn="0199-a", tokens=12)
    try:
        raise ValueError("a fault")
    except ValueError:
        logging.getLogger("trial").exception("it failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    del first["time"]
    assert first == {"level": "info", "event": "turn ended", "turn": "0199-a", "tokens": 12}
    assert (second["level"], second["event"]) == ("error", "it failed")
    assert "ValueError: a fault" in second["traceback"]


def test_secrets_are_in_no_line(stream: io.StringIO) -> None:
    handled(stream, logs.TextLine(["sk-very-secret", "p@ss word", None, ""]))
    logs.event("failed", reason="key sk-very-secret", address="postgresql://u:p%40ss%20word@host/db")
    logging.getLogger("trial").warning("with p@ss word in it")
    assert "secret" not in stream.getvalue() and "word@" not in stream.getvalue() and "p@ss" not in stream.getvalue()


@pytest.mark.parametrize("values", [{"text": "what a person wrote"}, {"text": 'it\'s "what a person wrote"'}])
def test_a_driver_s_error_quotes_nothing(values: dict[str, Any], stream: io.StringIO) -> None:
    handled(stream, logs.TextLine())
    engine = create_engine("sqlite://", hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO missing VALUES (:text)"), values)
    except Exception:
        logging.getLogger("trial").exception("it failed")
    engine.dispose()
    assert "no such table: missing" in stream.getvalue()
    assert "person" not in stream.getvalue()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no such table: chat", "no such table: chat"),
        ("invalid input for query argument $1: 'a text' (out of range)", "invalid input for query argument $1: …"),
        ("duplicate key\nDETAIL:  Key (title)=(a text) already exists.", "duplicate key"),
        ('invalid input syntax for type integer: "a text"', "invalid input syntax for type integer: …"),
    ],
)
def test_values_are_hidden(message: str, shown: str) -> None:
    assert logs.hide_values(message) == shown


def test_our_own_sentence_has_no_traceback(stream: io.StringIO) -> None:
    handled(stream, logs.TextLine())
    try:
        raise ProviderRefused("The key is wrong.")
    except ProviderRefused:
        logging.getLogger("trial").exception("the title could not be made")
    assert stream.getvalue().count("\n") == 1
    assert 'code=provider_refused error="The key is wrong."' in stream.getvalue()


def test_what_repeats_is_one_line_and_a_count(stream: io.StringIO) -> None:
    repeats = handled(stream, logs.TextLine())
    for number in range(2_667):
        logging.getLogger("trial").warning("turn %s could not be saved", number)
        logs.event("request refused", same_as="not_found", path=f"/{number}")
        logs.event("turn ended", turn=number)
    lines = stream.getvalue().splitlines()
    assert sum("could not be saved" in line for line in lines) == sum("refused" in line for line in lines) == 1
    # Each of these is an event of its own.
    assert sum("turn ended" in line for line in lines) == 2_667
    logging.getLogger("trial").warning("something else")
    repeats.flush()
    counted = [line for line in stream.getvalue().splitlines() if "repeated=2666" in line]
    assert len(counted) == 2
    assert "something else" in stream.getvalue()


def test_the_count_comes_by_itself(stream: io.StringIO) -> None:
    counted = threading.Event()

    class Telling(logs.TextLine):
        def line(self, record: logging.LogRecord) -> str:
            line = super().line(record)
            if "repeated=1" in line:
                counted.set()
            return line

    handled(stream, Telling(), again_s=0.05)
    for _ in range(2):
        logging.getLogger("trial").warning("again")
    assert counted.wait(20)


@pytest.mark.anyio
async def test_a_provider_that_refuses_is_told_with_its_status(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider
) -> None:
    folder = tmp_path_factory.mktemp("log")
    settings = {"openai_base_url": provider.base_url, "openai_model": "bench", "openai_api_key": "sk-test-secret-key"}
    with Api(folder, **settings, log_format="json") as api:
        for status in (401, 429, 500):
            ask = {"content": script(status=status, text="private words")}
            assert not api.http.post("/messages/", json=ask).is_success
        assert api.http.post("/messages/", json={"content": script(tokens=3)}).is_success
        for _ in range(20):
            api.http.get("/chats/unknown")
            api.http.get("/chats/", headers={"Host": "evil.example"})
        assert api.stop() == 0
    lines = [json.loads(line) for line in api.logged().splitlines()]
    ends = [line for line in lines if line["event"] == "turn ended"]
    assert [(line["state"], line.get("provider_status")) for line in ends] == [
        ("failed", 401),
        ("failed", 429),
        ("failed", 500),
        ("complete", None),
    ]
    assert [line.get("code") for line in ends][:2] == ["provider_refused", "provider_busy"]
    assert ends[3]["completion_tokens"] == 3 and {"turn", "chat", "model", "duration_ms"} <= ends[3].keys()
    assert lines[0]["event"] == "server started" and lines[0]["version"]
    # The first of each kind, and how often it came again, before the last line.
    refused = [(line["code"], line.get("repeated")) for line in lines if line["event"] == "request refused"]
    assert sorted(refused, key=str) == [("forbidden", 19), ("forbidden", None), ("not_found", 19), ("not_found", None)]
    for secret in ("private words", "sk-test", "Traceback"):
        assert secret not in api.logged()
