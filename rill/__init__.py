"""What an extension may rely on: the names in `__all__`. Everything else may change from one version to the next."""

from chat_app.config import VERSION as __version__
from chat_app.config import Settings
from chat_app.context import Context, Values
from chat_app.errors import ChatError, Refused
from chat_app.kinds import Reasoning, Source, Step, Suggestions
from chat_app.parts import Part
from chat_app.reply import Piece
from chat_app.service import Service, get_service, serving
from chat_app.turns.hooks import Question
from chat_app.turns.log import Delta, Ended
from chat_app.turns.turn import Turn

__all__ = [
    "ChatError",
    "Context",
    "Delta",
    "Ended",
    "Part",
    "Piece",
    "Question",
    "Reasoning",
    "Refused",
    "Service",
    "Settings",
    "Source",
    "Step",
    "Suggestions",
    "Turn",
    "Values",
    "__version__",
    "get_service",
    "serving",
]
