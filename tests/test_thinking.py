"""Thoughts in the text of an answer: told apart however the text is cut into pieces, and nothing lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.replies.thinking import BREAK, MAX_SPACE, MAX_THOUGHTS, PAIRS, Thoughts, spoken
from chat_app.reply import Piece


def shown(pieces: Sequence[Piece]) -> tuple[str, str]:
    """What a reader has in the end: thoughts and text."""
    reasoning = text = ""
    for piece in pieces:
        if piece.recast:
            reasoning, text = reasoning + text + piece.text, ""
        else:
            reasoning, text = reasoning + piece.reasoning, text + piece.text
    return reasoning, text


def split(*texts: str) -> list[Piece]:
    thoughts = Thoughts()
    return [piece for text in texts for piece in thoughts.split(Piece(text))] + list(thoughts.rest())


LONE = f"so{BREAK}"
ANSWERS = [
    ("<think>\nhm\n\nso\n</think>\n\nHello", "hm\n\nso", "Hello"),
    ("<think>hm</think>Hello", "hm", "Hello"),
    ("\n\n <think>hm</think>Hello", "hm", "Hello"),
    ("\ufeff<think>hm</think>Hello", "hm", "Hello"),
    ("<Think>hm</THINK>Hello", "hm", "Hello"),
    ("<thinking>hm</think></thinking>Hello", "hm</think>", "Hello"),
    ("<thought>hm</thought>Hello", "hm", "Hello"),
    ("<reasoning>hm</reasoning>Hello", "hm", "Hello"),
    ("[THINK]hm[/THINK]Hello", "hm", "Hello"),
    ("◁think▷hm◁/think▷Hello", "hm", "Hello"),
    ("<seed:think>hm</seed:think>Hello", "hm", "Hello"),
    ("<|channel>thought\nhm<channel|>Hello", "hm", "Hello"),
    ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Hello", "hm", "Hello"),
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello", "hm", "Hello"),
    ("<|channel|>final<|message|>Hello", "", "Hello"),
    ("<think>a</think>\n<think>b</think>\nHello", "a\n\nb", "Hello"),
    ("<think>\n\n</think>\n\nHello", "", "Hello"),
    ("<think></think>", "", ""),
    ("<think>if a < b </t x</think>Hello", "if a < b </t x", "Hello"),
    ("<think>never closed", "never closed", ""),
    ("<think>never closed </thi", "never closed </thi", ""),
    # Only the closing one.
    ("</think>\n\nHello", "", "Hello"),
    ("so\n</think>\n\nHello", f"so\n{BREAK}", "Hello"),
    ("so</think>Hello", LONE, "Hello"),
    ("so[/THINK]Hello", LONE, "Hello"),
    ("so◁/think▷Hello", LONE, "Hello"),
    ("Let me see. </think> 42", f"Let me see. {BREAK}", "42"),
    ("Is `</think>` code?\nYes.\n</think>\nHello", f"Is `</think>` code?\nYes.\n{BREAK}", "Hello"),
    ("```\n</think>\n```\nso</think>Hello", f"```\n</think>\n```\n{LONE}", "Hello"),
    ("so</think>a\n</think>b", LONE, "a\n</think>b"),
    # Text.
    ("Hello <think>hm</think> there", "", "Hello <think>hm</think> there"),
    ("Hello\n<think>\nhm\n</think>\nthere", "", "Hello\n<think>\nhm\n</think>\nthere"),
    ("`<think>` opens, `</think>` closes", "", "`<think>` opens, `</think>` closes"),
    ("It ends with </think>, as a tag does", "", "It ends with </think>, as a tag does"),
    ('It ends with "</think>"', "", 'It ends with "</think>"'),
    ("```xml\n<think>hm</think>\n```", "", "```xml\n<think>hm</think>\n```"),
    ("~~~~\n</think>\n~~~\n</think>", "", "~~~~\n</think>\n~~~\n</think>"),
    ("So:\n\n    </think>\n", "", "So:\n\n    </think>\n"),
    ("<thinker>hm</thinker>", "", "<thinker>hm</thinker>"),
    ("<b>Hello</b>", "", "<b>Hello</b>"),
    ("[link](x) < 3 ◁", "", "[link](x) < 3 ◁"),
    ("<thi", "", "<thi"),
    ("  \n", "", "  \n"),
    ("\n\n  indented", "", "\n\n  indented"),
    ("", "", ""),
]


@pytest.mark.parametrize(("answer", "reasoning", "text"), ANSWERS)
def test_thoughts_and_text_however_they_are_cut(answer: str, reasoning: str, text: str) -> None:
    for size in (len(answer) or 1, 1, 2, 3, 5, 7):
        cut = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert shown(split(*cut)) == (reasoning, text)
    assert spoken(answer) == text


TAGS = sorted({*PAIRS, *PAIRS.values(), "<", "</", "`", "```", "\n", " ", "so", "so.", "é👋"})


@given(st.lists(st.sampled_from(TAGS), max_size=12).map("".join), st.data())
def test_every_cut_tells_the_same(answer: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(answer)), max_size=8)))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert shown(split(*pieces)) == shown(split(answer))


@given(st.lists(st.text(st.sampled_from("ab <>/`\n[]◁"), max_size=6), max_size=8))
def test_what_has_no_tag_comes_as_it_is(texts: list[str]) -> None:
    assert shown(split(*texts)) == ("", "".join(texts))


@pytest.mark.parametrize("text", ["H", "Hello", "# A", "1", "`", " H", "<b", "<!", "[l", "é", "- [ ] x"])
def test_the_first_characters_of_an_answer_wait_for_nothing(text: str) -> None:
    assert shown(Thoughts().split(Piece(text))) == ("", text)


def test_thoughts_do_not_wait_for_their_end() -> None:
    thoughts = Thoughts()
    pieces = [thoughts.split(Piece(text)) for text in ("<think>", "hm", ", so", "</thi", "nk>", "Hello")]
    assert [shown(some) for some in pieces] == [("", ""), ("hm", ""), (", so", ""), ("", ""), ("", ""), ("", "Hello")]


def test_what_else_a_piece_says_is_kept() -> None:
    thoughts = Thoughts()
    usage = {"completion_tokens": 1}
    first = thoughts.split(Piece("<think>hm</think>Hello", model="m", usage=usage, finish_reason="stop"))
    assert shown(first) == ("hm", "Hello")
    assert (first[-1].model, first[-1].usage, first[-1].finish_reason) == ("m", usage, "stop")
    assert thoughts.split(Piece(finish_reason="stop")) == (Piece(finish_reason="stop"),)


def test_where_the_server_tells_thoughts_apart_a_lone_tag_is_text() -> None:
    thoughts = Thoughts()
    pieces = [*thoughts.split(Piece(reasoning="hm")), *thoughts.split(Piece("so\n</think>\nHello")), *thoughts.rest()]
    assert shown(pieces) == ("hm", "so\n</think>\nHello")
    thoughts = Thoughts()
    pieces = [*thoughts.split(Piece(reasoning="hm")), *thoughts.split(Piece("</think>\nHello")), *thoughts.rest()]
    assert shown(pieces) == ("hm", "Hello")


def test_a_tag_is_looked_for_within_bounds() -> None:
    far = "x" * (MAX_THOUGHTS + 1)
    assert shown(split(far, "\n</think>\nHello")) == ("", far + "\n</think>\nHello")
    assert shown(split(*[" "] * (MAX_SPACE + 2), "<think>")) == ("", " " * (MAX_SPACE + 2) + "<think>")
    many = "`</think>` " * 10_000
    assert shown(split(many)) == ("", many)
