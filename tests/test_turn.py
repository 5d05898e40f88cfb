"""A turn as its readers see it, from its row: the numbers that it had live, and its end."""

import pytest

from chat_app.models import Message, Role, Status
from chat_app.parts import Part, columns
from chat_app.turns.log import Delta, Ended, Event, Whole
from chat_app.turns.turn import END_OF_INTERRUPTED, numbered, stored_turn

pytestmark = pytest.mark.anyio

PARTS = [Part("reasoning", "hm", ms=7), Part("text", "Hello"), Part("tool", data={"id": 1}), Part("text", "👋!")]
EVENTS: list[Event] = [
    Delta(2, "hm", "reasoning"),
    Delta(7, "Hello"),
    Whole(8, "tool", {"id": 1}),
    Delta(10, "👋!"),
]
USER = Message(chat_id="c", role=Role.user, content="?")


def stored(parts: list[Part] = PARTS, status: str = Status.complete, **values: object) -> Message:
    return Message(chat_id="c", parent_id=USER.id, role=Role.assistant, status=status, **columns(parts), **values)


async def events_of(reply: Message, after: int = 0) -> list[Event]:
    return [event async for event in stored_turn(USER, reply).events(after)]


def test_each_part_has_the_number_of_its_end() -> None:
    assert numbered(PARTS) == EVENTS
    assert numbered([]) == []


async def test_all_of_it_and_its_end() -> None:
    reply = stored(finish_reason="length", usage={"completion_tokens": 3})
    assert await events_of(reply) == [*EVENTS, Ended(11, Status.complete, "length", {"completion_tokens": 3})]
    turn = stored_turn(USER, reply)
    assert (turn.id, turn.chat_id, turn.ended_at) == (reply.id, "c", 11)
    assert (await turn.end()).seq == 11


@pytest.mark.parametrize("after", range(13))
async def test_what_comes_after_any_number(after: int) -> None:
    places = [
        ("reasoning", "h"),
        ("reasoning", "m"),
        *(("text", c) for c in "Hello"),
        ("tool", ""),
        ("text", "👋"),
        ("text", "!"),
    ]
    *events, ended = await events_of(stored(), after) if after < 11 else [None]
    found = [
        (event.kind, char)
        for event in events
        if event and not isinstance(event, Ended)
        for char in (event.text if isinstance(event, Delta) else [""])
    ]
    assert found == places[after:]
    assert (ended is None) == (after >= 11)
    if after >= 11:
        assert await events_of(stored(), after) == []


@pytest.mark.parametrize("status", [Status.interrupted, Status.streaming])
@pytest.mark.parametrize("after", [0, 8, 10, 11, 5_000])
async def test_who_has_text_that_was_never_saved_is_told_the_end_of_what_nobody_runs(status: str, after: int) -> None:
    *events, ended = await events_of(stored(status=status), after)
    assert ended == Ended(END_OF_INTERRUPTED, Status.interrupted, "interrupted")
    assert [event.seq for event in events] == [seq for seq in (2, 7, 8, 10) if seq > after]
    assert await events_of(stored(status=status), END_OF_INTERRUPTED) == []


@pytest.mark.parametrize("status", [Status.stopped, Status.failed])
async def test_one_without_a_word_has_an_end(status: Status) -> None:
    error = {"code": "x", "message": "y", "retryable": True}
    assert await events_of(stored([], status, error=error)) == [Ended(1, status, status.value, None, error)]


async def test_a_message_from_before_there_were_parts_is_its_thoughts_and_then_its_text() -> None:
    reply = Message(chat_id="c", role=Role.assistant, content="Hello", reasoning="hm")
    assert (await events_of(reply))[:-1] == [Delta(2, "hm", "reasoning"), Delta(7, "Hello")]
