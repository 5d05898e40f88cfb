"""The models that a server lists, in any of the shapes that servers list them in, and which of them can chat. Pure."""

import re
from typing import Any

NAME_KEYS = ("id", "model", "name")
OTHER_KINDS = {"embedding", "embeddings", "rerank", "reranker", "image", "audio", "speech", "tts", "transcribe"}
OTHER_KINDS |= {"transcription", "moderation", "video", "feature-extraction", "text-to-image", "text-to-speech"}
OTHER_NAMES = re.compile(
    r"embed|rerank|moderation|whisper|transcri|\btts\b|speech|dall-?e|stable-?diffusion|sdxl|imagen|colbert|realtime"
    r"|(^|[/_.:-])(bge|e5|gte|uae|clip|siglip|minilm|tts|asr|stt|ocr|flux|sora|veo|image|guard|kokoro|orpheus|parakeet)\d*([/_.:-]|$)"
    r"|minilm|llama-?guard|(^|/)(babbage|davinci|ada|curie)-|gpt-3\.5-turbo-instruct",
    re.IGNORECASE,
)


def listed_models(body: Any) -> list[str] | None:
    """The names in `{"data": […]}`, `{"models": […]}` or a bare list, in their order; None: it is no list of models."""
    return None if (rows := _rows(body)) is None else [name for row in rows if (name := _name(row))]


def chat_models(body: Any) -> list[str]:
    """Those of them that are not for embeddings, reranking, speech, pictures or moderation."""
    return [name for row in _rows(body) or () if (name := _name(row)) and _chats(row, name)]


def _rows(body: Any) -> list[Any] | None:
    if isinstance(body, list):
        return body
    if isinstance(body, dict):
        for key in ("data", "models", "result"):
            if isinstance(rows := body.get(key), list):
                return rows
    # Some servers write an empty list as null.
    return [] if isinstance(body, dict) and "data" in body and body["data"] is None else None


def _name(row: Any) -> str | None:
    if isinstance(row, dict):
        row = next((row[key] for key in NAME_KEYS if isinstance(row.get(key), str) and row[key].strip()), None)
    return row if isinstance(row, str) and row.strip() and row.isprintable() else None


def _chats(row: Any, name: str) -> bool:
    if OTHER_NAMES.search(name):
        return False
    if not isinstance(row, dict):
        return True
    kinds = {str(row.get(key)).lower() for key in ("type", "task", "mode", "kind")}
    capabilities = row.get("capabilities")
    return not kinds & OTHER_KINDS and not (
        isinstance(capabilities, dict) and capabilities.get("completion_chat") is False
    )
