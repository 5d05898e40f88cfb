"""What a page gets of the list of chats, one list after the other, and what it makes of that."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chat_app.ui.chat_rows import MOST_CHANGES, ChatRow, Listing, Shown
from tests.page_client import MARKER, with_changes

COUNT = 5


def row(name: str, *, answering: bool = False) -> ChatRow:
    return ChatRow(
        id=name, title=name, moment="2026-11-28T15:00:00+00:00", before="", pinned=False, answering=answering
    )


# Lists that come one after the other: each chat once, some of them answering.
listings = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=8, unique_by=lambda chat: chat[0]).map(
        lambda chats: tuple(row(name, answering=answering) for name, answering in chats)
    ),
    min_size=1,
    max_size=6,
)


class Page:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def take(self, delta: str) -> None:
        self.values |= {name.removesuffix(MARKER): value for name, value in json.loads(delta).items()}

    def rows(self) -> Listing:
        return tuple(with_changes(self.values["chats"], self.values["changed"]))


@given(listings)
def test_what_a_page_is_sent_makes_the_list(lists: list[Listing]) -> None:
    """Also of one that came later than another, and then is sent the same."""
    page, shown = Page(), None
    for listing in lists:
        before, shown = shown, Shown.of(listing, COUNT, shown)
        page.take(shown.as_changes if before is not None and shown.whole is before.whole else shown.as_whole)
        late = Page()
        late.take(shown.as_whole)
        for one in (page, late):
            assert one.rows() == listing[:COUNT]
            assert one.values["older"] == (len(listing) > COUNT)
        assert len(shown.changed) <= MOST_CHANGES


def test_a_list_that_is_as_it_was_is_not_sent() -> None:
    listing = tuple(row(name) for name in "abcdefg")
    shown = Shown.of(listing, COUNT)
    # What is below all that is shown.
    assert Shown.of((*listing[:-1], row("z")), COUNT, shown) is shown
    assert Shown.of(listing[:COUNT], COUNT, shown) is not shown


def test_few_changes_are_sent_without_the_rest() -> None:
    shown = Shown.of(tuple(row(name) for name in "abcd"), COUNT)
    new = Shown.of(tuple(row(name) for name in "xabcd"), COUNT, shown)
    assert new.whole is shown.whole
    assert [place for place, _ in new.changed] == [0]
    assert Shown.of(tuple(row(name) for name in "vwxyz"), COUNT, new).whole is not shown.whole
