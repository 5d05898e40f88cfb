"""Retrieval before the model: the texts that fit the question best are put before it.

REPLIES=tests.examples.rag:handbook OPENAI_BASE_URL=http://localhost:11434/v1
"""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from rill import Piece, Source, get_service

TEXTS = [
    "Holidays: everybody has 30 days a year. Ask for them in the calendar, two weeks ahead.",
    "Coffee: the machine on the second floor is cleaned on Fridays at four.",
    "Travel: book trains yourself and send the bill to travel@example.org within a month.",
    "Security: a lost laptop is reported at once, day or night, to security@example.org.",
]
INSTRUCTION = "Answer from these notes only, and say so when they do not hold the answer.\n\n"
BEST = 2


def terms(text: str) -> set[str]:
    """Its words, shortened so that "booked" and "books" meet."""
    return {word[:4] for word in re.findall(r"\w{3,}", text.lower())}


def retrieve(question: str) -> list[str]:
    """The texts that share most words with a question; none where no word is shared."""
    scored = [(len(terms(question) & terms(text)), text) for text in TEXTS]
    return [text for score, text in sorted(scored, reverse=True)[:BEST] if score]


async def handbook(messages: list[dict[str, str]], **options: Any) -> AsyncIterator[Piece | Source]:
    """Stopping a turn closes this generator, and `aclosing` passes it on: the model stops at once."""
    history = [message for message in messages if message["role"] != "system"]
    found = retrieve(history[-1]["content"])
    notes = "\n".join(found) or "(none)"
    prompt = [{"role": "system", "content": INSTRUCTION + notes}, *history]
    async with aclosing(get_service().openai.reply(prompt, **options)) as pieces:
        async for piece in pieces:
            yield piece
    for text in found:
        yield Source(text.partition(":")[0], snippet=text)
