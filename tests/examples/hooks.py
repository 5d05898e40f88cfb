"""Hooks: count what happens, and log each answer. The tests' own; one of them fails on purpose.

HOOKS=tests.examples.hooks:setup
"""

import logging

from chat_app.service import Service
from chat_app.turns.log import Delta, Ended
from chat_app.turns.turn import Turn

logger = logging.getLogger(__name__)


def setup(service: Service) -> None:
    characters: dict[str, int] = {}

    def started(turn: Turn) -> None:
        characters[turn.id] = 0

    def grew(turn: Turn, delta: Delta) -> None:
        characters[turn.id] += len(delta.text)

    def ended(turn: Turn, end: Ended) -> None:
        logger.warning("turn %s: %s after %d characters", turn.id, end.finish_reason, characters.pop(turn.id))

    def broken(_turn: Turn) -> None:
        raise RuntimeError("a hook that is broken")

    service.turns.on_start(broken)
    service.turns.on_start(started)
    service.turns.on_delta(grew)
    service.turns.on_end(ended)
