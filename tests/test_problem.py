"""What a provider's errors mean: a full context, a part of the request that it refuses; and what may be quoted."""

import base64
import json
from typing import Any

import pytest

from chat_app.errors import ContextTooLong
from chat_app.replies.dialect import Dialect, refused_part, without
from chat_app.replies.model_list import chat_models, listed_models
from chat_app.replies.problem import Problem, problem_in, problem_of_response
from chat_app.replies.redaction import QUOTED_CHARS, Secrets

KEY = "sk-proj-0123456789abcdefghijklmnop"
SECRETS = Secrets(KEY)

CONTEXT_FULL = [
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce "
    "the length of the messages.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease "
    "input length or `max_tokens`",
    "Input is too long for requested model.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Your request exceeded model token limit: 131072 (requested: 150000)",
    "context window exceeds limit (2013)",
    "Range of input length should be [1, 30720]",
    "Prompt exceeds max length",
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens",
    "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
    "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (8000 of text "
    "input, 1000 in the output).",
    "prompt token count of 150000 exceeds the limit of 128000",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "Input length (5000) exceeds model's maximum context length (4096).",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "Context size has been exceeded.",
    "the input length exceeds the context length",
    "input is too large to process. increase the physical batch size",
    "Trying to keep the first 4500 tokens when context the overflows. However, the model is loaded with context length "
    "of only 4096 tokens, which is not enough.",
    "The number of tokens to keep from the initial prompt is greater than the context length "
    "(n_keep: 5000>= n_ctx: 4096)",
    "Reached context length of 4096 tokens with model (arch: llama) that does not support mid-generation overflow.",
    "The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (8000).",
    "Requested tokens (5000) exceed context window of 4096",
    "tokens in request more than max tokens allowed",
    "n_ctx 4096 exceeded",
    "Requested 9000 tokens but the model only supports 4096",
    "输入长度超过模型的上下文长度",
]
OTHER_ERRORS = [
    "max_tokens must be at most 4096",
    "max_tokens is too large: 50000. This model supports at most 16384 completion tokens.",
    "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens "
    "and your request has 100 input tokens",
    "Rate limit reached for gpt-4 on tokens per minute (TPM): Limit 10000, Used 9000, Requested 2000.",
    "You exceeded your current quota, please check your plan and billing details.",
    "Too many requests. Please reduce the length of your messages or slow down: 10 requests per minute.",
    "temperature must be between 0 and 2",
    "The model `x` does not exist",
    "Invalid API key",
    "The server is overloaded, the context of your request was lost",
    "Unsupported parameter: 'context'",
    "Internal server error",
    "messages: at least one message is required",
    "Image is too large",
    "CUDA out of memory",
]


def problem(body: Any, status: int | None = 400) -> Problem:
    if status is None:
        found = problem_in(body)
        assert found
        return found
    return problem_of_response(status, json.dumps(body).encode())


def shapes(sentence: str) -> list[Any]:
    return [
        {"error": {"message": sentence}},
        {"error": sentence},
        {"message": sentence, "object": "error"},
        {"detail": sentence},
        [{"error": {"message": sentence, "code": 400}}],
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": json.dumps({"error": {"message": sentence}})},
            }
        },
    ]


@pytest.mark.parametrize("sentence", CONTEXT_FULL, ids=lambda sentence: sentence[:40])
def test_a_full_context_is_recognised_in_anybody_s_words(sentence: str) -> None:
    for shape in shapes(sentence):
        for status in (400, 413, 422, 500, 503, None):
            assert isinstance(problem(shape, status).error(SECRETS), ContextTooLong)
        for status in (401, 404, 429):
            assert not isinstance(problem(shape, status).error(SECRETS), ContextTooLong)


@pytest.mark.parametrize(
    "code",
    [
        "context_length_exceeded",
        "exceed_context_size_error",
        "context_window_exceeded",
        "model_context_window_exceeded",
        "string_above_max_length",
        "tokens_limit_reached",
        "request_too_large",
    ],
)
@pytest.mark.parametrize("key", ["code", "type"])
def test_a_full_context_is_recognised_by_its_code(code: str, key: str) -> None:
    for status in (400, 500, None):
        assert problem({"error": {"message": "…", key: code}}, status).is_context
    assert problem({key: code, "message": "…"}, 400).is_context


@pytest.mark.parametrize("sentence", OTHER_ERRORS, ids=lambda sentence: sentence[:40])
def test_other_errors_are_no_full_context(sentence: str) -> None:
    for shape in shapes(sentence):
        assert not problem(shape, 400).is_context
        assert not problem(shape, None).is_context


def test_413_is_too_long_whatever_it_says() -> None:
    page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    assert isinstance(problem_of_response(413, page).error(SECRETS), ContextTooLong)


# What is refused

REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.2,
    "max_tokens": 5,
}
REFUSED = [
    ("stream_options", "Unknown parameter: 'stream_options'."),
    ("stream_options", "Unrecognized request argument supplied: stream_options"),
    ("stream_options", "Extra inputs are not permitted, field: 'stream_options'"),
    ("stream_options", "Additional properties are not allowed ('stream_options' was unexpected)"),
    ("stream_options", "property 'stream_options' is unsupported"),
    ("stream_options", "Stream options are not supported by this model"),
    ("stream_options", 'json: unknown field "stream_options"'),
    ("temperature", "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default "
                    "(1) value is supported."),
    ("temperature", "Unsupported parameter: 'temperature' is not supported with this model."),
    ("temperature", "invalid temperature: only 1 is allowed for this model"),
    ("temperature", "`temperature` is deprecated for this model."),
    ("temperature", "temperature: Extra inputs are not permitted"),
    ("temperature", "Temperature must be 1 when thinking is enabled"),
    ("temperature", "The model does not accept a temperature"),
    ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                   "'max_completion_tokens' instead."),
    ("stream", "Your organization must be verified to stream this model."),
    ("stream", "Unsupported value: 'stream' does not support true with this model."),
    ("system", "System role not supported"),
    ("system", "system messages are not supported by this model"),
    ("system", "Developer instruction is not enabled for models/gemma-3-27b-it"),
    ("system", "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
    ("system", "Only user and assistant roles are supported!"),
    ("system", "Conversation roles must alternate user/assistant/user/assistant/..."),
    ("system", "messages: Unexpected role \"system\". Allowed roles are user and assistant"),
    ("system", "Invalid role: system"),
    ("system", "This model does not support system prompts"),
]  # fmt: skip
NOT_REFUSED = [
    "temperature must be between 0 and 2",
    "temperature: Input should be less than or equal to 1",
    "After the optional system message, conversation roles must alternate user/assistant/user/assistant",
    "System message must be at the beginning.",
    "The model `m` does not exist",
    "Invalid request",
    "Bad Request",
    "messages: at least one message is required",
    "the upstream system is not available",
    "Invalid value for 'content': expected a string",
    "The stream was closed unexpectedly",
]


@pytest.mark.parametrize(("part", "sentence"), REFUSED, ids=lambda value: value[:40])
def test_a_refused_part_is_recognised_by_the_words(part: str, sentence: str) -> None:
    for shape in shapes(sentence):
        for status in (400, 422, None):
            assert refused_part(problem(shape, status), REQUEST) == part
        for status in (401, 403, 404, 429, 503):
            assert refused_part(problem(shape, status), REQUEST) is None
        assert (refused_part(problem(shape, 500), REQUEST) == part) is (part == "system")


def invalid(sentence: str, *place: Any) -> Any:
    """As FastAPI tells it, with the whole input beside it."""
    return {"detail": [{"type": "value_error", "loc": ["body", *place], "msg": sentence, "input": REQUEST}]}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"error": {"message": "Not so.", "param": "temperature"}}, "temperature"),
        ({"error": {"message": "Not so.", "param": "stream_options.include_usage"}}, "stream_options"),
        (invalid("Extra inputs are not permitted", "stream_options"), "stream_options"),
        (invalid("Field required", "prompt"), None),
        (invalid("Input should be 'user' or 'assistant'", "messages", 0, "role"), "system"),
        (invalid("unexpected value; permitted: 'user', 'assistant'", "messages", 0, "role"), "system"),
    ],
)
def test_a_refused_part_is_recognised_by_its_place(body: Any, part: str | None) -> None:
    assert refused_part(problem(body, 422), REQUEST) == part


@pytest.mark.parametrize("sentence", [*NOT_REFUSED, *OTHER_ERRORS, *CONTEXT_FULL], ids=lambda sentence: sentence[:40])
def test_unrelated_errors_leave_the_request_as_it_is(sentence: str) -> None:
    request = {name: value for name, value in REQUEST.items() if name != "max_tokens"}
    for shape in shapes(sentence):
        assert refused_part(problem(shape, 400), request) is None


def test_the_system_s_text_goes_before_the_first_question() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    sent = without(REQUEST | {"messages": messages}, "system")["messages"]
    assert sent == [{"role": "user", "content": "Be brief.\n\nHi"}, *messages[2:]]
    parts = [{"type": "text", "text": "Hi"}]
    sent = without(REQUEST | {"messages": [messages[0], {"role": "user", "content": parts}]}, "system")["messages"]
    assert sent == [{"role": "user", "content": [{"type": "text", "text": "Be brief."}, *parts]}]
    assert without(REQUEST | {"messages": messages[:1]}, "system")["messages"] == [
        {"role": "user", "content": "Be brief."}
    ]


def test_what_has_another_name_is_sent_under_it() -> None:
    sent = without(REQUEST, "max_tokens")
    assert "max_tokens" not in sent
    assert sent["max_completion_tokens"] == 5


def test_what_was_refused_is_remembered_for_its_model() -> None:
    dialect = Dialect()
    dialect.remember("m", ["temperature", "system"])
    sent = dialect.request(REQUEST)
    assert "temperature" not in sent
    assert sent["messages"] == [{"role": "user", "content": "Be brief.\n\nHi"}]
    assert dialect.request(REQUEST | {"model": "other"}) == REQUEST | {"model": "other"}


# What may be quoted


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}. You can find your API key at",
        f"key {KEY[:20]} is wrong",
        f"… {KEY[8:24]} …",
        f"Authorization: Bearer {KEY}",
        f"{{'Authorization': 'Bearer {KEY}'}}",
        f"api-key={KEY}",
        f"\u202e{KEY[:10]}\u200b{KEY[10:]}",
        base64.b64encode(KEY.encode()).decode(),
        f"Basic {base64.b64encode(f'user:{KEY}'.encode()).decode()}",
        f"https://user:{KEY}@example.org/v1?api-key={KEY}",
        "x" * 290 + KEY,
    ],
)
def test_a_key_is_never_quoted(text: str) -> None:
    quoted = Secrets(KEY, "user", f"user:{KEY}").quoted(text)
    coded = base64.b64encode(KEY.encode()).decode()
    assert not any(KEY[at : at + 8] in quoted for at in range(len(KEY) - 7))
    assert not any(coded[at : at + 8] in quoted for at in range(len(coded) - 12))


def test_a_short_key_is_hidden_as_a_whole() -> None:
    assert Secrets("abcd").quoted("the key abcd is wrong") == "the key … is wrong"
    assert Secrets("none", None, "").quoted("none at all") == "… at all"


def test_what_is_quoted_is_one_short_line_of_plain_characters() -> None:
    quoted = SECRETS.quoted("a\x1b[31mb\r\n\tc\u202ed\u2066e\u2028f\0g\x9bh\ue000" + " long" * 1_000)
    assert quoted.startswith("a [31mb cde f g h long")
    assert len(quoted) <= QUOTED_CHARS + 1
    assert quoted.isprintable()


def test_many_long_errors_cost_little_time() -> None:
    text = "context length " * 20_000
    for body in ({"error": {"message": text}}, {"detail": [{"msg": text}] * 20}, {"error": {"a" * 99: text}}):
        assert len(str(problem(body).error(SECRETS))) < 1_000


# Lists of models


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ([{"id": "a", "type": "chat"}, {"id": "b"}], ["a", "b"]),
        ({"models": [{"name": "a", "model": "a:latest"}]}, ["a:latest"]),
        ({"models": [{"name": "a"}, "b", None, 5, {}, {"id": 7}, {"id": ""}]}, ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        ({"data": None}, []),
        ({"data": []}, []),
        ({"models": {}}, None),
        ({"error": "x"}, None),
        ("a", None),
        (None, None),
    ],
    ids=str,
)
def test_models_are_listed_in_several_shapes(body: Any, listed: list[str] | None) -> None:
    assert listed_models(body) == listed


OTHER_MODELS = ["text-embedding-3-small", "nomic-embed-text", "mxbai-embed-large:latest", "all-minilm", "BAAI/bge-m3"]
OTHER_MODELS += ["jina-reranker-v2", "whisper-large-v3-turbo", "tts-1-hd", "playai-tts", "omni-moderation-latest"]
OTHER_MODELS += ["dall-e-3", "gpt-image-1", "black-forest-labs/FLUX.1-schnell", "meta-llama/Llama-Guard-4-12B"]
OTHER_MODELS += [
    "intfloat/e5-large",
    "text-embedding-nomic-embed-text-v1.5",
    "gpt-4o-transcribe",
    "stable-diffusion-xl",
]
OTHER_MODELS += ["gpt-4o-realtime-preview", "babbage-002", "models/imagen-4", "thenlper/gte-large", "sora-2"]
CHAT_MODELS = ["gpt-4o", "llama3.2", "qwen2.5-7b-instruct", "mistral-small", "google/gemma-3-12b", "gpt-oss-20b", "o3"]
CHAT_MODELS += ["claude-sonnet-4-5", "models/gemini-2.5-flash", "deepseek-chat", "phi4", "openai/gpt-4.1-mini", "flash"]


def test_models_that_do_not_chat_are_passed_over() -> None:
    rows = [{"id": name} for name in [*OTHER_MODELS, *CHAT_MODELS]]
    assert chat_models({"data": rows}) == CHAT_MODELS
    assert chat_models({"data": rows[: len(OTHER_MODELS)]}) == []
    kinds = [{"id": "a", "type": "embedding"}, {"id": "b", "task": "rerank"}, {"id": "c", "type": "chat"}]
    assert chat_models([*kinds, {"id": "d", "capabilities": {"completion_chat": False}}]) == ["c"]
