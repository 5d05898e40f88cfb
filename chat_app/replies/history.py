"""What of a conversation is sent to a provider. Pure: no I/O."""

from collections.abc import Sequence
from itertools import groupby

from chat_app.replies.thinking import spoken
from chat_app.reply import ChatMessage

CONTINUE = "Go on."


def alternating(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Questions and answers by turns, from a question to a question: strict models refuse all else, for ever.

    Two in a row become one, with a blank line between them; that is what a failed or stopped answer without text leaves
    behind. Empty ones, answers before the first question, and what an answer thinks aloud are left out. System messages
    stay where they are.
    """
    said = [message for message in map(_said, messages) if not _is_empty(message)]
    joined = [_joined(list(run)) for _, run in groupby(said, key=_kind)]
    roles = [message["role"] for message in joined]
    first = roles.index("user") if "user" in roles else -1
    kept = [message for at, message in enumerate(joined) if at > first or message["role"] != "assistant"]
    if kept and kept[-1]["role"] == "assistant":
        kept.append({"role": "user", "content": CONTINUE})
    return kept


def _said(message: ChatMessage) -> ChatMessage:
    if message["role"] != "assistant" or not isinstance(message["content"], str):
        return message
    return {**message, "content": spoken(message["content"])}


def _kind(message: ChatMessage) -> tuple[str, bool]:
    # What a function of a user's sends may be a list of typed parts, which is joined to nothing.
    return message["role"], isinstance(message["content"], str)


def _is_empty(message: ChatMessage) -> bool:
    return isinstance(message["content"], str) and not message["content"].strip()


def _joined(run: Sequence[ChatMessage]) -> ChatMessage:
    if len(run) == 1 or not isinstance(run[0]["content"], str):
        return run[-1]
    return {**run[0], "content": "\n\n".join(message["content"] for message in run)}
