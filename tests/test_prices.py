"""What answers cost: by the list, by MODEL_PRICES before it, and nothing is made up."""

import pytest

from chat_app.config import load_settings
from chat_app.errors import SettingsError
from chat_app.prices import Prices

USED = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000}
OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("address", "model", "cost"),
    [
        (OPENAI, "gpt-4o-mini", 0.21),
        (OPENAI, "gpt-4o-mini-2024-07-18", 0.21),
        (OPENAI, "own", 1.2),
        (OPENAI, "nobody-knows-this", None),
        (OPENAI, "", None),
        # The same name on a machine of one's own bills nothing that the list knows of.
        ("http://localhost:11434/v1", "gpt-4o-mini", None),
        ("http://127.0.0.1:8000/v1", "gpt-4o-mini", None),
        ("http://llm:8000/v1", "gpt-4o-mini", None),
        ("http://localhost:11434/v1", "own", 1.2),
        (None, "SmolLM2", None),
    ],
)
def test_an_answer_costs_what_is_known(address: str | None, model: str, cost: float | None) -> None:
    found = Prices({"own": (1, 2)}, address).cost(model, USED)
    assert found == (None if cost is None else pytest.approx(cost))


def test_what_the_provider_had_read_before_is_cheaper() -> None:
    prices = Prices({}, OPENAI)
    cached = USED | {"prompt_tokens_details": {"cached_tokens": 500_000}}
    assert 0 < (prices.cost("gpt-4o-mini", cached) or 0) < (prices.cost("gpt-4o-mini", USED) or 0)
    odd = USED | {"prompt_tokens_details": {"cached_tokens": 10**12}}
    assert prices.cost("gpt-4o-mini", odd) is not None
    assert prices.cost("gpt-4o-mini", {}) == 0


def test_how_much_a_model_reads() -> None:
    assert Prices({}, OPENAI).context_tokens("gpt-4o-mini") == 128_000
    assert Prices({}, OPENAI).context_tokens("nobody-knows-this") is None


def test_prices_of_ones_own_are_read() -> None:
    settings = load_settings({"MODEL_PRICES": " gpt-4o=2.5/10 , a=b=0/0,"})
    assert settings.model_prices == {"gpt-4o": (2.5, 10), "a=b": (0, 0)}


@pytest.mark.parametrize("value", ["gpt-4o", "gpt-4o=2.5", "=1/2", "a=1/2/3", "a=x/1", "a=-1/2", "a=inf/1", "a=nan/1"])
def test_a_price_that_is_none_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"MODEL_PRICES.*is no price"):
        load_settings({"MODEL_PRICES": value})
