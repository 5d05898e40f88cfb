"""Answers on the wire in the shapes of real servers, of our own making: what the README names is replayed from here."""

import json
from dataclasses import dataclass, field
from typing import Any, cast

JSON = {"Content-Type": "application/json"}
STREAM = {"Content-Type": "text/event-stream"}


Values = tuple[Any, ...]
"""Of no type in particular."""


@dataclass(frozen=True)
class Recording:
    """`pieces` are the writes of the body; the rest must come of them. `code` is an error's, with `words` in it."""

    name: str
    pieces: list[str]
    text: str = ""
    reasoning: str = ""
    end: str = "stop"
    usage: dict[str, Any] | None = None
    code: str = ""
    words: tuple[str, ...] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: STREAM)
    times: int = 1
    """How often the last piece is written."""

    @property
    def script(self) -> dict[str, Any]:
        return {"raw": self.pieces, "raw_times": self.times, "raw_status": self.status, "raw_headers": self.headers}


def events(*values: Any, end: str = "\n\n", done: bool = True) -> list[str]:
    lines = [f"data: {value if isinstance(value, str) else json.dumps(value)}{end}" for value in values]
    return [*lines, *([f"data: [DONE]{end}"] if done else [])]


def chunk(delta: Any = None, reason: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk as OpenAI sends it."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    } | more


def text(*parts: str) -> list[dict[str, Any]]:
    return [chunk({"content": part}) for part in parts]


USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
ROLE = chunk({"role": "assistant", "content": ""})
NO_FILTER = {"hate": {"filtered": False, "severity": "safe"}}

SERVERS = [
    Recording(
        "OpenAI",
        events(
            chunk(
                {"role": "assistant", "content": "", "refusal": None},
                usage=None,
                service_tier="default",
                obfuscation="x",
            ),
            *[chunk({"content": part}, usage=None) for part in ("Hel", "lo")],
            chunk({}, "stop", usage=None),
            {**chunk(), "choices": [], "usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 0}}},
        ),
        "Hello",
        usage=USAGE | {"prompt_tokens_details": {"cached_tokens": 0}},
    ),
    Recording(
        "Azure",
        events(
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": NO_FILTER}],
            },
            {**ROLE, "choices": [{**ROLE["choices"][0], "content_filter_results": {}}]},
            *[
                {**one, "choices": [{**one["choices"][0], "content_filter_results": NO_FILTER}]}
                for one in text("Hel", "lo")
            ],
            chunk({}, "stop"),
        ),
        "Hello",
    ),
    Recording(
        "Ollama",
        events(
            *[
                chunk({"role": "assistant", "content": part}, None, system_fingerprint="fp_ollama")
                for part in ("Hel", "lo")
            ],
            chunk({"role": "assistant", "content": ""}, "stop"),
            {**chunk(), "choices": [], "usage": USAGE},
        ),
        "Hello",
        usage=USAGE,
    ),
    Recording(
        "vLLM",
        events(
            chunk({"role": "assistant", "content": ""}, usage=None),
            chunk({"reasoning_content": "hm", "reasoning": "hm", "content": None}),
            *[chunk({"content": part}) for part in ("Hel", "lo")],
            {
                **chunk({"content": ""}, "stop"),
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": ""},
                        "finish_reason": "stop",
                        "stop_reason": None,
                        "token_ids": None,
                    }
                ],
            },
            {**chunk(), "choices": [], "usage": USAGE | {"prompt_tokens_details": None}},
        ),
        "Hello",
        "hm",
        usage=USAGE,
    ),
    Recording(
        "llama.cpp",
        events(
            chunk({"role": "assistant", "content": None}),
            *text("Hel", "lo"),
            {**chunk({}, "stop"), "timings": {"prompt_n": 9, "predicted_per_second": 84.5}},
            {**chunk(), "choices": [], "usage": USAGE, "timings": {"cache_n": 0}},
        ),
        "Hello",
        usage=USAGE,
    ),
    Recording(
        "LM Studio",
        events(
            *text("Hel", "lo"),
            chunk({}, "stop"),
            {
                **chunk(),
                "choices": [],
                "usage": USAGE | {"completion_tokens_details": {"reasoning_tokens": 0}},
                "stats": {},
            },
        ),
        "Hello",
        usage=USAGE | {"completion_tokens_details": {"reasoning_tokens": 0}},
    ),
    Recording(
        "Mistral",
        events(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm, "}]}]}),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}], "closed": True}]}),
            chunk({"content": [{"type": "text", "text": "Hel"}, {"type": "reference", "reference_ids": [1]}]}),
            chunk({"content": "lo"}),
            chunk({"content": ""}, "stop", usage=USAGE),
        ),
        "Hello",
        "hm, so",
        usage=USAGE,
    ),
    Recording(
        "OpenRouter",
        [
            ": OPENROUTER PROCESSING\n\n",
            ": OPENROUTER PROCESSING\n\n",
            *events(
                chunk(
                    {
                        "role": "assistant",
                        "content": "",
                        "reasoning": "hm",
                        "reasoning_details": [
                            {"type": "reasoning.text", "text": "hm", "format": "unknown", "index": 0}
                        ],
                    },
                    provider="Chutes",
                ),
                chunk(
                    {
                        "role": "assistant",
                        "content": "",
                        "reasoning_details": [{"type": "reasoning.encrypted", "data": "xyz"}],
                    }
                ),
                *text("Hel", "lo"),
                {
                    **chunk({"content": ""}, "stop"),
                    "choices": [
                        {"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "native_finish_reason": "STOP"}
                    ],
                },
                {
                    **chunk({"content": ""}),
                    "usage": USAGE
                    | {"cost": 0.0012, "is_byok": False, "cost_details": {"upstream_inference_cost": None}},
                },
            ),
        ],
        "Hello",
        "hm",
        usage=USAGE,
    ),
    Recording(
        "OpenRouter, broken in mid-answer",
        events(
            *text("Hel"),
            {
                **chunk({"content": ""}, "error"),
                "error": {"code": 502, "message": "Provider disconnected unexpectedly"},
            },
            done=False,
        ),
        "Hel",
        code="provider_error",
        words=("502", "Provider disconnected"),
    ),
    Recording(
        "Gemini",
        events(
            {
                "choices": [{"delta": {"content": "Hel", "role": "assistant"}, "index": 0}],
                "model": "gemini-2.5-flash",
                "object": "chat.completion.chunk",
            },
            {"choices": [{"delta": {"content": "lo", "role": "assistant"}, "index": 0}], "usage": USAGE},
        ),
        "Hello",
        usage=USAGE,
    ),
    Recording(
        "DeepSeek",
        [
            ": keep-alive\n\n",
            *events(
                chunk({"role": "assistant", "content": None, "reasoning_content": "hm"}),
                chunk({"content": "Hello", "reasoning_content": None}),
                chunk({"content": ""}, "stop", usage=USAGE | {"prompt_cache_hit_tokens": 0}),
            ),
        ],
        "Hello",
        "hm",
        usage=USAGE | {"prompt_cache_hit_tokens": 0},
    ),
    Recording(
        "Groq",
        events(
            chunk({"role": "assistant", "content": ""}, x_groq={"id": "req"}),
            *text("Hel", "lo"),
            chunk({}, "stop", x_groq={"id": "req", "usage": USAGE | {"queue_time": 0.02}}),
        ),
        "Hello",
    ),
    Recording(
        "Perplexity",
        events(
            *[
                {
                    "choices": [
                        {
                            "index": 0,
                            "delta": {"role": "assistant", "content": part},
                            "finish_reason": None,
                            "message": {"role": "assistant", "content": whole},
                        }
                    ],
                    "citations": ["https://example.org"],
                }
                for part, whole in (("Hel", "Hel"), ("lo", "Hello"))
            ],
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": ""},
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": "Hello"},
                    }
                ]
            },
            done=False,
            end="\r\n\r\n",
        ),
        "Hello",
    ),
    Recording(
        "TGI",
        [f"data:{json.dumps(one)}\n\n" for one in (*text("Hel", "lo"), chunk({"content": ""}, "eos_token"))]
        + ["data:[DONE]\n\n"],
        "Hello",
    ),
    Recording(
        "Anthropic's compatible door",
        events(ROLE, *text("Hel", "lo"), chunk({}, "stop"), {**chunk(), "choices": [], "usage": USAGE}),
        "Hello",
        usage=USAGE,
    ),
    Recording(
        "a gateway that does not stream",
        [
            json.dumps(
                {
                    "id": "1",
                    "object": "chat.completion",
                    "model": "m",
                    "usage": USAGE,
                    "choices": [
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": "Hello", "reasoning_content": "hm"},
                            "finish_reason": "stop",
                        }
                    ],
                }
            )
        ],
        "Hello",
        "hm",
        usage=USAGE,
        headers=JSON,
    ),
]

OLLAMA_NATIVE = [
    json.dumps({"model": "m", "message": {"role": "assistant", "content": part}, "done": False}) + "\n"
    for part in ("Hel", "lo")
]
HTML = "<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head><body><h1>Hi</h1></body></html>"
BASE_URL = ("OPENAI_BASE_URL", "/v1")
BROKEN, REFUSED, BUSY, NONE = "provider_error", "provider_refused", "provider_busy", "no_answer"
DONE = ["data: [DONE]\n\n"]
STOP = chunk({}, "stop")


def hello(name: str, *pieces: str, **more: Any) -> Recording:
    """What must give "Hello", whatever else is in it."""
    return Recording(name, list(pieces), **({"text": "Hello"} | more))


def odd(name: str, value: Any) -> Recording:
    """A chunk with odd fields in the middle of an answer."""
    return hello(name, *events(*text("Hel"), value, *text("lo"), STOP))


def error(name: str, value: Any, *words: str, code: str = BROKEN, before: Any = ROLE) -> Recording:
    """Told in the middle of a stream."""
    return Recording(name, events(before, value, done=False), code=code, words=words)


ODDITIES: list[Recording] = [
    # Any field may have any type
    *[
        odd(f"usage {value!r}", chunk({}, usage=value))
        for value in cast(Values, (5, "x", [], [1], True, {"completion_tokens": None}, {"a": [1]}))
    ],
    *[
        odd(f"model {value!r}", chunk({}, model=value))
        for value in cast(Values, ({"id": "m"}, 7, [], None, "x" * 5_000, "a\0b\x1b[31m"))
    ],
    *[odd(f"finish_reason {value!r}", chunk({}, value)) for value in cast(Values, ("", 7, {}, [], False, " "))],
    *[
        odd(f"content {value!r}", chunk({"content": value}))
        for value in cast(Values, (5, True, {}, [], [None, 5], [{"type": "image_url"}], {"x": 1}))
    ],
    *[
        odd(f"choices {value!r}", {"choices": value})
        for value in cast(Values, (None, [], {}, "x", 5, [None], [[]], ["x"], [{}]))
    ],
    *[
        odd(f"delta {value!r}", {"choices": [{"index": 0, "delta": value}]})
        for value in cast(Values, (None, 5, [], True))
    ],
    *[
        odd(f"reasoning {value!r}", chunk({"reasoning": value, "reasoning_content": value}))
        for value in cast(Values, (5, {}, [], [5]))
    ],
    *[odd(f"the event {value!r}", value) for value in ("null", "", "5", '"x"', "true", "[]", "{}", '[{"a":1}]')],
    odd("a choice of index 1", {"choices": [{"index": 1, "delta": {"content": "no"}}]}),
    hello("one choice, without a list", *events(*text("Hel"), {"choices": {"delta": {"content": "lo"}}}, STOP)),
    odd(
        "a second choice",
        {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": ""}}]},
    ),
    odd("error null", chunk({}, error=None)),
    odd("error empty", chunk({}, error={})),
    odd("a heartbeat as an object", {"type": "ping"}),
    hello("no index", *events({"choices": [{"delta": {"content": "Hello"}}]}, STOP)),
    hello(
        "numbers as text",
        *events(*text("Hello"), chunk({}, "stop", usage={"completion_tokens": "12", "x": 1.5})),
        usage={"completion_tokens": 12},
    ),
    hello(
        "floats",
        *events(*text("Hello"), chunk({}, "stop", usage={"completion_tokens": 12.0, "prompt_tokens": -1})),
        usage={"completion_tokens": 12},
    ),
    hello(
        "numbers without end",
        'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}],'
        '"usage":{"completion_tokens":' + "9" * 5_000 + "}}\n\n",
    ),
    hello(
        "no numbers",
        'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}],'
        '"usage":{"completion_tokens":NaN,"x":1e999}}\n\n',
    ),
    hello(
        "a raw tab in the text",
        'data: {"choices":[{"index":0,"delta":{"content":"Hello\t"},"finish_reason":"stop"}]}\n\n',
        text="Hello\t",
    ),
    hello(
        "typed parts",
        *events(
            chunk(
                {"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}, "", {"type": "audio"}]}
            ),
            STOP,
        ),
    ),
    hello("a part without a type", *events(chunk({"content": [{"text": "Hello"}]}), STOP)),
    hello("one part, no list", *events(chunk({"content": {"type": "text", "text": "Hello"}}), STOP)),
    hello(
        "thinking parts",
        *events(chunk({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello"}]}), STOP),
        reasoning="hm",
    ),
    hello(
        "reasoning_details",
        *events(chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}), *text("Hello"), STOP),
        reasoning="hm",
    ),
    hello(
        "message in the place of delta",
        *events(
            {"choices": [{"index": 0, "message": {"content": "Hel"}}]},
            {"choices": [{"index": 0, "message": {"content": "lo"}, "finish_reason": "stop"}]},
        ),
    ),
    hello(
        "the old completions",
        *events({"choices": [{"index": 0, "text": "Hel"}]}, {"choices": [{"text": "lo", "finish_reason": "stop"}]}),
    ),
    # The event stream
    hello("CRLF", *events(*text("Hel", "lo"), STOP, end="\r\n\r\n")),
    hello("lone CR", *events(*text("Hel", "lo"), STOP, end="\r\r")),
    hello(
        "CR and LF apart",
        *[piece for one in events(*text("Hel", "lo"), STOP, end="") for piece in (one + "\r", "\n\r", "\n")],
    ),
    hello(
        "a byte order mark", "bytes:\xef", "bytes:\xbb", "bytes:\xbf" + events(*text("Hello"), STOP)[0], *events(STOP)
    ),
    hello(
        "several lines of data",
        'data: {"choices":\ndata: [{"index":0,\ndata: "delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\n',
    ),
    hello(
        "comments and heartbeats",
        ": hi\n\n",
        "event: ping\ndata: {\n\n",
        "event: heartbeat\ndata:\n\n",
        ":\n",
        *events(*text("Hel"), STOP, done=False)[:1],
        ": x\ndata:\n\n",
        *events(*text("lo"), STOP),
    ),
    hello("no blank lines", *events(*text("Hel", "lo"), STOP, end="\n")),
    hello("named events", *[f"event: message\n{one}" for one in events(*text("Hel", "lo"), STOP)]),
    hello("an unknown event", "event: stats\ndata: no JSON\n\n", *events(*text("Hello"), STOP)),
    hello("another content type", *events(*text("Hello"), STOP), headers={"Content-Type": "text/plain"}),
    hello("JSON's content type", *events(*text("Hello"), STOP), headers=JSON),
    hello("the end in mid-line", *events(*text("Hello"), done=False), events(STOP, done=False)[0].rstrip("\n")),
    Recording("a line without end", ["data: ", "x" * 10_000], code=BROKEN, words=("one piece",), times=1_000),
    Recording(
        "cut in the middle of an event",
        [*events(*text("Hel"), done=False), 'data: {"choices":[{"del'],
        "Hel",
        code=BROKEN,
    ),
    Recording(
        "no JSON", events(*text("Hel"), "Internal Server Error", done=False), "Hel", code=BROKEN, words=("not JSON",)
    ),
    # Another shape
    hello("a bare message", json.dumps({"choices": [{"message": {"content": "Hello"}}]}), headers=JSON),
    hello(
        "white space before it",
        " \n\n",
        "  ",
        json.dumps({"choices": [{"message": {"content": "Hello"}}]}),
        headers=JSON,
    ),
    hello(
        "a completion as an event stream's type",
        json.dumps(
            {
                "choices": [{"message": {"content": [{"type": "text", "text": "Hello"}]}, "finish_reason": None}],
                "usage": 5,
            }
        ),
    ),
    hello("one JSON a line", *[json.dumps(one) + "\n" for one in (*text("Hel", "lo"), STOP)], headers=JSON),
    Recording("a web page", [HTML], code=BROKEN, words=BASE_URL, headers={"Content-Type": "text/html"}),
    Recording(
        "a page in pieces",
        ["  <ht", "ml><body>Log in</body></html>"],
        code=BROKEN,
        words=BASE_URL,
        headers={"Content-Type": "text/html"},
    ),
    Recording("a list of models", ['{"models": []}'], code=BROKEN, words=BASE_URL, headers=JSON),
    Recording("an empty list", ["[]"], code=BROKEN, words=BASE_URL, headers=JSON),
    Recording("a word", ['"ok"'], code=BROKEN, words=BASE_URL, headers=JSON),
    Recording("plain text", ["Ollama is running"], code=BROKEN, words=BASE_URL, headers={"Content-Type": "text/plain"}),
    Recording("null", ["null"], code=BROKEN, words=BASE_URL, headers=JSON),
    Recording("nothing", [], code=BROKEN, words=BASE_URL),
    Recording("no content", [], code=BROKEN, words=BASE_URL, status=204),
    Recording(
        "Ollama's own API", OLLAMA_NATIVE, code=BROKEN, words=BASE_URL, headers={"Content-Type": "application/x-ndjson"}
    ),
    Recording("half a completion", ['{"choices": [{"mess'], code=BROKEN, words=("JSON",), headers=JSON),
    Recording("nested too deep", ["[" * 10_000], code=BROKEN, headers=JSON, times=10),
    # The end
    hello("[DONE] alone", *events(*text("Hel", "lo"))),
    hello("[DONE] without a blank line", *events(*text("Hello"), done=False), "data: [DONE]"),
    hello("[done]", *events(*text("Hello"), done=False), "data:[done]\n\n"),
    hello("a finish reason alone", *events(*text("Hello"), STOP, done=False)),
    hello("an error after the end", *events(*text("Hello"), STOP, {"error": "late"})),
    Recording("neither", events(*text("Hel"), done=False), "Hel", code=BROKEN, words=("broke off",)),
    Recording(
        "neither, with empty finish reasons",
        events(chunk({"content": "Hel"}, ""), chunk({}, ""), done=False),
        "Hel",
        code=BROKEN,
        words=("broke off",),
    ),
    Recording("comments alone", [": ping\n\n"] * 2, code=BROKEN, words=("broke off",)),
    Recording("[DONE] and nothing else", DONE, code=NONE, words=("empty answer", "Try again")),
    Recording("a role and [DONE]", events(ROLE), code=NONE, words=("empty answer", "Try again")),
    Recording(
        "an empty completion",
        ['{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'],
        code=NONE,
        words=("Try again",),
        headers=JSON,
    ),
    Recording("no choices", ['{"choices": []}'], code=NONE, headers=JSON),
    # Errors in any shape
    error("an error object", {"error": {"message": "Out of memory.", "type": "server_error"}}, "Out of memory."),
    error("an error's text", {"error": "Out of memory."}, "Out of memory."),
    error("an error in a list", [{"error": {"message": "Out of memory.", "code": 500}}], "Out of memory", "500"),
    error(
        "an object of type error",
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "busy",
        code=BUSY,
    ),
    error(
        "vLLM's error",
        {"object": "error", "message": "Out of memory.", "type": "InternalServerError", "code": 500},
        "Out of memory",
        "500",
    ),
    error("FastAPI's error", {"detail": "Out of memory."}, "Out of memory."),
    error(
        "FastAPI's list",
        {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "input": {"secret": "x"}}]},
        "body.messages: Field required",
    ),
    error("a message alone", {"message": "Out of memory."}, "Out of memory."),
    error("a number", {"error": 5}, "reported"),
    error("a key that is refused", {"error": {"message": "No.", "code": 401}}, "OPENAI_API_KEY", code=REFUSED),
    error("too many requests", {"error": {"message": "Slow down.", "code": 429}}, "busy", code=BUSY),
    error(
        "a gateway's error",
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": '{"error":{"message":"No such thing."}}'},
            }
        },
        "Provider returned error",
        code=REFUSED,
    ),
    Recording(
        "event: error",
        [*events(ROLE, done=False), 'event: error\ndata: {"message": "Out of memory."}\n\n'],
        code=BROKEN,
        words=("Out of memory.",),
    ),
    Recording(
        "event: error without JSON",
        [*events(*text("Hel"), done=False), "event: error\ndata: Out of memory.\n\n"],
        "Hel",
        code=BROKEN,
        words=("Out of memory.",),
    ),
    Recording(
        "event: error without an end",
        [*events(*text("Hel"), done=False), 'event: error\ndata: "Out of memory."'],
        "Hel",
        code=BROKEN,
        words=("Out of memory.",),
    ),
    Recording(
        "an error after text",
        events(*text("Hel"), {"error": {"message": "Out of memory."}}),
        "Hel",
        code=BROKEN,
        words=("Out of memory.",),
    ),
    Recording(
        "an error in place of a completion",
        ['{"error": "model not loaded"}'],
        code=BROKEN,
        words=("model not loaded",),
        headers=JSON,
    ),
    *[
        Recording(f"status {status}: {body[:40]}", [body], status=status, code=code, words=words, headers=JSON)
        for status, body, code, words in (
            (
                400,
                '[{"error": {"code": 400, "message": "Bad thing.", "status": "INVALID_ARGUMENT"}}]',
                REFUSED,
                ("400", "Bad thing."),
            ),
            (400, '{"object": "error", "message": "Bad thing."}', REFUSED, ("400", "Bad thing.")),
            (400, '{"error": "Bad thing."}', REFUSED, ("400", "Bad thing.")),
            (400, "Bad thing.", REFUSED, ("400", "Bad thing.")),
            (400, "", REFUSED, ("400",)),
            (400, "5", REFUSED, ("400",)),
            (400, "[" * 10_000, REFUSED, ("400",)),
            (422, '{"detail": [{"loc": ["body", "n"], "msg": "Bad thing."}]}', REFUSED, ("422", "body.n: Bad thing.")),
            (422, '{"detail": {"reason": "Bad thing."}}', REFUSED, ("422", "Bad thing.")),
            (401, "nope", REFUSED, ("OPENAI_API_KEY",)),
            (402, '{"error": {"message": "Insufficient Balance"}}', REFUSED, ("billing",)),
            (403, '{"message": "Not in your country."}', REFUSED, ("403", "Not in your country.")),
            (
                404,
                '{"error": {"message": "model \\"x\\" not found, try pulling it first"}}',
                REFUSED,
                ("OPENAI_MODEL", "not found"),
            ),
            (404, '{"detail": "Not Found"}', REFUSED, BASE_URL),
            (404, "404 page not found", REFUSED, BASE_URL),
            (404, HTML, REFUSED, BASE_URL),
            (405, '{"detail": "Method Not Allowed"}', REFUSED, BASE_URL),
            (429, "Slow down", BUSY, ("busy",)),
            (429, '{"error": {"message": "You exceeded your current quota"}}', REFUSED, ("billing",)),
            (500, '{"error": "CUDA out of memory"}', BROKEN, ("500", "CUDA out of memory")),
            (502, "<html><head><title>502 Bad Gateway</title></head></html>", BROKEN, ("502",)),
            (
                503,
                '{"error": {"message": "Loading model", "type": "unavailable_error"}}',
                BROKEN,
                ("503", "Loading model"),
            ),
            (529, '{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', BUSY, ("busy",)),
            (300, "many", REFUSED, ("300",)),
        )
    ],
]
