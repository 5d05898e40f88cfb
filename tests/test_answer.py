"""An answer of no chat: what a reply source says, checked, and what it does wrong, in a sentence."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chat_app.answer import pieces
from chat_app.errors import BadReply, ChatError, InternalError, NoAnswer, ProviderBusy, ProviderSilent
from chat_app.parts import Part
from chat_app.reply import Piece
from tests.clock import Clock

pytestmark = pytest.mark.anyio

FIRST_S, NEXT_S = 2_000.0, 1_000.0
SILENT = object()


class Source:
    """Gives these one after the other; raises errors, and is silent where it is told to."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.closed = False

    async def __call__(self) -> AsyncGenerator[Any, None]:
        try:
            for one in self.given:
                if isinstance(one, BaseException):
                    raise one
                if one is SILENT:
                    await asyncio.Event().wait()
                yield one
        finally:
            self.closed = True


async def read(source: Source) -> list[Piece]:
    return [piece async for piece in pieces(source(), FIRST_S, NEXT_S)]


async def test_its_text_comes_as_pieces_and_whole_parts_are_passed_over() -> None:
    source = Source("Hel", None, "", [Piece(reasoning="hm"), "lo"], Part("tool", data={}), Piece(finish_reason="stop"))
    assert await read(source) == [Piece("Hel"), Piece(reasoning="hm"), Piece("lo"), Piece(finish_reason="stop")]
    assert source.closed


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ProviderBusy("Later."), ProviderBusy),
        (ValueError("oh"), InternalError),
        (TimeoutError(), InternalError),
        (SystemExit(3), InternalError),
        (StopAsyncIteration(), InternalError),
        (GeneratorExit(), InternalError),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "",
)
async def test_what_it_raises_is_told_and_what_came_before_is_there(
    problem: BaseException, told: type[ChatError]
) -> None:
    source = Source("Hello", problem)
    reading = pieces(source(), FIRST_S, NEXT_S)
    assert (await anext(reading)).text == "Hello"
    with pytest.raises(told):
        await anext(reading)
    assert source.closed


@pytest.mark.parametrize(("before", "seconds"), [((), FIRST_S), (("Hello",), NEXT_S)])
async def test_it_may_be_silent_for_so_long(
    before: tuple[str, ...], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    source = Source(*before, SILENT)
    reading = asyncio.ensure_future(read(source))
    await clock.forward(0)
    await clock.forward(seconds - 500)
    assert not reading.done()
    await clock.forward(600)
    with pytest.raises(ProviderSilent):
        await reading
    assert source.closed


async def test_the_time_that_its_reader_takes_is_not_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    got = []
    async for piece in pieces(Source("a", "b", "c")(), FIRST_S, NEXT_S):
        await clock.forward(10 * FIRST_S)
        got.append(piece.text)
    assert got == ["a", "b", "c"]


@pytest.mark.parametrize("given", [(), ("",), (Piece(model="m"),), (Part("tool", data={}),)], ids=str)
async def test_one_that_says_nothing(given: tuple[Any, ...]) -> None:
    with pytest.raises(NoAnswer):
        await read(Source(*given))


async def test_one_that_yields_what_is_no_text() -> None:
    with pytest.raises(BadReply):
        await read(Source(5))


async def test_a_reader_that_leaves_ends_it() -> None:
    source = Source("a", SILENT)
    reading = pieces(source(), FIRST_S, NEXT_S)
    await anext(reading)
    await reading.aclose()
    assert source.closed
