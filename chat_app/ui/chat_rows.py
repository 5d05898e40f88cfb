"""The side bar's list as the page gets it: rows, and what has changed of them since the list was sent whole."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, TypedDict

from reflex_base.constants.state import FIELD_MARKER

from chat_app.models import Chat

PINNED = "pinned"
GONE = -1
# With more changes than this the list is sent whole again.
MOST_CHANGES = 4


class ChatRow(TypedDict):
    """A chat in the list. `moment` is the quarter of an hour in which it was used last (ISO 8601), or `PINNED`;
    `before` that of the one above. `answering`: an answer grows in it.

    Which day that is only the browser knows, by the reader's clock, and midnight is at a quarter of an hour everywhere.
    """

    id: str
    title: str
    moment: str
    before: str
    pinned: bool
    answering: bool


Listing = tuple[ChatRow, ...]
Change = tuple[int, ChatRow]
"""A row and its place in the list as it is by now, or `GONE`."""


class Shown:
    """What pages show of a list: its first `rows`, and whether there are `older` chats. All pages that show so many get
    the same, so that it is written once: the rows as they were when they were `whole` last, and what `changed` since.
    """

    # No dataclass: Reflex would put a proxy before one that a state holds.
    def __init__(self, rows: Listing, older: bool, whole: Listing, changed: Sequence[Change] = ()) -> None:
        self.rows = rows
        self.older = older
        self.whole = whole
        self.changed = changed

    @classmethod
    def of(cls, listing: Listing, count: int, before: "Shown | None" = None) -> "Shown":
        """`before` it, pages showed that; where nothing is another, they still do."""
        rows, older = listing[:count], len(listing) > count
        if before is None:
            return cls(rows, older, rows)
        if (rows, older) == (before.rows, before.older):
            return before
        changed = changes(before.whole, rows)
        return cls(rows, older, rows) if len(changed) > MOST_CHANGES else cls(rows, older, before.whole, changed)

    @cached_property
    def as_changes(self) -> str:
        """As JSON, with the names that the page's state gives them, for a page that has the rest."""
        return _json({"changed": self.changed, "older": self.older})

    @cached_property
    def as_whole(self) -> str:
        return _json({"chats": self.whole, "changed": self.changed, "older": self.older})


def _json(values: dict[str, Any]) -> str:
    named = {name + FIELD_MARKER: value for name, value in values.items()}
    return json.dumps(named, ensure_ascii=False, separators=(",", ":"))


def chat_rows(chats: Sequence[Chat], answering: Collection[str] = ()) -> Listing:
    moments = [PINNED if chat.pinned else quarter(chat.updated_at) for chat in chats]
    return tuple(
        ChatRow(
            id=chat.id,
            title=chat.title,
            moment=moment,
            before=before,
            pinned=chat.pinned,
            answering=chat.id in answering,
        )
        for chat, moment, before in zip(chats, moments, ["", *moments], strict=False)
    )


def quarter(moment: datetime) -> str:
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0).isoformat(timespec="seconds")


def changes(sent: Listing, rows: Listing) -> list[Change]:
    """What makes `rows` of `sent`, by place; `chat_list.js` does it."""
    kept, listed = _kept(sent, rows), {row["id"] for row in rows}
    gone: list[Change] = [(GONE, row) for row in sent if row["id"] not in listed]
    return gone + [(place, row) for place, row in enumerate(rows) if row["id"] not in kept]


def _kept(sent: Listing, rows: Listing) -> set[str]:
    """The chats whose rows stay as they are, in the order in which they are.

    From the end on: what has changed moves up, and all that it passes stays.
    """
    places = {row["id"]: place for place, row in enumerate(sent)}
    kept, last = set(), len(sent)
    for row in reversed(rows):
        place = places.get(row["id"], last)
        if place < last and sent[place] == row:
            kept.add(row["id"])
            last = place
    return kept
