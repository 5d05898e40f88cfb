"""A plain function that blocks: it runs in a thread of its own, so `time.sleep` and `requests` are fine.

REPLIES=tests.examples.plain:reply
"""

import time


def reply(messages: list[dict[str, str]]) -> str:
    time.sleep(0.1)
    return f"That are {len(messages[-1]['content'].split())} words."
