"""A reply in the shapes of OpenAI's chat completions. That OpenAI's own client reads them is in test_completions.py."""

from typing import Any

import pytest

from chat_app.api.completion_chunks import Head, Step, choice_step, completion, event_step, piece_steps
from chat_app.errors import Interrupted
from chat_app.models import Status
from chat_app.parts import REASONING, TEXT
from chat_app.reply import Piece
from chat_app.turns.log import Delta, Ended, Event, Whole

USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
ERROR = {"code": "provider_error", "message": "No.", "retryable": True}


def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": more.pop("name")} if "name" in more else {})
    return {"index": index, "function": function, **more}


def test_all_chunks_have_one_head() -> None:
    head = Head("bench")
    chunks = [head.first(), head.chunk(Step({"content": "Hi"})), head.last(USAGE)]
    heads = [
        {key: value for key, value in chunk.items() if key not in ("choices", "usage")} for chunk in chunks if chunk
    ]
    assert heads == [heads[0]] * 3
    assert (heads[0]["object"], heads[0]["model"]) == ("chat.completion.chunk", "bench")
    assert Head("bench").id != head.id
    assert head.first()["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (head.last(USAGE)["choices"], head.last(USAGE)["usage"]) == ([], USAGE)


def test_what_says_nothing_before_the_end_is_no_chunk_but_the_model_is_kept() -> None:
    head = Head("asked for")
    assert head.chunk(Step(usage=USAGE, model="answered")) is None
    chunk = head.chunk(Step(finish_reason="stop", index=1))
    assert chunk and chunk["model"] == "answered"
    assert chunk["choices"] == [{"index": 1, "delta": {}, "logprobs": None, "finish_reason": "stop"}]


@pytest.mark.parametrize(
    ("event", "step"),
    [
        (Delta(2, "Hi", TEXT), Step({"content": "Hi"})),
        (Delta(2, "Hm", REASONING), Step({"reasoning_content": "Hm"})),
        (Whole(3, "tool", {}), None),
        (Ended(3, Status.complete, "length", usage=USAGE), Step(finish_reason="length", usage=USAGE)),
        (Ended(3, Status.stopped, "stopped"), Step(finish_reason="stop")),
        (Ended(3, Status.failed, "error", error=ERROR), Step(error=ERROR)),
        (Ended(3, Status.interrupted, "interrupted"), Step(error=Interrupted().as_dict())),
    ],
    ids=["text", "thoughts", "a tool", "the end", "a stop", "a failure", "an interruption"],
)
def test_an_event_of_a_turn(event: Event, step: Step | None) -> None:
    assert event_step(event) == step


def test_a_piece_of_an_agent_thoughts_first() -> None:
    piece = Piece(text="Hi", reasoning="Hm", finish_reason="stop", usage=USAGE, model="bench")
    rest = Step(finish_reason="stop", usage=USAGE, model="bench")
    assert piece_steps(piece) == [Step({"reasoning_content": "Hm"}), Step({"content": "Hi"}), rest]
    assert piece_steps(Piece()) == []


def test_a_choice_of_a_provider_whole_or_not() -> None:
    delta = {"delta": {"role": "assistant", "content": "Hi", "refusal": None}, "index": 1, "finish_reason": ""}
    assert choice_step(delta, "bench") == Step({"content": "Hi"}, model="bench", index=1)
    assert choice_step({"message": {"content": "Hi"}, "finish_reason": "stop"}, None) == Step({"content": "Hi"}, "stop")
    assert choice_step({"delta": None}, None) == Step()


def test_a_whole_answer_is_its_steps_put_together() -> None:
    tools = [call(0, "", id="a", name="look"), call(1, "{}", id="b", name="wait"), call(0, '{"up":'), call(0, "1}")]
    steps = [
        Step({"reasoning_content": "Hm"}, model="answered"),
        Step({"content": "H"}),
        Step({"content": "i"}),
        *(Step({"tool_calls": [one]}) for one in tools),
        Step(finish_reason="tool_calls", usage=USAGE),
        Step({"content": "Another"}, "length", index=2),
    ]
    whole = completion(Head("asked for"), steps)
    assert (whole["object"], whole["model"], whole["usage"]) == ("chat.completion", "answered", USAGE)
    first, second = whole["choices"]
    assert first["message"] == {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "Hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"up":1}'}},
            {"id": "b", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
        ],
    }
    assert (first["finish_reason"], second["index"], second["finish_reason"]) == ("tool_calls", 2, "length")


def test_an_answer_without_anything_is_an_empty_one() -> None:
    [choice] = completion(Head("bench"), [])["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "stop")
