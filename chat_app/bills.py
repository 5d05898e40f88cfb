"""What an answer or a chat took, in tokens and US dollars, and how much of the model's context a chat fills."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chat_app.prices import Prices
from chat_app.store import measures
from chat_app.store.database import Database


@dataclass(frozen=True, slots=True)
class Bill:
    """Tokens that models read and wrote; `dollars` is None where nobody knows a price, and `partly` where not all are
    known."""

    read: int
    written: int
    dollars: float | None
    partly: bool = False


class Bills:
    """`context_tokens` is how much the model reads, where that needs no list."""

    def __init__(self, database: Database, prices: Prices, context_tokens: int | None = None) -> None:
        self._database = database
        self._prices = prices
        self._context_tokens = context_tokens

    async def of_answer(self, message_id: str, owner: str = "") -> Bill | None:
        """None: it is gone, or nothing is known of it."""
        used = await self._database.read(lambda connection: measures.used_by(connection, message_id, owner))
        return await asyncio.to_thread(self._bill, [used]) if used else None

    async def of_chat(self, chat_id: str, owner: str = "") -> Bill | None:
        """All its answers, other versions too: they were paid for."""
        used = await self._database.read_aside(lambda connection: measures.used_in(connection, chat_id, owner))
        return await asyncio.to_thread(self._bill, used) if used else None

    async def filled(self, chat_id: str, owner: str = "") -> float | None:
        """Which share of the model's context the chat filled with its last answer; None where that is not known."""
        last = await self._database.read(lambda connection: measures.last_used(connection, chat_id, owner))
        if last is None:
            return None
        model, usage = last
        room = self._context_tokens or await asyncio.to_thread(self._prices.context_tokens, model or "")
        tokens = (usage.get("prompt_tokens") or 0) + (usage.get("completion_tokens") or 0)
        return tokens / room if room and usage.get("prompt_tokens") else None

    def _bill(self, used: Iterable[tuple[str | None, Mapping[str, Any]]]) -> Bill:
        known = list(used)
        costs = [self._prices.cost(model or "", usage) for model, usage in known]
        dollars = [cost for cost in costs if cost is not None]
        return Bill(
            read=sum(usage.get("prompt_tokens") or 0 for _, usage in known),
            written=sum(usage.get("completion_tokens") or 0 for _, usage in known),
            dollars=sum(dollars) if dollars else None,
            partly=0 < len(dollars) < len(costs),
        )
