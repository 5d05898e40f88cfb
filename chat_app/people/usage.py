"""What people took, and how much they may: numbers alone, for the person and for administrators, never text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from chat_app.config import Settings
from chat_app.limits import REQUESTS, TURNS
from chat_app.periods import Period
from chat_app.service import Service
from chat_app.store.spending import Spent

MOST = 10_000
"""Owners whose counts are read; visitors are owners too, and may be many."""
NAMES = {Period.day: "today", Period.month: "this month"}


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all owners: what each took in a day and a month, and how many answers are being written for them."""

    spent: Mapping[Period, Mapping[str, Spent]]
    totals: Mapping[Period, Spent]
    running: Counter[str]
    answering: int

    def of(self, owner: str) -> str:
        """In words."""
        return _told(self.running[owner], {period: self.spent[period].get(owner, Spent()) for period in Period})

    @property
    def of_all(self) -> str:
        """Of visitors and removed people too."""
        return _told(self.answering, self.totals)


async def usage(service: Service) -> Usage:
    spending = service.spending
    return Usage(
        {period: await spending.by_owner(period, MOST) for period in Period},
        {period: await spending.total(period) for period in Period},
        service.turns.of_people(),
        len(await service.turns.answering()),
    )


async def own_usage(service: Service, owner: str) -> str:
    """The same words, of one person."""
    spent = {period: await service.spending.of(owner, period) for period in Period}
    return _told(service.turns.of_people()[owner], spent)


def limits_in_words(settings: Settings) -> tuple[str, str]:
    """What each person may, and what all together."""
    rates = ", ".join(f"{one.amount:,} per {one.GRANULARITY.name}" for one in settings.limit_requests or REQUESTS)
    budgets = [f"{amount:,.0f} tokens a {period}" for period, amount in settings.limit_tokens.items()]
    budgets += [f"${amount:,.2f} a {period}" for period, amount in settings.limit_cost.items()]
    own = [f"{_number(settings.limit_turns, 'answer')} at a time", f"requests: {rates}", *budgets]
    return " · ".join(own), f"{_number(settings.limit_turns_all or TURNS, 'answer')} at a time"


def _told(running: int, spent: Mapping[Period, Spent]) -> str:
    taken = [
        f"{NAMES[period]} {one.tokens:,} tokens{f' (${one.dollars:,.2f})' if one.dollars else ''}"
        for period, one in spent.items()
        if one.tokens
    ]
    growing = [f"{_number(running, 'answer')} {'is' if running == 1 else 'are'} being written"] if running else []
    return " · ".join(growing + taken)


def _number(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"
