"""What servers and gateways beyond OpenAI's own put into an answer, over real HTTP, and what a reader gets of it."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from chat_app.errors import (
    ChatError,
    ContentFiltered,
    NoAnswer,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ToolCalled,
)
from tests.test_openai_service import pieces_and_error, raw_provider, service_of, user

pytestmark = pytest.mark.anyio


def chunk(reason: str | None = None, /, *, choice: dict[str, Any] | None = None, **delta: Any) -> str:
    """An event with one delta; `choice` is what a server puts beside it."""
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": reason} | (choice or {})]})


def event(value: Any) -> str:
    return f"data: {json.dumps(value)}"


HI, STOP, DONE = chunk(content="Hi"), chunk("stop"), "data: [DONE]"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@dataclass(frozen=True)
class Answer:
    name: str
    lines: list[str]
    text: str = "Hi"
    reasoning: str = ""
    reason: str | None = "stop"
    usage: dict[str, Any] | None = None
    error: tuple[type[ChatError], str] | None = None
    status: str = "200 OK"


def fails(name: str, kind: type[ChatError], words: str, *lines: str, text: str = "", status: str = "200 OK") -> Answer:
    return Answer(name, list(lines), text, reason=None, error=(kind, words), status=status)


CALL = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]
ANSWERS = [
    Answer(
        "Azure: what it says of the prompt comes first, of the answer in chunks without a delta",
        [
            event({"choices": [], "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}),
            chunk(role="assistant", content="", refusal=None, choice={"content_filter_results": {}}),
            chunk(content="Hi", choice={"content_filter_results": {"hate": {"filtered": False}}}),
            event({"choices": [{"content_filter_offsets": {"check_offset": 1}, "finish_reason": None, "index": 0}]}),
            STOP,
            event({"choices": [], "usage": USAGE}),
            DONE,
        ],
        usage=USAGE,
    ),
    fails("Azure: filtered in mid-answer", ContentFiltered, "cut this", HI, chunk("content_filter"), DONE, text="Hi"),
    fails(
        "Azure: filtered prompt",
        ContentFiltered,
        "refused the message",
        json.dumps({"error": {"message": "The response was filtered.", "code": "content_filter", "status": 400}}),
        status="400 Bad Request",
    ),
    fails(
        "OpenRouter: flagged",
        ContentFiltered,
        "refused the message",
        json.dumps({"error": {"code": 403, "message": "Input was flagged", "metadata": {"flagged_input": "y"}}}),
        status="403 Forbidden",
    ),
    fails(
        "DashScope: inspection",
        ContentFiltered,
        "refused the message",
        json.dumps({"error": {"code": "data_inspection_failed", "message": "Input data may be improper."}}),
        status="400 Bad Request",
    ),
    Answer(
        "Groq: usage in a field of its own",
        [chunk(content="Hi"), event({"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": USAGE}})],
        usage=USAGE,
    ),
    Answer("Moonshot: usage in the choice", [HI, chunk("stop", choice={"usage": USAGE}), DONE], usage=USAGE),
    Answer(
        "OpenRouter: thoughts twice, empty ends, costs in the usage",
        [
            ": OPENROUTER PROCESSING",
            chunk(content="", reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]),
            HI,
            chunk("stop", content="", choice={"native_finish_reason": "STOP"}),
            event({"choices": [{"index": 0, "delta": {"content": ""}}], "usage": USAGE | {"cost": 0.01}}),
            DONE,
        ],
        reasoning="hm",
        usage=USAGE,
    ),
    fails(
        "OpenRouter: an error beside a choice",
        ProviderError,
        "Provider returned error",
        HI,
        event(
            {
                "choices": [{"delta": {}, "finish_reason": "error"}],
                "error": {"code": 502, "message": "Provider returned error"},
            }
        ),
        text="Hi",
    ),
    Answer(
        "DeepSeek: both kinds in each chunk, one null",
        [
            ": keep-alive",
            chunk(content=None, reasoning_content="hm"),
            chunk(content="Hi", reasoning_content=None),
            chunk("stop", content="", reasoning_content=None),
            DONE,
        ],
        reasoning="hm",
    ),
    fails(
        "DeepSeek: out of resources", ProviderError, "broke", HI, chunk("insufficient_system_resource"), DONE, text="Hi"
    ),
    Answer(
        "Perplexity: all so far beside each delta",
        [
            chunk(content="H", choice={"message": {"role": "assistant", "content": "H"}}),
            chunk(content="i", choice={"message": {"role": "assistant", "content": "Hi"}}),
            chunk("stop", content="", choice={"message": {"role": "assistant", "content": "Hi"}}),
        ],
    ),
    Answer(
        "MiniMax: all once more at the end",
        [
            chunk(content="H"),
            chunk(content="i"),
            event(
                {
                    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}}],
                    "base_resp": {"status_code": 0},
                }
            ),
        ],
    ),
    fails(
        "MiniMax: an error of its own",
        ProviderError,
        "insufficient balance",
        event({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
    ),
    Answer(
        "Gemini: thoughts in a tag",
        [chunk(content="<thought>hm"), chunk("stop", content="</thought>Hi")],
        reasoning="hm",
    ),
    Answer("Gemini: the limit", [chunk("MAX_TOKENS", content="Hi")], reason="length"),
    fails(
        "Gemini: a filter by its full name", ContentFiltered, "held", chunk("content_filter: PROHIBITED_CONTENT"), DONE
    ),
    fails("Gemini: a broken call", ToolCalled, "a tool", chunk("function_call_filter: MALFORMED_FUNCTION_CALL"), DONE),
    fails(
        "Gemini: an error in a list",
        ProviderRefused,
        "Please pass a valid API key",
        json.dumps([{"error": {"code": 400, "message": "Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}]),
        status="400 Bad Request",
    ),
    Answer(
        "Ollama: empty content beside each thought",
        [chunk(content="", reasoning="h"), chunk(content="", reasoning="m"), HI, chunk("stop", content=""), DONE],
        reasoning="hm",
    ),
    fails("Ollama: only loaded", NoAnswer, "empty answer", chunk("load", content=""), DONE),
    fails(
        "LM Studio: an event of an error",
        ProviderError,
        "has crashed",
        'event: error\ndata: {"error":{"message":"The model has crashed."}}',
    ),
    fails("vLLM: aborted", ProviderError, "broke", HI, chunk("abort", choice={"stop_reason": None}), DONE, text="Hi"),
    Answer(
        "Mistral: parts, a reference, its own limit",
        [
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}]),
            chunk(content=[{"type": "text", "text": "Hi"}, {"type": "reference", "reference_ids": [1]}]),
            chunk("model_length", content=""),
            DONE,
        ],
        reasoning="hm",
        reason="length",
    ),
    Answer(
        "Together: text beside the delta",
        [chunk(content="Hi", tool_calls=None, choice={"text": "Hi"}), chunk("eos", choice={"text": ""}), DONE],
    ),
    fails(
        "TGI: an error as a text",
        ProviderError,
        "Request failed",
        event({"error": "Request failed", "error_type": "x"}),
    ),
    fails("GLM: sensitive", ContentFiltered, "cut this", HI, chunk("sensitive"), DONE, text="Hi"),
    fails("Bedrock: a guardrail", ContentFiltered, "held", chunk("guardrail_intervened", content=""), DONE),
    fails("Anthropic's words for a refusal", ContentFiltered, "held", chunk("refusal"), DONE),
    Answer(
        "Databricks: a summary of thoughts in parts",
        [chunk(content=[{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}]), HI, STOP, DONE],
        reasoning="hm",
    ),
    Answer(
        "LiteLLM: thoughts in blocks too",
        [chunk(content="", reasoning_content="hm", thinking_blocks=[{"thinking": "hm"}]), HI, STOP, DONE],
        reasoning="hm",
    ),
    Answer("Cohere: its own word for the end", [chunk("COMPLETE", content="Hi")]),
    Answer(
        "no delta at the end", [HI, event({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}), DONE]
    ),
    Answer("empty calls", [chunk(content="Hi", tool_calls=[], function_call=None), STOP, DONE]),
    fails("a call after text", ToolCalled, "tool f", HI, chunk(tool_calls=CALL), chunk("stop"), DONE, text="Hi"),
    Answer("the end in each chunk", [chunk("stop", content="H"), chunk("stop", content="i"), DONE]),
    Answer("heartbeats as data", [event({"type": "ping"}), HI, STOP, DONE]),
    fails("thoughts alone", NoAnswer, "wrote no answer", chunk(reasoning_content="hm"), STOP, DONE),
    fails(
        "no quota, within a 200",
        ProviderRefused,
        "no quota left",
        event({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
    ),
    fails("no money", ProviderRefused, "no quota left", json.dumps({"error": "Insufficient Balance"}), status="402 X"),
    fails("overloaded", ProviderBusy, "busy", json.dumps({"error": {"type": "overloaded_error"}}), status="529 X"),
    fails("Workers AI's own door", ProviderError, "OPENAI_BASE_URL", event({"response": "Hi"}), DONE),
    fails(
        "Anthropic's own door",
        ProviderError,
        "OPENAI_BASE_URL",
        event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}),
        event({"type": "message_stop"}),
    ),
    Answer(
        "whole, though a stream was asked for: a refusal",
        [json.dumps({"choices": [{"message": {"refusal": "Hi"}, "finish_reason": "stop"}]})],
    ),
    fails(
        "whole: a call",
        ToolCalled,
        "tool f",
        json.dumps({"choices": [{"message": {"content": None, "tool_calls": CALL}, "finish_reason": "tool_calls"}]}),
    ),
    fails(
        "whole: thoughts up to the limit",
        NoAnswer,
        "limit while it was still thinking",
        json.dumps({"choices": [{"message": {"content": None, "reasoning": "hm"}, "finish_reason": "length"}]}),
    ),
    Answer(
        "llama.cpp without a reasoning format: the template opened the tag",
        [chunk(content="hm"), chunk(content=".\n</think>"), chunk(content="\n\nHi"), STOP, DONE],
        reasoning="hm.",
    ),
    Answer(
        "gpt-oss without a parser",
        [
            chunk(content="<|channel|>analysis<|message|>hm<|end|><|start|>assistant"),
            chunk(content="<|channel|>final<|message|>Hi"),
            STOP,
            DONE,
        ],
        reasoning="hm",
    ),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
async def test_a_reader_gets_what_was_meant(answer: Answer) -> None:
    text = reasoning = ""
    reason = usage = None
    async with (
        raw_provider(*answer.lines, status=answer.status) as raw,
        service_of(raw.base_url, model="m") as service,
    ):
        pieces, error = await pieces_and_error(service, [user("Hello")])
    for piece in pieces:
        if piece.recast:
            text, reasoning = "", reasoning + text
        text, reasoning = text + (piece.text if not piece.recast else ""), reasoning + piece.reasoning
        reason, usage = piece.finish_reason or reason, piece.usage or usage
    assert text == answer.text
    if answer.error:
        kind, words = answer.error
        assert type(error) is kind and words in str(error)
        return
    assert (error, reasoning.strip(), reason, usage) == (None, answer.reasoning, answer.reason, answer.usage)
