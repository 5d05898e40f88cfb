"""A generation by itself: what a reply source gives becomes numbered events, and the parts that are stored."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_app.errors import BadReply, ProviderBusy
from chat_app.models import JournalRow, Message, Role, Status
from chat_app.parts import Part, folded
from chat_app.reply import Piece
from chat_app.turns.generation import Generation
from chat_app.turns.journal import Page
from chat_app.turns.log import Delta, Ended, Event, Whole


class Unwritten:
    """A journal that nobody reads."""

    def note(self, page: Page) -> None: ...


def generation(limit: int = 1_000, head: str = "") -> Generation:
    user = Message(chat_id="c", role=Role.user, content="?")
    reply = Message(chat_id="c", role=Role.assistant, content=head)
    page = Page(Unwritten(), reply.id, len(head))
    return Generation(user, reply, page, len(head) + limit, stopped=None)


def taken(of: Generation, *given: Any) -> list[Event]:
    return [event for one in given for event in of.take(one)]


TOOL = {"id": "1"}


def test_numbers_are_places() -> None:
    one = generation()
    events = taken(one, Piece(reasoning="hm"), "Hel", ["lo", Part("tool", data=TOOL)], Piece("!", "so"))
    assert events == [
        Delta(2, "hm", "reasoning"),
        Delta(5, "Hel"),
        Delta(7, "lo"),
        Whole(8, "tool", TOOL),
        Delta(10, "so", "reasoning"),
        Delta(11, "!"),
    ]
    assert [(part.kind, part.text) for part in one.parts()] == [
        ("reasoning", "hm"),
        ("text", "Hello"),
        ("tool", ""),
        ("reasoning", "so"),
        ("text", "!"),
    ]
    ended = one.ended(Status.complete, None)
    assert ended == Ended(12, Status.complete, "stop", {"completion_tokens": 6, "estimated": True})
    assert [event.seq for event in one.events(ended)] == [2, 7, 8, 10, 11, 12]


@pytest.mark.parametrize(
    "nothing", ["", None, Piece(), [], [""], Piece(model="m"), Piece(usage={"total_tokens": 1})], ids=repr
)
def test_what_says_nothing_takes_no_number_and_is_no_first_token(nothing: Any) -> None:
    one = generation()
    assert taken(one, nothing) == []
    assert (one.seq, one.first_token_ms, one.answered) == (0, None, False)


def test_white_space_and_thoughts_alone() -> None:
    one = generation()
    taken(one, " \n")
    assert not one.answered
    taken(one, Part("tool", data=TOOL))
    assert one.answered


def test_that_nothing_at_all_was_reasoning_says_nothing() -> None:
    one = generation()
    assert taken(one, Piece(recast=True)) == []
    assert one.parts() == []


def test_where_thoughts_fill_the_answer_no_empty_text_follows() -> None:
    one = generation(limit=2)
    assert taken(one, Piece("so", "hm")) == [Delta(2, "hm", "reasoning")]
    assert [part.kind for part in one.parts()] == ["reasoning"]


@pytest.mark.parametrize("most", [1, 3, 5, 6, 9])
def test_an_answer_ends_at_its_limit_wherever_that_is(most: int) -> None:
    one = generation(limit=most)
    taken(one, "Hello", Part("tool", data=TOOL), ["wor", "ld"], "more")
    assert one.full
    assert one.seq == most
    assert sum(part.places for part in one.parts()) == most


def test_what_a_version_goes_on_from_counts_neither_as_token_nor_for_the_limit() -> None:
    one = generation(limit=3, head="Before ")
    assert one.head("Before ") == Delta(7, "Before ")
    assert one.deltas == 0
    assert taken(one, "after") == [Delta(10, "aft")]
    assert [part.text for part in one.parts()] == ["Before aft"]
    assert one.full


def test_text_that_turns_out_to_be_thoughts_keeps_its_numbers() -> None:
    one = generation(head="Before ")
    one.head("Before ")
    taken(one, "hm, ", Part("tool", data=TOOL))
    [event] = taken(one, Piece("so", recast=True))
    assert isinstance(event, Delta)
    assert (event.seq, event.recast) == (14, 7)
    taken(one, "Yes.")
    assert [(part.kind, part.text) for part in one.parts()] == [
        ("text", "Before "),
        ("reasoning", "hm, "),
        ("tool", ""),
        ("reasoning", "so"),
        ("text", "Yes."),
    ]


@pytest.mark.parametrize(
    ("status", "reason", "error", "told"),
    [
        (Status.complete, None, None, "stop"),
        (Status.complete, "length", None, "length"),
        (Status.stopped, "length", None, "stopped"),
        (Status.failed, "stop", ProviderBusy("Later."), "failed"),
    ],
)
def test_why_it_ended(status: Status, reason: str | None, error: ProviderBusy | None, told: str) -> None:
    one = generation()
    taken(one, Piece("a", finish_reason=reason, usage={"completion_tokens": 9}))
    ended = one.ended(status, error)
    assert (ended.finish_reason, ended.usage) == (told, {"completion_tokens": 9})
    assert ended.error == (error.as_dict() if error else None)


def test_readers_take_no_more_than_is_within_reach() -> None:
    one = generation()
    one.unseen = taken(one, "ab", "cd", "ef")
    assert [event.seq for event in one.seen(3)] == [2]
    assert [event.seq for event in one.seen(4)] == [4]
    assert one.seen(5) == []
    assert [event.seq for event in one.seen(float("inf"))] == [6]
    assert one.seen(float("inf")) == []


@pytest.mark.parametrize(
    "odd", [5, b"a", {"delta": "a"}, Piece(text=5), Part("Tool", data={}), Part("tool", data=None)], ids=repr
)
def test_what_is_no_piece_of_a_reply_is_refused_and_changes_nothing(odd: Any) -> None:
    one = generation()
    taken(one, "Hello")
    with pytest.raises(BadReply):
        one.take(odd)
    assert (one.seq, [part.text for part in one.parts()]) == (5, ["Hello"])


DATA = st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
PIECES = st.one_of(
    st.text(max_size=4),
    st.builds(Piece, st.text(max_size=3), st.text(max_size=3), recast=st.booleans()),
    st.builds(
        Part, st.sampled_from(["tool", "file"]), data=st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
    ),
)


@pytest.mark.slow
@settings(max_examples=150)
@given(given=st.lists(st.one_of(PIECES, st.lists(PIECES, max_size=3)), max_size=12), limit=st.integers(1, 30))
def test_what_the_journal_has_is_what_the_end_stores(given: list[Any], limit: int) -> None:
    """Whatever comes: so a kill loses nothing but what was not written."""
    one = generation(limit)
    events = taken(one, *given)
    rows = [JournalRow(**row) for row in one.page.take()]
    assert plain(folded(rows)) == plain(one.parts())
    assert one.seq == sum(part.places for part in one.parts()) == (events[-1].seq if events else 0)
    # What only says that text was reasoning takes no number.
    seqs = [event.seq for event in events if not (isinstance(event, Delta) and event.recast is not None)]
    assert seqs == sorted(set(seqs))


def plain(parts: list[Part]) -> list[tuple[str, Any]]:
    return [(part.kind, part.data if part.data is not None else part.text) for part in parts]
