"""How a provider's answer ended, and what to tell where none came. Pure."""

from collections.abc import Mapping
from typing import Any

from chat_app.errors import ContentFiltered, NoAnswer, ProviderError, ToolCalled
from chat_app.finish import BROKEN, FILTER, LENGTH, TOOL
from chat_app.reply import Piece

MAX_NAME = 60


class Ending:
    """Of one answer: sees the pieces that go to the reader, and the deltas that they came from."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._text = self._thoughts = self._refused = False
        self._tool: str | None = None

    def delta(self, delta: Mapping[str, Any]) -> None:
        """What is in a delta beside text and thoughts: a refusal, or calls of tools that nobody offered."""
        if delta.get("refusal"):
            self._refused = True
        if not self._tool and (call := delta.get("tool_calls") or delta.get("function_call")):
            self._tool = _tool_name(call)

    def piece(self, piece: Piece) -> None:
        if piece.recast:
            self._text, self._thoughts = False, True
        elif not self._text and piece.text and not piece.text.isspace():
            self._text = True
        if piece.reasoning:
            self._thoughts = True
        self._reason = piece.finish_reason or self._reason

    def problem(self) -> ProviderError | None:
        """Why there is no answer, or no more of it; None for one that is whole, or was cut off at the model's limit."""
        if self._tool is not None or (self._reason == TOOL and not self._text):
            return _tool_called(self._tool)
        if self._reason == FILTER and not self._refused:
            return _filtered(self._text)
        if self._reason == BROKEN:
            return ProviderError("The model's server broke the answer off. Try again.")
        return None if self._text else self._silent()

    def _silent(self) -> ProviderError:
        thought = " while it was still thinking" if self._thoughts else ""
        if self._reason == LENGTH:
            return NoAnswer(
                f"The model reached its limit{thought}, before it wrote an answer. "
                "Try again, ask for something shorter, or choose a model with a higher limit."
            )
        if self._thoughts:
            return NoAnswer("The model thought about it, but wrote no answer. Try again.")
        return NoAnswer("The model sent an empty answer. Try again.")


def _filtered(text: bool) -> ContentFiltered:
    what = "cut this answer off" if text else "held this answer back"
    return ContentFiltered(f"The provider's content filter {what}. Try again, or put the question differently.")


def _tool_called(name: str | None) -> ToolCalled:
    tool = f"the tool {name}" if name else "a tool"
    return ToolCalled(f"The model asked for {tool}, and this chat has no tools. Try again, or choose another model.")


def _tool_name(call: Any) -> str:
    """The name in `tool_calls` or `function_call`, as far as there is one; cleaned, for a sentence."""
    if isinstance(call, list):
        call = call[0] if call else {}
    function = call.get("function", call) if isinstance(call, Mapping) else {}
    name = function.get("name") if isinstance(function, Mapping) else None
    return "".join(char for char in name if char.isprintable())[:MAX_NAME] if isinstance(name, str) else ""
