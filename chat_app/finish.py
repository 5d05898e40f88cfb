"""Why an answer ended, in OpenAI's words: all others are read as one of them. Pure."""

STOP, LENGTH, FILTER, TOOL, BROKEN = "stop", "length", "content_filter", "tool_calls", "error"
SPELLINGS = {
    STOP: (
        "complete",
        "end_turn",
        "end_of_turn",
        "eos",
        "eos_token",
        "stop_sequence",
        "finish_reason_stop",
        "finished",
    ),
    LENGTH: (
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "max_length",
        "model_length",
        "token_limit",
        "error_limit",
        "finish_reason_max_tokens",
        "model_context_window_exceeded",
        "context_length_exceeded",
    ),
    FILTER: (
        "content_filtered",
        "content_blocked",
        "safety",
        "finish_reason_safety",
        "image_safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "sensitive",
        "refusal",
        "guardrail_intervened",
        "error_toxic",
    ),
    TOOL: ("tool_call", "tool_use", "function_call", "function_call_filter", "malformed_function_call"),
    BROKEN: ("abort", "aborted", "cancelled", "canceled", "network_error", "insufficient_system_resource"),
}
REASONS = {spelling: reason for reason, spellings in SPELLINGS.items() for spelling in (reason, *spellings)}


def finish_reason(value: str) -> str:
    """OpenAI's word for what another server says, such as Gemini's `MAX_TOKENS`; an unknown one stays as it is.

    A detail may follow, as in `content_filter: PROHIBITED_CONTENT`.
    """
    return REASONS.get(value.partition(":")[0].strip().lower(), value)
