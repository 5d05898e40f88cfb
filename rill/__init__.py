"""What an extension may rely on: the names in `__all__`. Everything else may change from one version to the next."""

from chat_app.config import VERSION as __version__
from chat_app.context import Context, Values
from chat_app.errors import ChatError
from chat_app.kinds import Reasoning, Source, Step, Suggestions
from chat_app.parts import Part
from chat_app.reply import Piece
from chat_app.service import get_service

__all__ = [
    "ChatError",
    "Context",
    "Part",
    "Piece",
    "Reasoning",
    "Source",
    "Step",
    "Suggestions",
    "Values",
    "__version__",
    "get_service",
]
