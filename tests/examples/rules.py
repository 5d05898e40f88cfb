"""A rules engine behind the chat, no model at all.

REPLIES=tests.examples.rules:reply
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable

TEMPERATURE = re.compile(r"(-?\d+(?:\.\d+)?) ?°?(c|f)\b", re.IGNORECASE)


def convert(match: re.Match[str]) -> str:
    degrees, unit = float(match[1]), match[2].upper()
    other = degrees * 9 / 5 + 32 if unit == "C" else (degrees - 32) * 5 / 9
    return f"{degrees:g} °{unit} is {other:.1f} °{'F' if unit == 'C' else 'C'}."


RULES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (re.compile(r"\b(?:hello|hi|hey)\b", re.IGNORECASE), lambda _: "Hello! Give me a temperature, such as 20 C."),
    (TEMPERATURE, convert),
    (re.compile(r"^count to (\d{1,3})$", re.IGNORECASE), lambda match: " ".join(map(str, range(1, int(match[1]) + 1)))),
    (re.compile(r""), lambda _: "I have no rule for that. Say hello, or give me a temperature."),
]


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[str]:
    """The first rule that fits the newest message answers, a word at a time."""
    question = messages[-1]["content"].strip()
    answer = next(act(match) for pattern, act in RULES if (match := pattern.search(question)))
    for word in re.findall(r"\S+\s*", answer):
        yield word
        await asyncio.sleep(0.02)


setattr(reply, "model_name", "Rules")  # noqa: B010 - what the page shows below the box
