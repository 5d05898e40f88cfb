"""What answers cost, and how much a model reads: by `genai-prices`, which brings its list along, and MODEL_PRICES."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from chat_app.origins import is_address

logger = logging.getLogger(__name__)
Rates = tuple[float, float]
"""US dollars for a million tokens that a model reads, and that it writes."""


class Prices:
    """Of the models behind `address`, the provider's; None where the app runs its model itself. `own` come first.

    The list is loaded with the first question, which takes most of a second: not to be asked in the event loop before.
    """

    def __init__(self, own: Mapping[str, Rates], address: str | None) -> None:
        self.own = dict(own)
        self._address = address
        self._free = address is None or _is_near(address)
        self.context_tokens = lru_cache(maxsize=1_000)(self._context_tokens)

    def load(self) -> None:
        """Read the list, where it is asked at all."""
        if not self._free:
            import genai_prices  # noqa: F401

    def cost(self, model: str, usage: Mapping[str, Any]) -> float | None:
        """In US dollars; None where nobody knows the price."""
        read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        if rates := self.own.get(model):
            return (read * rates[0] + written * rates[1]) / 1_000_000
        if self._free or not model:
            return None
        from genai_prices import Usage

        details = usage.get("prompt_tokens_details") or {}
        counts = Usage(
            input_tokens=read,
            output_tokens=written,
            cache_read_tokens=min(details.get("cached_tokens") or 0, read),
        )
        found = self._found(model, counts)
        return None if found is None else float(found.total_price)

    def cost_or_nothing(self, model: str, usage: Mapping[str, Any]) -> float:
        return self.cost(model, usage) or 0.0

    def _context_tokens(self, model: str) -> int | None:
        """How many tokens the model reads at most, where that is known."""
        if self._free or not model:
            return None
        from genai_prices import Usage

        found = self._found(model, Usage(input_tokens=1, output_tokens=1))
        return None if found is None else found.model.context_window

    def _found(self, model: str, usage: Any) -> Any:
        from genai_prices import calc_price

        # By the provider's address where the list has it: the same model costs another price elsewhere.
        for address in (self._address, None):
            try:
                return calc_price(usage, model, provider_api_url=address)
            except LookupError:
                continue
            except Exception:
                # A count that its rules do not take must not cost an hour its sums.
                logger.warning("the price of %s cannot be told", model, exc_info=True)
                return None
        return None


def _is_near(address: str) -> bool:
    """A machine of one's own bills nothing, whatever its model is called elsewhere."""
    host = urlsplit(address).hostname or ""
    return is_address(host) or host == "localhost" or "." not in host or host.endswith((".local", ".internal"))
