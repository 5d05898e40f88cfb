"""How answers come to people, measured where they see them: what browsers report is checked and kept here, added up by
the hour, and read as the figures of some days.

A report has no text and no address; the browser's random key is kept as a hash. Clocks of two machines are never
subtracted: the browser is told how long the server had the first token, and adds what it sees by its own clock.
"""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from sqlalchemy import Connection

from chat_app.config import Settings
from chat_app.errors import InvalidRequest, MeasuresOff, TooManyRequests
from chat_app.insights import Beside, Figures, figures_of, slowest
from chat_app.models import MAX_REMARK_CHARS, now
from chat_app.prices import Prices
from chat_app.store import hours, measures
from chat_app.store.chatfile import whole_number
from chat_app.store.database import Database
from chat_app.store.hours import HOUR, Rows, Sums

logger = logging.getLogger(__name__)

DAY_MS = 86_400_000
DAYS = 31
"""So long hours are added up."""
SLACK_MS = 5_000
PER_MINUTE = 120
"""Reports from one address: a proxy's may be a whole house's."""
MOST_KNOWN = 10_000
EVERY_S = 60.0
MOST_FRESH = 26
"""Hours that are read from the rows when figures are asked for."""
# An hour is added up when its last turns have had time to end and to be reported.
SETTLES = timedelta(minutes=10)

Integer = Annotated[int, BeforeValidator(whole_number)]
Ms = Annotated[Integer, Field(ge=0, le=DAY_MS)]
Reason = Literal["", "off", "no-body", "not-a-stream", "buffered"]


class Measure(BaseModel):
    """How one answer came to one person. Times are milliseconds by the clock of who reports; null is not known.

    `own_ms`: from Enter until the message was shown; `first_ms`: from Enter until the first token was; `lag_ms`: from
    the first token's arrival at the server until it was shown; `gap_ms`: the longest pause between two pieces.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    turn_id: str = Field(min_length=1, max_length=64)
    session: str = Field(min_length=1, max_length=200, description="A random key of the browser's. Kept as a hash.")
    door: Literal["page", "embed", "client"] = "client"
    whole: bool = Field(False, description="The answer did not stream.")
    reason: Reason = Field("", description="Why not.")
    resumed: Integer = Field(0, ge=0, le=1_000, description="How often it went on after a break or a reload.")
    hidden: bool = Field(False, description="Nobody saw the tab: a browser takes its time there.")
    closed: bool = Field(False, description="The tab went away before the end.")
    own_ms: Ms | None = None
    first_ms: Ms | None = None
    lag_ms: Ms | None = None
    gap_ms: Ms | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.whole != bool(self.reason):
            raise ValueError("`reason` says why an answer came whole, and is empty where it streamed")
        if self.own_ms is not None and self.first_ms is not None and self.own_ms > self.first_ms:
            raise ValueError("the message cannot be shown after the first token of its answer")
        if self.first_ms is not None and self.lag_ms is not None and self.lag_ms > self.first_ms + SLACK_MS:
            raise ValueError("the first token cannot be under way for longer than it was waited for")
        return self


class Survey(BaseModel):
    """How fast answers feel, from 1 (slow) to 5 (fast), and why."""

    model_config = ConfigDict(strict=True, extra="forbid")

    session: str = Field(min_length=1, max_length=200)
    feel: Integer = Field(ge=1, le=5)
    remark: str = Field("", max_length=MAX_REMARK_CHARS)


class Pace:
    """At most so many a minute of each key."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, key: str) -> None:
        """Raises TooManyRequests."""
        clock = time.monotonic()
        since, count = self._seen.get(key, (clock, 0))
        if clock - since >= 60:
            since, count = clock, 0
        if count >= self.per_minute:
            wait = 60 - (clock - since)
            raise TooManyRequests(f"That is too much in a minute. Wait {wait:.0f} seconds.", retry_after=wait)
        self._seen[key] = since, count + 1
        self._seen.move_to_end(key)
        if len(self._seen) > MOST_KNOWN:
            self._seen.popitem(last=False)


class Measures:
    """What is measured in one app."""

    def __init__(self, settings: Settings, database: Database, prices: Prices) -> None:
        self.on = settings.measures
        self._settings = settings
        self._database = database
        self._prices = prices
        self._pace = Pace(PER_MINUTE)
        self._arrived: OrderedDict[str, float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        # Hours that something came for since they were read to be added up.
        self._changed: set[datetime] = set()
        self._told: list[Callable[[Measure], None]] = []
        # Hours of another form, or at other prices, are added up anew.
        prices_now = hashlib.sha256(repr(sorted(prices.own.items())).encode()).hexdigest()[:8]
        self._recipe = f"{hours.FORM} {prices_now}"

    def on_measure(self, callback: Callable[[Measure], None]) -> None:
        """Call this with each report that is kept."""
        self._told.append(callback)

    def arrived(self, turn_id: str) -> None:
        """The first token of a turn is here."""
        self._arrived[turn_id] = time.monotonic()
        if len(self._arrived) > MOST_KNOWN:
            self._arrived.popitem(last=False)

    def held_ms(self, turn_id: str) -> float | None:
        """How long ago that was; None where nobody saw it in this process, or nothing is measured."""
        arrived = self._arrived.get(turn_id) if self.on else None
        return None if arrived is None else round((time.monotonic() - arrived) * 1000, 1)

    async def take(self, report: Measure, address: str, owner: str = "") -> None:
        """Keep a report, the first of a person's about an answer.

        Raises:
            MeasuresOff: the setting says so.
            TooManyRequests: too many come from this address.
            InvalidRequest: the owner has no such answer, or it cannot have been as the report says.
        """
        self._allow(address)
        turn = await self._database.read(lambda connection: measures.turn(connection, report.turn_id, owner))
        if turn is None:
            raise InvalidRequest("turn_id: There is no such answer.")
        _refuse_impossible(report, turn.created_at, turn.duration_ms)
        person, streams = hashed(report.session), self._settings.streams(report.session)
        row = report.model_dump(exclude={"session"}) | {"person": person, "at": now(), "streams": streams}
        if await self._change(report.turn_id, lambda connection: measures.add_once(connection, "measure", row)):
            for callback in self._told:
                callback(report)

    async def answer_survey(self, survey: Survey, address: str) -> None:
        """Keep a person's first answer. Raises as `take` does."""
        self._allow(address)
        row = {
            "person": hashed(survey.session),
            "at": now(),
            "streams": self._settings.streams(survey.session),
            "feel": survey.feel,
            "remark": survey.remark.replace("\0", "").strip(),
        }
        await self._database.write(lambda connection: measures.add_once(connection, "survey", row))

    def _allow(self, address: str) -> None:
        if not self.on:
            raise MeasuresOff
        self._pace.take(address)

    async def rated(self, message_id: str) -> None:
        """A thumb was given or taken back."""
        await self._change(message_id, lambda _: True)

    async def _change(self, turn_id: str, work: Callable[[Connection], bool]) -> bool:
        """Something came of a turn: the sums of its hour are made anew, if they were made."""
        try:
            start = hours.hour_of(hours.began(turn_id))
        except ValueError:
            return await self._database.write(work)

        def write(connection: Connection) -> bool:
            hours.forget(connection, [start])
            return work(connection)

        changed = await self._database.write(write)
        self._changed.add(start)
        return changed

    async def figures(self, days: int, owner: str = "") -> Figures:
        """Those of today (UTC) and the days before it, `days` in all. Remarks are those of this owner, and so are
        the chats that are named."""
        until = now()
        since = until.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
        read = self._database.read_aside
        known = await read(lambda connection: hours.known(connection, since, self._recipe))
        missing = _missing(known, since, until)
        rows = await read(lambda connection: {start: hours.rows(connection, start) for start in missing})
        by_hour = known | await asyncio.to_thread(self._sums_of, rows)
        slow = [turn_id for _, turn_id in slowest(by_hour)]
        beside = await read(
            lambda connection: Beside(
                turns=measures.of_turns(connection, slow, owner),
                remarks=measures.remarks(connection, since, owner),
                felt=measures.surveyed(connection, since),
            )
        )
        return await asyncio.to_thread(figures_of, by_hour, since, until, beside, self._is_priced)

    def _sums_of(self, rows: Mapping[datetime, Rows]) -> dict[datetime, Sums]:
        return {start: hours.sums_of(*of_hour, self._prices.cost_or_nothing) for start, of_hour in rows.items()}

    def _is_priced(self, model: str) -> bool:
        return self._prices.cost(model, {"prompt_tokens": 1, "completion_tokens": 1}) is not None

    def begin(self) -> None:
        """Add up the hours that have passed, now and from now on."""
        self._task = asyncio.create_task(self._add_up(), name="hours")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _add_up(self) -> None:
        await asyncio.to_thread(self._prices.load)
        while True:
            try:
                await self.add_up()
            except Exception:
                logger.warning("the hours could not be added up; it is tried again", exc_info=True)
            await asyncio.sleep(EVERY_S)

    async def add_up(self) -> None:
        """Store the sums of all hours that have passed and have none, the newest first."""
        until = hours.hour_of(now() - SETTLES)
        since = until.replace(hour=0) - timedelta(days=DAYS)
        read = self._database.read_aside
        if (oldest := await read(hours.oldest)) is None:
            return
        known = await read(lambda connection: hours.starts(connection, self._recipe))
        for start in reversed([*hours.hours(max(since, oldest), until)]):
            if start not in known:
                await self._store(start)
        await self._database.write(lambda connection: hours.drop_before(connection, since))

    async def _store(self, start: datetime) -> None:
        self._changed.discard(start)
        rows = await self._database.read_aside(lambda connection: hours.rows(connection, start))
        if not hours.is_over(rows[0]):
            # An answer may take longer than an hour has to settle; until it has ended, the hour is read from its rows.
            return
        sums = (await asyncio.to_thread(self._sums_of, {start: rows}))[start]
        # What came since is not in them.
        if start not in self._changed:
            await self._database.write(lambda connection: hours.keep(connection, start, self._recipe, sums))


def _missing(known: Mapping[datetime, Sums], since: datetime, until: datetime) -> list[datetime]:
    """The hours to be read from the rows: this one, the last, and those that something came late for."""
    missing = [start for start in hours.hours(since, hours.hour_of(until) + HOUR) if start not in known]
    # What lies further back comes as it is added up.
    return missing[-MOST_FRESH:]


def hashed(session: str) -> str:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _refuse_impossible(report: Measure, began: datetime, duration_ms: int | None) -> None:
    """Raises InvalidRequest."""
    age_ms = (now() - began) / timedelta(milliseconds=1)
    if duration_ms is not None and age_ms - duration_ms > DAY_MS:
        raise InvalidRequest("turn_id: This answer ended long ago; a report comes when an answer ends.")
    for name in ("lag_ms", "gap_ms"):
        if (getattr(report, name) or 0) > age_ms + SLACK_MS:
            raise InvalidRequest(f"{name}: That is longer than it is since the answer was begun.")
