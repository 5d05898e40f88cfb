"""A tree of messages out of nodes that may name each other in any way: loops, parents that are missing, many roots.

Nodes that are no message of ours are left out, and what answers them answers the nearest message above. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chat_app.models import Chat, Role, new_id
from chat_app.store.chatfile import Row, message_row, title_from


@dataclass(slots=True)
class Node:
    """`role` is None for what is left out; its `reasoning` goes to the answer below it."""

    id: str
    parent: str | None
    role: Role | None = None
    content: str = ""
    reasoning: str = ""
    time: datetime | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Other columns of the message."""


@dataclass(frozen=True, slots=True)
class ReadChat:
    """A chat out of a file, each message after its parent, and how many of what could not be kept; None: all of it."""

    chat: Chat | None
    messages: list[Row]
    left_out: Counter[str] = field(default_factory=Counter)


def grown(chat: Chat, nodes: Sequence[Node], leaf: str | None, left_out: Counter[str]) -> ReadChat:
    """The chat with its messages; its shown path ends with the node `leaf`, or the nearest message above."""
    known = {node.id: node for node in nodes}
    parents = _without_loops({node.id: node.parent if node.parent in known else None for node in known.values()})
    top = Place("", None, chat.created_at, 0)
    places: dict[str | None, Place] = {None: top}
    for number, id in enumerate(_downwards(parents)):
        places[id] = _place(known[id], places[parents[id]], number)
    kept = sorted((place for place in places.values() if place.is_message), key=lambda one: (one.time, one.number))
    new_ids: dict[str | None, str | None] = {None: None} | {place.id: new_id() for place in kept}
    depths: dict[str | None, int] = {None: -1}
    messages = []
    for place in kept:
        above = places[parents[place.id]].message
        depths[place.id] = depths[above] + 1
        row = _message(known[place.id], place, chat.id, new_ids[place.id] or "", new_ids[above])
        messages.append(row | {"depth": depths[place.id]})
    if not chat.named and messages:
        chat.title = title_from(messages[0]["content"])
    chat.leaf_id = new_ids[places.get(leaf, top).message]
    return ReadChat(chat, messages, left_out)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: the nearest message from itself upwards, and when; no message is older than what it answers.

    `thoughts` are those on the way down to it since the last message.
    """

    id: str
    message: str | None
    time: datetime
    number: int
    thoughts: str = ""

    @property
    def is_message(self) -> bool:
        return self.message == self.id


def _place(node: Node, above: Place, number: int) -> Place:
    time = max(node.time, above.time) if node.time else above.time
    carried = "" if above.is_message else above.thoughts
    thoughts = "\n\n".join(part for part in (carried, node.reasoning) if part)
    return Place(node.id, node.id if node.role else above.message, time, number, thoughts)


def _message(node: Node, place: Place, chat_id: str, id: str, parent_id: str | None) -> Row:
    return message_row(
        id=id,
        chat_id=chat_id,
        parent_id=parent_id,
        role=str(node.role),
        content=node.content,
        reasoning=place.thoughts if node.role is Role.assistant else "",
        created_at=place.time,
        **node.more,
    )


def _without_loops(parents: dict[str, str | None]) -> dict[str, str | None]:
    """Each loop is cut above the node of it that came first in the file."""
    order = {id: number for number, id in enumerate(parents)}
    done: set[str] = set()
    for start in order:
        path: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in done and at not in path:
            path[at] = None
            at = parents[at]
        if at in path:
            walked = list(path)
            parents[min(walked[walked.index(at) :], key=order.__getitem__)] = None
        done.update(path)
    return parents


def _downwards(parents: dict[str, str | None]) -> Iterator[str]:
    """Level by level: each node after its parent, otherwise in the file's order."""
    children: dict[str | None, list[str]] = defaultdict(list)
    for id, parent in parents.items():
        children[parent].append(id)
    level = children[None]
    while level:
        yield from level
        level = [child for id in level for child in children.get(id, ())]
