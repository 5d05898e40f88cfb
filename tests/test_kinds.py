"""The parts that an agent yields by name: what they become, and what is said of wrong ones."""

from typing import Any

import pytest

from chat_app.errors import BadReply
from chat_app.kinds import MAX_DETAIL_CHARS, Kind, Reasoning, Source, Step, Suggestions
from chat_app.parts import Part
from chat_app.reply import Piece, checked


def data(given: Kind) -> Any:
    part = checked(given)
    assert isinstance(part, Part)
    return part.data


def test_a_step_is_yielded_at_its_begin_and_at_its_end_under_one_id() -> None:
    step = Step("  Searching \n the web ", input="rain")
    begun, done, failed = data(step), data(step.done(output=["a", 1])), data(step.failed("no network"))
    assert begun == {"id": step.id, "title": "Searching the web", "state": "running", "input": "rain"}
    assert done == begun | {"state": "done", "output": ["a", 1]}
    assert failed == begun | {"state": "failed", "output": "no network"}
    assert Step("Searching").id != step.id


def test_a_step_names_the_one_that_it_belongs_to() -> None:
    outer = Step("Outer")
    assert data(Step("Inner", parent=outer))["parent"] == outer.id
    assert data(Step("Inner", parent="abc"))["parent"] == "abc"


def test_what_a_tool_took_and_gave_may_be_anything_and_is_bounded() -> None:
    class Thing:
        def __repr__(self) -> str:
            return "<thing>"

    circle: list[Any] = []
    circle.append(circle)
    assert data(Step("x", input=Thing(), output=float("nan")))["input"] == "<thing>"
    assert (
        data(
            Step(
                "x",
                input={
                    1,
                },
            )
        )["input"]
        == "{1}"
    )
    assert "[...]" in data(Step("x", output=circle))["output"]
    for long in ("x" * 1_000_000, ["x" * 1_000_000]):
        output = data(Step("x", output=long))["output"]
        assert len(output) < MAX_DETAIL_CHARS + 100
        assert output.endswith("characters in all)")


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c#d", "HTTP://127.0.0.1:8000", "https://müller.de/straße", ""]
)
def test_a_source_has_a_web_address_or_none(url: str) -> None:
    assert data(Source("A page", url)) == {"title": "A page"} | ({"url": url} if url else {})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            Source("A", "javascript:alert(1)"),
            "a Source that cannot be kept: its url is 'javascript:alert(1)'; give",
        ),
        (Source("A", " https://example.org"), "its url is ' https://example.org'"),
        (Source("A", "java\nscript:alert(1)"), "its url is"),
        (Source("A", "data:text/html,<script>"), "its url is"),
        (Source("A", "//example.org"), "its url is"),
        (Source("A", "/etc/passwd"), "its url is"),
        (Source("A", "https://"), "its url is"),
        (Source("A", "http://[::1"), "its url is"),
        (Source("A", b"https://example.org"), "its url is no text but bytes"),
        (Source(""), "its title is empty"),
        (Source("A", snippet=5), "its snippet is no text but int"),
        (Part("source", data={"title": "A", "url": "javascript:alert(1)"}), "a Part that cannot be kept: its url is"),
        (Step(" \n"), "a Step that cannot be kept: its title is empty"),
        (Step(None), "its title is no text but NoneType"),
        (Step("x" * 301), "its title has 301 characters; at most 300 are allowed"),
        (Step("A", state="finished"), "its state is 'finished'; use running, done, failed"),
        (Step("A", parent=5), "its parent is no text but int"),
        (Suggestions(), "Suggestions that cannot be kept: there are 0 of them; give 1 to 8"),
        (Suggestions(*"abcdefghi"), "there are 9 of them"),
        (Suggestions("a", ""), "its text is empty"),
        (Suggestions(["a"]), "its text is no text but list"),
        (Reasoning(5), "a Reasoning whose text is an int; give it a str."),
    ],
)
def test_a_wrong_one_is_named_with_what_is_wrong(given: Kind, sentence: str) -> None:
    with pytest.raises(BadReply) as caught:
        checked(given)
    assert sentence in caught.value.message
    assert caught.value.message.startswith("REPLIES yielded ")


def test_reasoning_is_text_that_grows() -> None:
    assert checked(Reasoning("Hm. ")) == Piece(reasoning="Hm. ")
