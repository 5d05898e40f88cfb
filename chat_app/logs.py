"""The server's log, on stderr: one line an event, with time and level, as text or as JSON (`LOG_FORMAT`).

`event` writes what an operator wants to know; what the code's own loggers say goes the same way. What repeats is one
line and a count. Tracebacks are of faults of ours only, and no line has the text of a message, a key or a password.
"""

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

from chat_app.errors import ChatError

AGAIN_S = 60.0
"""So long after the first line what is the same is counted only."""
MOST_KINDS = 1_000
"""Of so many kinds of lines repeats are known; a flood of different ones must not fill the memory."""
SHORTEST_SECRET = 4
VALUE_CHARS = 500
MOST_CHARS = 20_000
"""Of a line: what an exception says may be anything. Of longer ones the beginning and the end are written."""
MASK = "…"
# Their errors quote what was to be written: the text of messages.
_DRIVERS = ("sqlalchemy", "asyncpg", "sqlite3", "aiosqlite")
_PLAIN = re.compile(r"[\w.:/@+,%\[\]-]+")

OURS = "chat_app"
"""The logger above all of ours."""

logger = logging.getLogger(__name__)


def event(name: str, *, level: int = logging.INFO, same_as: str | None = None, **fields: Any) -> None:
    """Write a line; fields that are None are left out.

    `same_as` says what it repeats: the first line with it is written, those of the next `AGAIN_S` seconds are counted.
    """
    known = {key: value for key, value in fields.items() if value is not None}
    logger.log(level, "%s", name, extra={"fields": known, "same_as": same_as})


def install(form: str, secrets: Iterable[str | None] = ()) -> None:
    """Send all logging of this process to stderr; `form` is `text` or `json`. No line holds one of the secrets."""
    # A log that cannot be written must not fail what it tells of.
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonLine if form == "json" else TextLine)(secrets))
    handler.addFilter(repeats)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # A library or an agent may set up the root's logging as it likes: what is said here goes on.
    ours = logging.getLogger(OURS)
    ours.handlers[:], ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
    # What a client does wrong at the page's socket is nothing to log.
    for name in ("engineio.server", "socketio.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # What it says is said by `event`, too.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def enable() -> None:
    """Our loggers again: `logging.config` disables all that it does not name, where it is not told otherwise."""
    for name, other in logging.root.manager.loggerDict.items():
        if isinstance(other, logging.Logger) and name.partition(".")[0] == OURS:
            other.disabled = False


def say(sentence: str) -> None:
    """Why a start fails, for a person at the terminal; a line like any other where the log is JSON."""
    _print(sentence, sys.stderr, logging.ERROR)


def note(sentence: str) -> None:
    """The same for how a start goes on, on stdout."""
    _print(sentence, sys.stdout, logging.INFO)


def _print(sentence: str, stream: TextIO, level: int) -> None:
    if any(isinstance(handler.formatter, JsonLine) for handler in logging.getLogger(OURS).handlers):
        event(sentence, level=level)
        return
    # A terminal that is gone, or a full disk, is no reason to end.
    with suppress(OSError):
        print(sentence, file=stream, flush=True)


class Line(logging.Formatter):
    """Puts a record into a line, without the secrets."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        super().__init__()
        known = {secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET}
        self._secrets = sorted(known | {quote(secret, safe="") for secret in known}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self.line(record)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return line

    def line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError


class TextLine(Line):
    """`2026-11-26T20:10:45.123Z INFO turn ended state=complete …`; a traceback follows on lines of its own."""

    def line(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_value(value)}" for name, value in _fields(record).items())
        trace = _trace(record)
        text = _one_line(_bounded(record.getMessage()))
        return f"{_time(record)} {record.levelname} {text}{fields}" + (f"\n{trace}" if trace else "")


class JsonLine(Line):
    """The same as an object: `time`, `level`, `event`, and the fields; `traceback` where there is one."""

    def line(self, record: logging.LogRecord) -> str:
        trace = _trace(record)
        values = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": _bounded(record.getMessage()),
            **_fields(record),
            **({"traceback": trace} if trace else {}),
        }
        return json.dumps(values, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    error = record.exc_info[1] if record.exc_info else None
    # Of what is no fault of ours the sentence is enough.
    return fields | (
        {"code": error.code, "error": _bounded(str(error.message))} if isinstance(error, ChatError) else {}
    )


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(value: Any) -> str:
    text = str(value)[:VALUE_CHARS]
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _bounded(text: str) -> str:
    if len(text) <= MOST_CHARS:
        return text
    # Cut at a space: a half of a secret would not be known as one.
    half = MOST_CHARS // 2
    head, tail = re.sub(r"\S+$", "", text[:half]), re.sub(r"^\S+", "", text[-half:])
    return f"{head}{MASK} ({len(text) - len(head) - len(tail):,} characters) {MASK}{tail}"


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)[1:-1]


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or not isinstance(record.exc_info, tuple) or record.exc_info[1] is None:
        return ""
    error = record.exc_info[1]
    return "" if isinstance(error, ChatError) else _bounded("".join(_without_values(error)).rstrip())


def _without_values(error: BaseException) -> Iterable[str]:
    told = traceback.TracebackException.from_exception(error)
    _hide_values(told, error)
    return told.format()


def _hide_values(told: traceback.TracebackException, error: BaseException) -> None:
    """Of what a database's driver says, in the whole chain, the words stay and the values go."""
    if type(error).__module__.partition(".")[0] in _DRIVERS:
        told._str = hide_values(str(error))  # type: ignore[attr-defined]
    for inner, cause in ((told.__cause__, error.__cause__), (told.__context__, error.__context__)):
        if inner is not None and cause is not None:
            _hide_values(inner, cause)
    if isinstance(error, BaseExceptionGroup) and told.exceptions:
        for inner, cause in zip(told.exceptions, error.exceptions, strict=False):
            _hide_values(inner, cause)


def hide_values(text: str) -> str:
    """The first line of a driver's message, without what stands in quotes or brackets after a colon or an `=`."""
    first = text.partition("\n")[0][:VALUE_CHARS]
    return re.sub(r"([:=]\s*)(['\"(\[].*)", rf"\1{MASK}", first)


@dataclass(slots=True)
class Seen:
    """A line that was written, and how often it came again since."""

    record: logging.LogRecord
    again: int = 0


class Repeats(logging.Filter):
    """Lets the first of its kind through; after `AGAIN_S` seconds it says how often it came again."""

    def __init__(self, again_s: float = AGAIN_S) -> None:
        super().__init__()
        self._again_s = again_s
        self._seen: dict[tuple[Any, ...], Seen] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        kind = _kind(record)
        if kind is None:
            return True
        with self._lock:
            if seen := self._seen.get(kind):
                seen.again += 1
                return False
            if len(self._seen) >= MOST_KINDS:
                return True
            self._seen[kind] = Seen(record)
            timer = threading.Timer(self._again_s, self._tell, [kind])
            timer.daemon = True
            timer.start()
        return True

    def flush(self) -> None:
        """Say at once what is counted: the process ends."""
        for kind in list(self._seen):
            self._tell(kind)

    def _tell(self, kind: tuple[Any, ...]) -> None:
        with self._lock:
            seen = self._seen.pop(kind, None)
        if seen and seen.again:
            record = seen.record
            fields = {"repeated": seen.again, "since": _time(record), **getattr(record, "fields", {})}
            logging.getLogger(record.name).log(
                record.levelno, "%s", record.getMessage(), extra={"fields": fields, "same_as": None, "final": True}
            )


def _kind(record: logging.LogRecord) -> tuple[Any, ...] | None:
    """What it repeats; None: it stands for itself."""
    if getattr(record, "final", False):
        return None
    if hasattr(record, "same_as"):
        return (record.getMessage(), record.same_as) if record.same_as is not None else None
    if record.levelno < logging.WARNING:
        return None
    error = record.exc_info[0] if record.exc_info else None
    return record.name, record.msg, error, _place(record.exc_info[2] if record.exc_info else None)


def _place(trace: TracebackType | None) -> tuple[str, int] | None:
    """Where the fault is: other faults of the same type are other lines."""
    while trace and trace.tb_next:
        trace = trace.tb_next
    return (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else None


repeats = Repeats()
