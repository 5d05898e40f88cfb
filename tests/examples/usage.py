"""What answers took, summed for a page: see usage_page.py."""

from collections import defaultdict
from statistics import median

from chat_app.models import Message

COLUMNS = ["Day", "Model", "Turns", "Failed", "Tokens in", "Tokens out", "First token"]


def usage_rows(replies: list[Message]) -> list[list[str]]:
    """A row per day (UTC) and model, the newest day first; tokens are those that the provider reported."""
    groups: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for reply in replies:
        groups[f"{reply.created_at:%Y-%m-%d}", reply.model or "–"].append(reply)
    return [[*key, *figures(groups[key])] for key in sorted(groups, reverse=True)]


def figures(replies: list[Message]) -> list[str]:
    bills = [reply.usage or {} for reply in replies]
    tokens = [sum(bill.get(kind) or 0 for bill in bills) for kind in ("prompt_tokens", "completion_tokens")]
    waits = [reply.first_token_ms for reply in replies if reply.first_token_ms is not None]
    failed = sum(reply.status in ("failed", "interrupted") for reply in replies)
    wait = f"{median(waits):,.0f} ms" if waits else "–"
    return [f"{len(replies):,}", f"{failed:,}", *(f"{count:,}" for count in tokens), wait]
