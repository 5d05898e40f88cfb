"""The rows of a transcript."""

import pytest

from chat_app.models import Message, Role, Status
from chat_app.ui.rows import Row, followed_row, message_row


def row(content: str, status: Status) -> Row:
    return message_row(Message(chat_id="chat", role=Role.assistant, content=content, status=status))


@pytest.mark.parametrize("loaded", ["", "Forty", "Forty-four"])
def test_what_the_page_has_is_not_sent_again(loaded: str) -> None:
    followed = followed_row(row(loaded, Status.streaming), row("Forty-four", Status.complete))
    assert (followed["content"], followed["status"]) == (loaded, Status.complete)


@pytest.mark.parametrize("loaded", ["Let me see.\n", "Let", "Forty-five", "Forty-four, I think."])
def test_what_was_loaded_as_text_and_is_none_gives_way(loaded: str) -> None:
    """Also where it is longer than the answer, and a tab came to follow that only after its end."""
    followed = followed_row(row(loaded, Status.streaming), row("Forty-four", Status.complete))
    assert (followed["content"], followed["status"]) == ("Forty-four", Status.complete)
