"""How a provider's answer ended, in its own words."""

from typing import Any

import pytest

from chat_app.errors import ContentFiltered, NoAnswer, ProviderError, ToolCalled
from chat_app.finish import finish_reason
from chat_app.replies.ending import Ending
from chat_app.reply import Piece


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("ERROR_LIMIT", "length"),
        ("SAFETY", "content_filter"),
        ("refusal", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("function_call", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("abort", "error"),
        ("network_error", "error"),
        ("something_new", "something_new"),
    ],
)
def test_a_reason_has_one_word(said: str, meant: str) -> None:
    assert finish_reason(said) == meant


def problem(*pieces: Piece, delta: dict[str, Any] | None = None) -> ProviderError | None:
    ending = Ending()
    ending.delta(delta or {})
    for piece in pieces:
        ending.piece(piece)
    return ending.problem()


HELLO, HM = Piece("Hello"), Piece(reasoning="hm")


def end(reason: str) -> Piece:
    return Piece(finish_reason=reason)


@pytest.mark.parametrize("reason", ["stop", "length", "something_new", "tool_calls"])
def test_text_is_an_answer(reason: str) -> None:
    assert problem(HM, HELLO, end(reason)) is None


@pytest.mark.parametrize(
    ("pieces", "delta", "kind", "words"),
    [
        ([end("stop")], {}, NoAnswer, "empty answer"),
        ([Piece(" \n"), end("stop")], {}, NoAnswer, "empty answer"),
        ([HM, end("stop")], {}, NoAnswer, "wrote no answer"),
        ([HELLO, Piece("\n\n", recast=True), end("stop")], {}, NoAnswer, "wrote no answer"),
        ([HM, end("length")], {}, NoAnswer, "limit while it was still thinking"),
        ([end("length")], {}, NoAnswer, "limit, before"),
        ([end("content_filter")], {}, ContentFiltered, "held this answer back"),
        ([HELLO, end("content_filter")], {}, ContentFiltered, "cut this answer off"),
        ([end("tool_calls")], {}, ToolCalled, "a tool"),
        ([end("tool_calls")], {"tool_calls": [{"function": {"name": "f\x1b[31m"}}]}, ToolCalled, r"tool f\[31m,"),
        ([end("stop")], {"function_call": {"name": "f"}}, ToolCalled, "tool f,"),
        ([end("stop")], {"tool_calls": "what?"}, ToolCalled, "a tool"),
        ([end("stop")], {"tool_calls": [7]}, ToolCalled, "a tool"),
        ([end("stop")], {"tool_calls": {"name": 7}}, ToolCalled, "a tool"),
        ([HELLO, end("error")], {}, ProviderError, "broke the answer off"),
    ],
)
def test_what_is_no_answer_is_a_sentence_and_may_be_tried_again(
    pieces: list[Piece], delta: dict[str, Any], kind: type[ProviderError], words: str
) -> None:
    error = problem(*pieces, delta=delta)
    assert error
    with pytest.raises(kind, match=words):
        raise error
    assert error.retryable and "Try again" in str(error)


def test_a_refusal_is_an_answer_also_where_a_filter_made_it() -> None:
    assert problem(Piece("I'm sorry."), end("content_filter"), delta={"refusal": "I'm sorry."}) is None
