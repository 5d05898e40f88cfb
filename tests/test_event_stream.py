"""The decoder of providers' event streams: the standard's rules, every way to cut the bytes, bounds."""

import time
from itertools import pairwise

import pytest

from chat_app.replies.event_stream import MAX_EVENT_BYTES, EventDecoder, EventTooLong, ServerEvent


def decoded(stream: bytes, size: int = 10_000) -> list[ServerEvent]:
    decoder = EventDecoder()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def data(stream: bytes, size: int = 10_000) -> list[str]:
    return [event.data for event in decoded(stream, size)]


CASES: dict[str, tuple[str, list[str]]] = {
    "one": ("data: a\n\n", ["a"]),
    "no space": ("data:a\n\n", ["a"]),
    "only one space is the separator, and white space around JSON does not count": ("data:   {} \n\n", ["{}"]),
    "the order of fields": ("id: 1\ndata: a\nretry: 5\n\n", ["a"]),
    "several lines of data": ('data: {"a":\ndata: 1}\n\n', ['{"a":\n1}']),
    "plain lines of data": ("data: a\ndata: b\n\ndata: c\n\n", ["a\nb", "c"]),
    "an empty field": ("data:\n\n", [""]),
    "a field without a colon": ("data\n\ndata\ndata\n\n", ["", ""]),
    "comments": (": ping\n\n:\n\n: data: no\ndata: a\n:x\n\n", ["a"]),
    "unknown fields": ("foo: bar\ndatax: no\n data: no\ndata: a\n\n", ["a"]),
    "a byte order mark": ("\ufeffdata: a\n\n", ["a"]),
    "a byte order mark later on is text": ("data: a\n\n\ufeffdata: b\n\n", ["a"]),
    "raw line separators are text": ("data: é\u2028\u0085👋\u000b\n\n", ["é\u2028\u0085👋"]),
    "blank lines": ("\n\n\ndata: a\n\n\n\n\ndata: b\n\n", ["a", "b"]),
    "the end without a blank line": ("data: a\n\ndata: b\n", ["a", "b"]),
    "the end without a line end": ("data: a\n\ndata: b", ["a", "b"]),
    "no blank line between events of one line": (
        'data: {"a":1}\ndata: {"b":2}\ndata: [DONE]\n',
        ['{"a":1}', '{"b":2}', "[DONE]"],
    ),
    "nothing": ("", []),
    "what is no event stream": ("hello\nworld\n", []),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES)
def test_events_are_the_standard_s_however_the_bytes_are_cut(stream: str, expected: list[str], line_end: str) -> None:
    encoded = stream.replace("\n", line_end).encode()
    for size in (1, 2, 3, 7, 10_000):
        assert data(encoded, size) == expected


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_line_ends_may_be_mixed(size: int) -> None:
    assert data(b"data: a\r\rdata: b\r\n\ndata: c\n\r\n: x\r\ndata: d\r\n\r\n", size) == ["a", "b", "c", "d"]


def test_an_event_has_a_name_until_its_end() -> None:
    stream = b"event: error\ndata: a\n\ndata: b\n\nevent:ping\n\ndata: c\n\ndata: d\nevent: late\n\n"
    assert decoded(stream) == [("error", "a"), ("", "b"), ("", "c"), ("late", "d")]


def test_an_event_without_a_blank_line_does_not_wait_for_the_next() -> None:
    decoder = EventDecoder()
    assert [event.data for event in decoder.feed(b'data: {"a":1}\n')] == ['{"a":1}']
    assert decoder.feed(b"\n") == []
    assert [event.data for event in decoder.feed(b'data: {"b":\n')] == []
    assert [event.data for event in decoder.feed(b"data: 2}\n\n")] == ['{"b":\n2}']


def test_broken_bytes_cost_no_event() -> None:
    assert data(b"data: a\xff\xfe\n\ndata: \xc3\n\n") == ["a\ufffd\ufffd", "\ufffd"]


@pytest.mark.parametrize("filler", [b"x", b"data: y\n", b": ", b"data: {}\r"], ids=str)
def test_what_never_ends_is_given_up_at_the_bound(filler: bytes) -> None:
    # The one that the app has, where few steps come to it.
    bound = MAX_EVENT_BYTES if filler == b"x" else 200_000
    decoder, fed = EventDecoder(bound), 0
    piece = filler * (16_384 // len(filler))
    if filler.startswith(b"data: {}"):
        # Each is an event: that may go on for ever.
        while fed < 2 * bound:
            decoder.feed(piece)
            fed += len(piece)
        return
    with pytest.raises(EventTooLong):
        while fed < 2 * bound:
            decoder.feed(piece)
            fed += len(piece)
    assert fed <= bound * 1.5


@pytest.mark.parametrize("size", [1, 7, 30, 10_000])
@pytest.mark.parametrize(
    "long",
    [
        b'data: {"a":"' + 60 * b"x" + b'"}\n\n',
        b'data: {"a":"' + 60 * b"x",
        60 * b"x" + b"\n",
        8 * b"data: 123\n" + b"\n",
        b'data: {"a":\n' + 6 * b"data: 1234567\n",
    ],
    ids=["an event", "its beginning", "a line", "an event of short lines", "its beginning in lines"],
)
def test_what_is_longer_than_allowed_costs_nothing_that_came_before(long: bytes, size: int) -> None:
    short = b'data: {"b":"%s"}\n\n' % (30 * b"y")
    decoder, stream, seen = EventDecoder(max_bytes=50), short + short + long, 0
    with pytest.raises(EventTooLong) as raised:
        for at in range(0, len(stream), size):
            seen += len(decoder.feed(stream[at : at + size]))
    assert seen + len(raised.value.events) == 2


def test_as_much_as_is_allowed_is_read() -> None:
    event = b'data: {"a":"%s"}\n\n' % (100 * b"x")
    decoder = EventDecoder(max_bytes=len(event))
    assert sum(len(decoder.feed(one)) for one in [event, event * 50, event[:30], event[30:] + event]) == 53


def test_a_line_in_many_pieces_costs_linear_time() -> None:
    """Twice the length costs about twice the time; what is quadratic, four times."""
    piece = b"x" * 1_000

    def cost(pieces: int) -> float:
        decoder = EventDecoder()
        began = time.process_time()
        for _ in range(pieces):
            decoder.feed(piece)
        decoder.feed(b"\n\n")
        return time.process_time() - began

    best = {pieces: cost(pieces) for pieces in (1_000, 2_000, 4_000, 7_900)}
    # What else the machine does makes some of them dearer, and none cheaper: they are tried until it did not.
    for _ in range(200):
        if all(more < 3.3 * less for less, more in pairwise(best.values())):
            return
        best = {pieces: min(before, cost(pieces)) for pieces, before in best.items()}
    raise AssertionError(best)
