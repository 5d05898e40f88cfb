"""Whether a provider says that the messages do not fit the model's context: each says it in words of its own. Pure."""

import re
from collections.abc import Iterable

CODES = re.compile(
    "context_?length_?exceeded|exceed_?context_?size|context_?window_?exceeded|context_?overflow|prompt_?too_?long"
    "|string_above_max_length|request_too_large|tokens_limit_reached|input_too_long"
)
# What OpenAI, Azure, Anthropic, Bedrock, Gemini, Mistral, Cohere, xAI, DeepSeek, Kimi, MiniMax, Qwen, GLM, Groq,
# Cerebras, Together, OpenRouter, Copilot, vLLM, SGLang, TGI, llama.cpp, Ollama and LM Studio write.
SENTENCES = re.compile(
    "|".join(
        (
            r"(max(imum)?|model'?s?|available|allowed|supported) (allowed )?context (length|size|window)",
            r"context (length|size|window|limit)( of [^.]{1,40})?( has been| was| is| limit)? ?"
            r"(exceed|reached|full|overflow|too small)",
            r"(exceed(s|ed|ing)?|(long|larg|great)er than|more than|beyond|over|overflows?|too (long|large) for) "
            r"(the |this |its |our |your )?([\w.:'’-]+ ){0,4}context",
            r"reached (the )?context (length|limit|size)",
            r"context the overflows|context shift is disabled|n_keep: ?\d+ ?>= ?n_ctx",
            r"n_ctx[^.]{0,20} exceeded|exceeds? n_ctx|you requested \d+ tokens|requested \d+ tokens,? but",
            r"(prompt|inputs?|messages?|conversation|request|text) (is|are|was|were) too (long|large)",
            r"(prompt|input) (\([^)]{0,40}\) )?(is |are )?(too long|longer than)",
            r"prompt contains \d+ tokens.{0,60}too large",
            r"max(imum)? (prompt|input|model|sequence) length",
            r"input (tokens?|length)( count)?( \(?\d+\)?)?( tokens)? (exceed|is too|is longer)",
            r"(prompt|input|request|messages?) (token count |length |size )?(of \d+ )?(tokens )?exceeds? (the |model )?"
            r"(max|limit|length|context|configured)",
            r"tokens? in (the )?(prompt|request|messages?) (cannot|must not|can not|more than|exceeds?)",
            r"exceeded model token limit|token limit exceeded|too many (input |prompt )?tokens|tokens exceed",
            r"reduce (the length|your (prompt|message|input)|the (prompt|input)|the number of (messages|tokens))",
            r"provide a shorter input|shorten (your|the) (prompt|input|message)",
            r"inputs` (tokens|must have)|range of input length|request too large for",
            r"上下文.{0,12}(超|长)|(输入|提示|prompt).{0,12}(过长|太长|超过|超出)",
        )
    ),
    re.IGNORECASE,
)
# About the answer's length, or about how much an account may send: shorter messages would not help.
OTHER_LIMITS = re.compile(
    r"per[ -](minute|min\b|hour|day|month|second)|\b(tpm|rpm|tpd|rpd)\b|rate[ _-]?limit|quota|too many requests|"
    r"billing|(?<![+] `)max_(completion_|output_|new_)?tokens[`'\"]* ?((or|and) .{0,30} )?"
    r"(is too (large|high|big)|must|should|cannot|:|=)",
    re.IGNORECASE,
)


def tells_context_is_full(words: str, codes: Iterable[str]) -> bool:
    """Of an error's sentences and its codes in lower case."""
    if any(CODES.search(code) for code in codes):
        return True
    return SENTENCES.search(words) is not None and OTHER_LIMITS.search(words) is None
