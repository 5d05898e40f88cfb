"""A chat's tree in memory, as `paging` reads it from the database: paths, versions, newest leaves."""

import pytest

from chat_app.models import Message, Role
from chat_app.store.tree import item, newest_leaf, path, versions

# 1 ── 2 ── 3 ── 4      The first question, its answer, and so on.
# │    └─── 5 ── 6      Another version of the second question.
# └─── 7                Another version of the first answer.
# 8                     Another version of the first question.
PARENTS: dict[str, str | None] = {"1": None, "2": "1", "3": "2", "4": "3", "5": "2", "6": "5", "7": "1", "8": None}
MESSAGES = [Message(id=id, chat_id="c", parent_id=parent, role=Role.user, content=id) for id, parent in PARENTS.items()]


@pytest.mark.parametrize(
    ("leaf", "shown"),
    [("4", "1234"), ("6", "1256"), ("7", "17"), ("8", "8"), ("2", "12"), (None, "8"), ("gone", "8")],
)
def test_the_shown_path_leads_from_a_root_to_its_leaf(leaf: str | None, shown: str) -> None:
    assert "".join(message.id for message in path(MESSAGES, leaf)) == shown


def test_an_empty_chat_has_an_empty_path() -> None:
    assert path([], None) == path([], "gone") == []


@pytest.mark.parametrize(
    ("below", "leaf"), [(None, "8"), ("1", "7"), ("2", "6"), ("3", "4"), ("4", "4"), ("8", "8"), ("gone", None)]
)
def test_the_newest_leaf_below_a_message(below: str | None, leaf: str | None) -> None:
    assert newest_leaf(PARENTS, below) == leaf


def test_what_hangs_on_a_message_that_is_gone_has_a_path_of_its_own() -> None:
    orphan = Message(id="9", chat_id="c", parent_id="gone", role=Role.user)
    assert [message.id for message in path([*MESSAGES, orphan], "9")] == ["9"]


@pytest.mark.parametrize(
    ("id", "number", "of", "previous", "next"),
    [
        ("1", 1, 2, None, "8"),
        ("8", 2, 2, "1", None),
        ("2", 1, 2, None, "7"),
        ("5", 2, 2, "3", None),
        ("6", 1, 1, None, None),
    ],
)
def test_each_message_has_its_place_among_its_versions(
    id: str, number: int, of: int, previous: str | None, next: str | None
) -> None:
    following = versions(PARENTS.items())
    message = next_of(id)
    found = item(message, following[message.parent_id])
    assert (found.number, found.of, found.previous_id, found.next_id) == (number, of, previous, next)


def next_of(id: str) -> Message:
    return MESSAGES[int(id) - 1]


@pytest.mark.slow
def test_a_tree_as_deep_as_a_chat_is_long() -> None:
    chain = [
        Message(id=f"{n:06}", chat_id="c", parent_id=f"{n - 1:06}" if n else None, role=Role.user) for n in range(5_000)
    ]
    assert len(path(chain, None)) == 5_000
