"""Hooks before any model: one refuses questions and takes card numbers out of them, one keeps names from the provider.

HOOKS=tests.examples.moderator:setup
"""

import re

from rill import Question, Refused, Service

CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
PEOPLE = {"Ada Lovelace": "[person 1]"}


def moderate(question: Question) -> str:
    """A plain function runs in a thread, so it may ask a slow service."""
    if "weapon" in question.content.lower():
        raise Refused("We don't talk about weapons here. Ask about something else.")
    return CARD.sub("[card number]", question.content)


async def without_names(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    for message in messages:
        for name, mark in PEOPLE.items():
            message["content"] = message["content"].replace(name, mark)
    return messages


def setup(service: Service) -> None:
    service.turns.on_question(moderate)
    service.turns.on_prompt(without_names)
