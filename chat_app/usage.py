"""A reply's count of tokens, whatever shape a provider, a reply source or an older row gives it."""

from typing import Any

MAX_COUNT = 2**53 - 1
"""What a browser can still count exactly."""
MAX_COUNTS = 50
MAX_NAME_CHARS = 64
ESTIMATED = "estimated"
"""Our own mark on counts that no provider gave."""


def clean_usage(value: Any) -> dict[str, Any] | None:
    """Whole numbers from 0 up under their names, details one level deep; None where nothing is left of it.

    Numbers written as text or with a zero fraction are taken; null, text, truth values and lists are left out.
    """
    return _counts(value, details=True) or None


def _counts(value: Any, *, details: bool) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for name, given in list(value.items())[:MAX_COUNTS] if isinstance(value, dict) else ():
        if not _is_name(name):
            continue
        if (count := _count(given)) is not None:
            counts[name] = count
        elif name == ESTIMATED and given is True:
            counts[name] = True
        elif details and not name.endswith("_tokens") and (inner := _counts(given, details=False)):
            counts[name] = inner
    return counts


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= MAX_NAME_CHARS and name.isascii() and name.isprintable()


def _count(value: Any) -> int | None:
    if isinstance(value, str) and len(value) < 20 and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return int(value)
    return None
