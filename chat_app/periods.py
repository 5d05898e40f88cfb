"""The days and months, in UTC, for which something is allowed."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Period(StrEnum):
    day = "day"
    month = "month"

    def name_at(self, time: datetime) -> str:
        """`2026-11-27` or `2026-11`."""
        return f"{time:%Y-%m-%d}" if self is Period.day else f"{time:%Y-%m}"

    def seconds_left(self, time: datetime) -> float:
        start = datetime(time.year, time.month, time.day if self is Period.day else 1, tzinfo=UTC)
        # Into the next one, whatever its length, and back to its beginning.
        after = start + timedelta(days=1 if self is Period.day else 32)
        end = after if self is Period.day else after.replace(day=1)
        return (end - time).total_seconds()
