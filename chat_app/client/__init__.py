"""A Python client of a running Rill server, for other programs. `python -m chat_app.client` is a chat in the terminal.

It needs only httpx and httpx-sse, and nothing of the server: elsewhere it is the package `rill_client`, which is made
from this folder (pyproject.toml), so its modules import each other by relative names.
"""

from .chat_client import ChatClient
from .events import ClientError, Event, Finished, Part, Reasoning, Started, Text
from .records import Chat, Hit, Imported, Message
from .sync_client import SyncChatClient

__version__ = "0.1.0"
__all__ = [
    "Chat",
    "ChatClient",
    "ClientError",
    "Event",
    "Finished",
    "Hit",
    "Imported",
    "Message",
    "Part",
    "Reasoning",
    "Started",
    "SyncChatClient",
    "Text",
    "__version__",
]
