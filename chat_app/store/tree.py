"""A chat as a tree of messages: which path is shown, and the versions of each message on it. Pure; no SQL."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chat_app.models import Message


@dataclass(frozen=True, slots=True)
class PathItem:
    """A message of the shown path and its place among its versions: `number` of `of`, counted from 1, oldest first."""

    message: Message
    number: int
    of: int
    previous_id: str | None
    next_id: str | None


def path(messages: Sequence[Message], leaf_id: str | None) -> list[Message]:
    """From the root to the message `leaf_id`; where that is None or gone, to the newest leaf of all."""
    known = {message.id: message for message in messages}
    if leaf_id not in known:
        leaf_id = newest_leaf({message.id: message.parent_id for message in messages})
    return [known[id] for id in _upwards(leaf_id, {id: message.parent_id for id, message in known.items()})][::-1]


def versions(parents: Iterable[tuple[str, str | None]]) -> Mapping[str | None, list[str]]:
    """The messages that follow each message, from their ids and their parents'; under None the first ones."""
    following: dict[str | None, list[str]] = defaultdict(list)
    for id, parent_id in parents:
        following[parent_id].append(id)
    return following


def newest_leaf(parents: Mapping[str, str | None], below: str | None = None) -> str | None:
    """The newest message that nothing answers, `below` a message or in the whole tree; `parents` has each one's."""
    leaves = sorted(parents.keys() - set(parents.values()), reverse=True)
    return next((leaf for leaf in leaves if below is None or below in _upwards(leaf, parents)), None)


def item(message: Message, versions: Sequence[str]) -> PathItem:
    at = versions.index(message.id)
    return PathItem(
        message=message,
        number=at + 1,
        of=len(versions),
        previous_id=versions[at - 1] if at else None,
        next_id=versions[at + 1] if at + 1 < len(versions) else None,
    )


def _upwards(leaf_id: str | None, parents: Mapping[str, str | None]) -> Iterator[str]:
    while leaf_id is not None and leaf_id in parents:
        yield leaf_id
        leaf_id = parents[leaf_id]
