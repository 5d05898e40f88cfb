"""A hook that writes a line of JSON for each answer, into a file that may lie on a slow disk.

HOOKS=tests.examples.logger:setup ANSWERS_LOG=answers.jsonl
"""

import json
import os
from pathlib import Path

from rill import Ended, Service, Turn


def ended(turn: Turn, end: Ended) -> None:
    line = {"turn": turn.id, "asked": turn.user.content, "state": end.status, "usage": end.usage}
    with Path(os.environ.get("ANSWERS_LOG", "answers.jsonl")).open("a") as file:
        file.write(json.dumps(line) + "\n")


def setup(service: Service) -> None:
    service.turns.on_end(ended)
