"""What of a conversation is sent to a provider."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.replies.history import CONTINUE, alternating
from chat_app.reply import ChatMessage

ROLES = {"s": "system", "u": "user", "a": "assistant"}


def messages(*lines: str) -> list[ChatMessage]:
    """`u:Hello` is a question."""
    return [{"role": ROLES[line[0]], "content": line[2:]} for line in lines]


@pytest.mark.parametrize(
    ("history", "sent"),
    [
        (["u:1", "a:2", "u:3"], ["u:1", "a:2", "u:3"]),
        (["s:0", "u:1", "u:2"], ["s:0", "u:1\n\n2"]),
        (["u:1", "u:2", "u:3"], ["u:1\n\n2\n\n3"]),
        (["u:1", "a:", "u:2"], ["u:1\n\n2"]),
        (["u:1", "a: \n", "u:2"], ["u:1\n\n2"]),
        (["u:1", "a:2", "a:3", "u:4"], ["u:1", "a:2\n\n3", "u:4"]),
        (["a:0", "u:1"], ["u:1"]),
        (["s:0", "a:0", "a:00", "u:1"], ["s:0", "u:1"]),
        (["u:1", "a:2"], ["u:1", "a:2", f"u:{CONTINUE}"]),
        (["a:2"], ["a:2", f"u:{CONTINUE}"]),
        (["s:1", "s:2", "u:3"], ["s:1\n\n2", "u:3"]),
        (["s: ", "u:3"], ["u:3"]),
        (["u:1", "a:2", "s:3", "u:4"], ["u:1", "a:2", "s:3", "u:4"]),
        (["u:1", "a:<think>hm</think>\n2", "u:3"], ["u:1", "a:2", "u:3"]),
        (["u:1", "a:so\n</think>\n2", "u:3"], ["u:1", "a:2", "u:3"]),
        (["u:1", "a:<think>hm", "u:3"], ["u:1\n\n3"]),
        (["u:<think>hm</think>1"], ["u:<think>hm</think>1"]),
    ],
)
def test_what_is_sent_alternates(history: list[str], sent: list[str]) -> None:
    assert alternating(messages(*history)) == messages(*sent)


@given(st.lists(st.tuples(st.sampled_from("ua"), st.sampled_from(["", " ", "x", "y"])), max_size=9))
def test_whatever_there_is_goes_from_a_question_to_a_question(lines: list[tuple[str, str]]) -> None:
    sent = alternating(messages(*(f"{role}:{text}" for role, text in lines), "u:last"))
    assert [message["role"] for message in sent] == ["user", "assistant"] * (len(sent) // 2) + ["user"]
    assert all(message["content"].strip() for message in sent)
    assert sent[-1]["content"].endswith("last")


def test_typed_parts_of_a_function_of_a_user_s_are_left_as_they_are() -> None:
    parts: list[object] = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, *messages("u:and", "u:so")]
    assert alternating(parts) == [parts[0], *messages("u:and\n\nso")]
