"""Values of other apps' files, which may hold anything: each gives what can be stored. Pure."""

from datetime import UTC, datetime
from typing import Any

from chat_app.names import clean_name
from chat_app.store.chatfile import NO_TEXT

# Seconds beyond this are milliseconds, and so on.
_UNITS = [(1e17, 1e9), (1e14, 1e6), (1e11, 1e3)]


def text(value: Any) -> str:
    """What is no string is none; what no text may hold becomes U+FFFD."""
    return NO_TEXT.sub("\ufffd", value) if isinstance(value, str) else ""


def short(value: Any, limit: int = 200) -> str | None:
    """A name on one line; None where there is none."""
    return clean_name(" ".join(text(value).split()))[:limit].strip() or None


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def moment(value: Any) -> datetime | None:
    """A time from seconds, milliseconds, microseconds or nanoseconds since 1970, as a number or its digits, or from
    ISO 8601; UTC where it names no zone."""
    if isinstance(value, str):
        return _iso(value.strip()) if not _number(value) else moment(_number(value))
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e20:
        return None
    unit = next((unit for limit, unit in _UNITS if abs(value) >= limit), 1.0)
    try:
        return datetime.fromtimestamp(value / unit, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def number(value: Any) -> float | None:
    """A finite one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if is_number else None


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _iso(value: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
